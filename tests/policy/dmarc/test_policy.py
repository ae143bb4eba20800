"""What the policy answers the chain."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import (
    Action,
    IPolicy,
    MailTransaction,
    MethodResult,
    ReceivedMessage,
    Stage,
    Verdict,
)
from pymailsuite.message.authentication_results import authentication_results_field
from pymailsuite.policy.dmarc.policy import DmarcPolicy
from pymailsuite.values import Address, Peer, QueueId
from tests.policy.arc.support import chain_of, sealed

RECORDS = {
    "_dmarc.example.com": [b"v=DMARC1; p=reject"],
    "_dmarc.quarantine.test": [b"v=DMARC1; p=quarantine"],
    "default._bimi.example.com": [b"v=BIMI1; l=https://example.com/logo.svg; a="],
}
NULL = object()


def spf(result: str, identity: str, key: str = "smtp.mailfrom") -> Verdict:
    return Verdict(results=(MethodResult("spf", result, properties=((key, identity),)),))


def dkim(*pairs: tuple[str, str]) -> Verdict:
    return Verdict(results=tuple(MethodResult("dkim", result, properties=(("header.d", d),)) for result, d in pairs))


def transaction(
    header: str, reverse_path: Any = "a@example.com", ip: str = "192.0.2.1", **verdicts: Verdict
) -> MailTransaction:
    sender = None if reverse_path is NULL else Address(*reverse_path.split("@"))
    message = ReceivedMessage(QueueId("1"), 100, header.encode() + b"\r\n\r\n")
    return MailTransaction(Stage.MESSAGE, Peer(ip), "mx.test", reverse_path=sender, message=message, verdicts=verdicts)


class PolicyCase(SynchronousTestCase):
    def verdict(self, what: MailTransaction, resolver: FakeResolver | None = None, **options: Any) -> Verdict:
        policy = DmarcPolicy(DmarcSettings(**options), resolver or FakeResolver(txt=RECORDS), Clock(), lambda: 0.5)
        verifyObject(IPolicy, policy)
        return self.successResultOf(policy.message(what))


class RememberingTests(SynchronousTestCase):
    """What was found of a domain holds for all its mail, as long as DNS says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.resolver = FakeResolver(txt=RECORDS, ttl_s=100)

    def ask(self, *messages: MailTransaction, **options: Any) -> list[Verdict]:
        """The verdicts; how often DNS was asked is in the resolver."""
        policy = DmarcPolicy(DmarcSettings(**options), self.resolver, self.clock, lambda: 0.5)
        found = []
        for message in messages:
            found.append(self.successResultOf(policy.message(message)))
            self.clock.advance(60)
        return found

    def test_a_pass_is_looked_up_once_until_the_answers_are_too_old(self) -> None:
        mail = transaction("From: a@example.com", spf=spf("pass", "b@example.com"))
        first, second, third = self.ask(mail, mail, mail)
        self.assertEqual(first.results, second.results)
        self.assertEqual(second.evidence, third.evidence)
        self.assertEqual(len(self.resolver.questions), 2)

    def test_a_domain_without_a_record_is_remembered_too(self) -> None:
        self.ask(*[transaction("From: a@without.test")] * 2)
        self.assertEqual(len(set(self.resolver.questions)), len(self.resolver.questions))

    def test_what_depends_on_more_is_found_anew(self) -> None:
        passing = transaction("From: a@example.com", spf=spf("pass", "b@example.com"))
        failing = transaction("From: a@example.com", spf=spf("pass", "b@other.test"))
        verdicts = self.ask(passing, failing, failing, passing)
        self.assertEqual([one.results[0].result for one in verdicts], ["pass", "fail", "fail", "pass"])

    def test_what_rests_on_a_failed_look_up_is_not_remembered(self) -> None:
        self.resolver = FakeResolver(txt=RECORDS, failing=["_dmarc.test"])
        self.ask(*[transaction("From: a@without.test")] * 2)
        self.assertEqual(self.resolver.questions.count(("txt", "_dmarc.without.test")), 2)

    def test_nothing_is_remembered_where_that_is_not_wanted(self) -> None:
        mail = transaction("From: a@example.com", spf=spf("pass", "b@example.com"))
        self.ask(mail, mail, remembered=0)
        self.assertEqual(len(self.resolver.questions), 2)


class PolicyTests(PolicyCase):
    def test_mail_that_is_its_authors_passes(self) -> None:
        found = self.verdict(transaction("From: a@news.example.com", spf=spf("pass", "b@Bounce.example.com")))
        self.assertIs(Action.PASS, found.action)
        self.assertEqual(
            b"Authentication-Results: mx.test;\r\n"
            b"\tdmarc=pass (p=reject dis=none) header.from=news.example.com policy.dmarc=none\r\n",
            authentication_results_field("mx.test", found.results),
        )
        self.assertEqual("bounce.example.com", found.evidence["aligned_spf"])

    def test_mail_that_is_not_is_refused_if_its_author_wants_that(self) -> None:
        failing = dkim(("fail", "example.com"), ("pass", "other.test"))
        found = self.verdict(transaction("From: a@example.com", spf=spf("pass", "x@other.test"), dkim=failing))
        assert found.reply is not None
        self.assertEqual((Action.REJECT, 550, "5.7.1"), (found.action, found.reply.code, found.reply.enhanced_code))
        self.assertIn("example.com", found.reply.text)
        self.assertEqual(
            ("fail", "reject"), (found.results[0].result, dict(found.results[0].properties)["policy.dmarc"])
        )

    def test_quarantine_marks_or_refuses(self) -> None:
        what = transaction("From: a@quarantine.test")
        found = self.verdict(what)
        self.assertEqual((Action.TAG, "quarantine"), (found.action, found.evidence["disposition"]))
        self.assertIs(Action.REJECT, self.verdict(what, quarantine="reject").action)

    def test_helo_counts_for_the_null_path_only(self) -> None:
        helo = spf("pass", "example.com", "smtp.helo")
        self.assertIs(Action.PASS, self.verdict(transaction("From: a@example.com", NULL, spf=helo)).action)
        self.assertIs(Action.REJECT, self.verdict(transaction("From: a@example.com", spf=helo)).action)

    def test_dns_that_fails_is_no_reason_to_refuse_unless_configured(self) -> None:
        broken = FakeResolver(failing=["_dmarc.example.com"])
        found = self.verdict(transaction("From: a@example.com"), broken)
        self.assertEqual((Action.PASS, "temperror"), (found.action, found.results[0].result))
        found = self.verdict(transaction("From: a@example.com"), broken, on_failure="tempfail")
        assert found.reply is not None
        self.assertEqual((Action.TEMPFAIL, 451, "4.7.1"), (found.action, found.reply.code, found.reply.enhanced_code))

    def test_what_could_not_be_checked_has_not_failed(self) -> None:
        """RFC 7489 §6.6.2: the policy cannot be applied if SPF or DKIM might have passed."""
        for verdicts in (
            {"spf": spf("temperror", "b@bounce.example.com")},
            {"spf": spf("fail", "example.com"), "dkim": dkim(("fail", "example.com"), ("temperror", "example.com"))},
        ):
            found = self.verdict(transaction("From: a@example.com", **verdicts))
            self.assertEqual((Action.PASS, "temperror"), (found.action, found.results[0].result))
            self.assertEqual(("reject", "none"), (found.evidence["policy"], found.evidence["disposition"]))
            found = self.verdict(transaction("From: a@example.com", **verdicts), on_failure="tempfail")
            self.assertIs(Action.TEMPFAIL, found.action)

    def test_what_could_not_be_checked_for_a_stranger_has_failed(self) -> None:
        strangers = {"spf": spf("temperror", "b@other.test"), "dkim": dkim(("temperror", "other.test"))}
        found = self.verdict(transaction("From: a@example.com", **strangers))
        self.assertEqual((Action.REJECT, "fail"), (found.action, found.results[0].result))

    def test_one_pass_is_enough_whatever_could_not_be_checked(self) -> None:
        mixed = {"spf": spf("temperror", "b@example.com"), "dkim": dkim(("pass", "example.com"))}
        found = self.verdict(transaction("From: a@example.com", **mixed))
        self.assertEqual((Action.PASS, "pass"), (found.action, found.results[0].result))

    def test_mail_whose_author_cannot_be_told_is_treated_as_configured(self) -> None:
        twice, nobody = transaction("From: a@a.test\r\nFrom: b@b.test"), transaction("Subject: hi")
        found = self.verdict(twice)
        self.assertEqual((Action.REJECT, "permerror"), (found.action, found.results[0].result))
        self.assertIs(Action.TAG, self.verdict(twice, several_authors="tag").action)
        found = self.verdict(nobody)
        self.assertEqual((Action.TAG, "none"), (found.action, found.results[0].result))
        self.assertIs(Action.PASS, self.verdict(nobody, no_author="pass").action)

    def test_a_passing_result_tells_of_bimi_if_wanted(self) -> None:
        what = transaction("From: a@example.com", dkim=dkim(("pass", "example.com")))
        self.assertEqual(1, len(self.verdict(what).results))
        bimi = self.verdict(what, bimi=True).results[1]
        self.assertEqual(("bimi", "pass"), (bimi.method, bimi.result))
        self.assertIn(("policy.indicator-uri", "https://example.com/logo.svg"), bimi.properties)
        self.assertEqual(1, len(self.verdict(transaction("From: a@example.com"), bimi=True).results))


SEALED = (
    "ARC-Seal: i=1; a=rsa-sha256; d=stranger.test; s=s; cv=none; b=x\r\n"
    "ARC-Message-Signature: i=1; a=rsa-sha256; d=stranger.test; s=s; h=from; bh=x; b=x\r\n"
    "ARC-Authentication-Results: i=1; mx.stranger.test; dmarc=pass header.from=example.com\r\n"
    "ARC-Seal: i=2; a=rsa-sha256; d=Lists.Example.org; s=s2;\r\n cv=pass; b=x\r\n"
    "ARC-Message-Signature: i=2; a=rsa-sha256; d=lists.example.org; s=s2; h=Date : From:to; bh=x; b=x\r\n"
    "ARC-Authentication-Results: i=2; mx.example.org; dmarc={result} header.from=example.com; arc=pass\r\n"
    "From: a@example.com"
)


class OverrideTests(PolicyCase):
    def overridden(self, what: MailTransaction, **options: Any) -> list[dict[str, str]]:
        found = self.verdict(what, **options)
        self.assertIs(Action.PASS if found.evidence["overrides"] else Action.REJECT, found.action)
        return found.evidence["overrides"]  # type: ignore[return-value]

    def test_the_operator_may_know_better(self) -> None:
        what = transaction("From: a@sub.example.com")
        self.assertEqual("local_policy", self.overridden(what, overrides={"Example.com": "none"})[0]["type"])
        self.assertEqual([], self.overridden(what, overrides={"other.com": "none"}))

    def test_trusted_forwarders_are_let_through(self) -> None:
        networks = (ip_network("192.0.2.0/24"),)
        what = transaction("From: a@example.com")
        self.assertEqual("trusted_forwarder", self.overridden(what, trusted_forwarders=networks)[0]["type"])
        away = transaction("From: a@example.com", ip="2001:db8::1")
        self.assertEqual([], self.overridden(away, trusted_forwarders=networks))

    def test_mailing_lists_are_known_by_what_has_been_verified(self) -> None:
        what = transaction("From: a@example.com", spf=spf("pass", "x@bounces.lists.test"))
        self.assertEqual("mailing_list", self.overridden(what, mailing_lists=("lists.test",))[0]["type"])
        forged = transaction("From: a@example.com\r\nList-Id: <x.lists.test>", spf=spf("fail", "x@lists.test"))
        self.assertEqual([], self.overridden(forged, mailing_lists=("lists.test",)))

    def test_a_trusted_sealer_is_believed_what_it_saw_itself(self) -> None:
        arc = Verdict(results=(MethodResult("arc", "pass"),))
        trusted = {"trusted_sealers": ("example.org",)}
        found = self.overridden(transaction(SEALED.format(result="pass"), arc=arc), **trusted)
        self.assertEqual([{"type": "local_policy", "comment": "arc=pass as[2].d=lists.example.org as[2].s=s2"}], found)
        # The stranger's word about the author is its own invention.
        self.assertEqual([], self.overridden(transaction(SEALED.format(result="fail"), arc=arc), **trusted))
        both = {"trusted_sealers": ("example.org", "stranger.test")}
        self.assertEqual(1, len(self.overridden(transaction(SEALED.format(result="fail"), arc=arc), **both)))

    def test_what_a_sealer_writes_in_its_own_way_voids_nothing_else(self) -> None:
        """As one large provider has it: a version, and words that RFC 8601 does not know."""
        arc = Verdict(results=(MethodResult("arc", "pass"),))
        told = "i=2; mx.example.org; dmarc={result} header.from=example.com; arc=pass"
        for results in (
            "i=2; mx.example.org 1; spf=pass smtp.mailfrom=example.com; dmarc=pass action=none"
            " header.from=example.com; dkim=pass header.d=example.com; arc=none",
            "i=2; spf=pass (sender IP is 192.0.2.1); dmarc=pass action=none header.from=EXAMPLE.com;",
            'i=2 (again); mx.example.org; dkim=fail (x) reason=a"b; c"; dmarc=pass p=reject header.from=example.com',
        ):
            what = transaction(SEALED.replace(told, results), arc=arc)
            self.assertEqual(1, len(self.overridden(what, trusted_sealers=("EXAMPLE.org",))), results)
        # Never the most convenient of several.
        for results in (
            "i=2; mx.example.org; dmarc=fail header.from=example.com; dmarc=pass header.from=example.com",
            "i=2; mx.example.org; dmarc=pass header.from=example.com dmarc=fail header.from=example.com",
            "i=2; mx.example.org; dmarc=pass header.from=other.test",
            'i=2; mx.example.org; dkim=pass header.d="a; dmarc=pass header.from=example.com',
        ):
            what = transaction(SEALED.replace(told, results), arc=arc)
            self.assertEqual([], self.overridden(what, trusted_sealers=("example.org",)), results)

    def test_a_whole_chain_is_believed_and_one_that_was_changed_is_not(self) -> None:
        told = "spf=pass smtp.mailfrom=example.org; dmarc=pass action=none header.from=example.org; arc=none"
        whole = sealed(results=told)
        records = {"_dmarc.example.org": [b"v=DMARC1; p=reject"]}
        for octets, actions in (
            (whole, (Action.PASS, Action.REJECT)),
            (whole.replace(b"Dinner", b"Supper"), (Action.REJECT, Action.REJECT)),
            (whole + b"more\r\n", (Action.REJECT, Action.REJECT)),
            (whole.replace(b"dmarc=pass", b"dmarc=fail"), (Action.REJECT, Action.REJECT)),
        ):
            chain = chain_of(octets)
            arc = Verdict(results=(chain.as_method_result("192.0.2.1"),))
            header = octets.partition(b"\r\n\r\n")[0].decode()
            for sealer, action in zip(("hop1.EXAMPLE.org", "other.example"), actions, strict=True):
                policy = DmarcPolicy(
                    DmarcSettings(trusted_sealers=(sealer,)), FakeResolver(txt=records), Clock(), lambda: 0.5
                )
                asked = policy.message(transaction(header, "a@stranger.test", arc=arc))
                self.assertIs(self.successResultOf(asked).action, action, (sealer, chain))

    def test_a_sealer_that_did_not_cover_the_author_is_not_believed(self) -> None:
        """Its chain passes, but anybody could have written another author there."""
        arc = Verdict(results=(MethodResult("arc", "pass"),))
        for names in ("date:to", "", "x-from"):
            what = SEALED.format(result="pass").replace("Date : From:to", names)
            self.assertEqual([], self.overridden(transaction(what, arc=arc), trusted_sealers=("example.org",)))

    def test_seals_that_do_not_verify_or_are_not_trusted_are_worth_nothing(self) -> None:
        broken = Verdict(results=(MethodResult("arc", "fail"),))
        what = SEALED.format(result="pass")
        self.assertEqual([], self.overridden(transaction(what, arc=broken), trusted_sealers=("example.org",)))
        self.assertEqual([], self.overridden(transaction(what), trusted_sealers=("example.org",)))
        good = Verdict(results=(MethodResult("arc", "pass"),))
        self.assertEqual([], self.overridden(transaction(what, arc=good), trusted_sealers=("stranger.test",)))
