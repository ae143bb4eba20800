"""``pymailsuite explain --batch``: DMARC scenarios, each a rule of RFC 9989, or of RFC 7489 where both have it."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from pymailsuite.policy.dkim import SigningRules
from tests.cli.test_explain import ExplainCase
from tests.policy.dkim.support import NOW, private_key, signed, signing_key
from tests.support.dns import ZoneServer

_RULES = SigningRules((b"from",), exact=True)
_RECORDS: dict[str, str | Sequence[str] | None] = {
    # Records by domain; each domain has SPF for the client and a key, and so have the ones without a record.
    "reject.example": "v=DMARC1; p=reject",
    "mail.reject.example": None,
    "news.reject.example": None,
    "strict.example": "v=DMARC1; p=reject; adkim=s; aspf=s",
    "mail.strict.example": None,
    "sub.example": "v=DMARC1; p=none; sp=quarantine; np=reject",
    "a.sub.example": None,
    "own.sub.example": "v=DMARC1; p=reject",
    "testing.example": "v=DMARC1; p=reject; t=y",
    "percent.example": "v=DMARC1; p=reject; pct=0",
    "odd.example": "v = DMARC1 ;P = Reject ; foo=bar; x; pct=many; fo=9;",
    "last.example": "p=reject; v=DMARC1",
    "two.example": ("v=DMARC1; p=reject", "v=DMARC1; p=none"),
    "junk.example": ("v=spf1 -all", "v=DMARC1; p=reject", "hello"),
    "told.example": "v=DMARC1; rua=mailto:a@told.example",
    "nobody.example": "v=DMARC1; sp=reject",
    "broken.example": "v=DMARC1; p=reject; sp=refuse; rua=mailto:a@broken.example",
    "none.example": None,
    "example.co.uk": "v=DMARC1; p=reject",
    "other.co.uk": None,
    "co.uk": "v=DMARC1; p=reject; psd=y",
    "my.bank": None,
    "bank": "v=DMARC1; p=reject; sp=quarantine; np=reject; psd=y",
    "xn--bcher-kva.example": "v=DMARC1; p=reject",
    "stranger.test": None,
    "dark.example": None,
    "unsure.example": "v=DMARC1; p=reject",
}


@frozen
class Scenario:
    """A From field, the domains SPF and DKIM pass for, and "result policy disposition" with the author's domain."""

    author: str
    outcome: str
    domain: str
    mail_from: str = "stranger.test"
    signer: str = ""
    helo: str = "mx.stranger.test"


_SCENARIOS = (
    Scenario("a@reject.example", "fail reject reject", "reject.example"),
    Scenario("a@reject.example", "pass reject none", "reject.example", "reject.example"),
    Scenario("a@reject.example", "pass reject none", "reject.example", "mail.reject.example"),
    Scenario("a@Reject.EXAMPLE", "pass reject none", "reject.example", signer="mail.reject.example"),
    Scenario("a@news.reject.example", "pass reject none", "news.reject.example", signer="mail.reject.example"),
    Scenario("a@news.reject.example", "fail reject reject", "news.reject.example", signer="stranger.test"),
    # The identity of SPF is MAIL FROM, and HELO for the null path only (§3.1.2).
    Scenario("a@reject.example", "pass reject none", "reject.example", "", helo="mail.reject.example"),
    Scenario("a@reject.example", "fail reject reject", "reject.example", "", helo="stranger.test"),
    Scenario("a@reject.example", "fail reject reject", "reject.example", helo="mail.reject.example"),
    # Alignment (§3.1).
    Scenario("a@strict.example", "fail reject reject", "strict.example", "mail.strict.example", "mail.strict.example"),
    Scenario("a@strict.example", "pass reject none", "strict.example", signer="strict.example"),
    Scenario("a@example.co.uk", "fail reject reject", "example.co.uk", "other.co.uk", "other.co.uk"),
    # Policies for domains below (§6.3, RFC 9989 §4.10).
    Scenario("a@sub.example", "fail none none", "sub.example"),
    Scenario("a@a.sub.example", "fail quarantine quarantine", "a.sub.example"),
    Scenario("a@missing.sub.example", "fail reject reject", "missing.sub.example"),
    Scenario("a@own.sub.example", "fail reject reject", "own.sub.example"),
    Scenario("a@other.co.uk", "fail reject reject", "other.co.uk"),
    Scenario("a@my.bank", "fail quarantine quarantine", "my.bank"),
    Scenario("a@missing.bank", "fail reject reject", "missing.bank"),
    # Softer (RFC 9989 §4.7, which has no percentage).
    Scenario("a@testing.example", "fail reject quarantine", "testing.example"),
    Scenario("a@percent.example", "fail reject reject", "percent.example"),
    # What is a record, and what it says (§6.4, §6.6.3).
    Scenario("a@odd.example", "fail reject reject", "odd.example"),
    Scenario("a@last.example", "none  none", "last.example"),
    Scenario("a@two.example", "none  none", "two.example"),
    Scenario("a@junk.example", "fail reject reject", "junk.example"),
    Scenario("a@told.example", "fail none none", "told.example"),
    Scenario("a@nobody.example", "none  none", "nobody.example"),
    Scenario("a@broken.example", "fail none none", "broken.example"),
    Scenario("a@none.example", "none  none", "none.example", "none.example", "none.example"),
    Scenario("a@dark.example", "temperror  none", "dark.example"),
    # What might have passed has not failed (§6.6.2).
    Scenario("a@unsure.example", "temperror reject none", "unsure.example", "unsure.example"),
    Scenario("a@unsure.example", "temperror reject none", "unsure.example", signer="unsure.example"),
    Scenario("a@reject.example", "fail reject reject", "reject.example", "unsure.example", "unsure.example"),
    # Whose mail it is (§6.6.1).
    Scenario('"x@none.example" (y@none.example) <a@reject.example>', "fail reject reject", "reject.example"),
    Scenario("Doe, John <a@reject.example>", "fail reject reject", "reject.example"),
    Scenario("team: a@reject.example;", "fail reject reject", "reject.example"),
    Scenario("a@none.example, b@reject.example", "fail reject reject", "reject.example", signer="none.example"),
    Scenario("a@bücher.example", "pass reject none", "xn--bcher-kva.example", signer="xn--bcher-kva.example"),
    Scenario("undisclosed:;", "none  none", ""),
    Scenario("a@reject.example\r\nFrom: b@none.example", "permerror  none", ""),
    Scenario("<a@reject.example> <b@none.example>", "permerror  none", ""),
)


def _zone() -> ZoneServer:
    records: dict[tuple[str, str], Sequence[str]] = {}
    key = private_key().record_text()
    for domain, texts in _RECORDS.items():
        records[domain, "A"] = ["198.51.100.1"]
        records[domain, "TXT"] = ['"v=spf1 ip4:192.0.2.1 -all"']
        records[f"s1._domainkey.{domain}", "TXT"] = [f'"{key[:200]}" "{key[200:]}"']
        several = (texts,) if isinstance(texts, str) else texts or ()
        records[f"_dmarc.{domain}", "TXT"] = [f'"{text}"' for text in several]
    return ZoneServer(records, broken=["_dmarc.dark.example", "unsure.example", "s1._domainkey.unsure.example"])


class DmarcScenarioTests(ExplainCase):
    def test_scenarios(self) -> None:
        questions = []
        for number, scenario in enumerate(_SCENARIOS):
            message = f"From: {scenario.author}\r\nMessage-ID: <{number}@x.test>\r\n\r\nhi\r\n".encode()
            if scenario.signer:
                message = signed(message, signing_key(domain=scenario.signer), rules=_RULES, now=NOW)
            sender = f"a@{scenario.mail_from}" if scenario.mail_from else ""
            file = self.file(message)
            questions.append({"ip": "192.0.2.1", "helo": scenario.helo, "from": sender, "to": "b@b.test", "file": file})
        with _zone() as zone:
            answers = self.lines(zone, *questions)
        for scenario, answer in zip(_SCENARIOS, answers, strict=True):
            with self.subTest(scenario=scenario):
                dmarc = answer["dmarc"]
                found = f"{dmarc['result']} {dmarc['policy']} {dmarc['disposition']}"
                self.assertEqual((found, dmarc["domain"]), (scenario.outcome, scenario.domain), scenario)
