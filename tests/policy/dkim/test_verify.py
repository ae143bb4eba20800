"""Signatures verified: each way in which one can be good or bad, in the words of RFC 8601."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.dkim import DkimSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.policy.dkim import DkimStatus, MessageVerifier, best
from pymailsuite.policy.dkim.header import HeaderView, split_fields
from pymailsuite.policy.dkim.sign import SigningRules, signed_field
from pymailsuite.policy.dkim.tags import base64_text
from tests.acceptance import acceptance
from tests.policy.dkim.support import (
    MESSAGE,
    NOW,
    private_key,
    resolver,
    result_of,
    results_of,
    run,
    signed,
    signing_key,
)

# RFC 8463, appendix A.
RFC_MESSAGE = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC_KEYS = {
    "brisbane._domainkey.football.example.com": [b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    "test._domainkey.football.example.com": [
        b"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
        b"Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2"
        b"kryOTIKT+l/K4w3QIDAQAB"
    ],
}
# RFC 6376, appendix A.2, with the key of appendix C.
PUBLISHED_EXAMPLE = b"""\
DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
PUBLISHED_KEYS = {
    "brisbane._domainkey.example.com": [
        b"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b"
        b"4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckc"
        b"Q2QIDAQAB"
    ],
}
TAGS = ("v", "a", "b", "bh", "c", "d", "h", "i", "l", "q", "s", "t", "x")
EXACT = SigningRules((b"from", b"to", b"subject", b"date"), exact=True)


def with_tag(message: bytes, tag: bytes, value: bytes | None) -> bytes:
    """The message with a tag of its signature changed, put in, or taken out for None."""
    pattern = re.compile(rb"([:;]\s*)%b=[^;]*?(;|\r\n(?!\s))" % tag)
    if value is None:
        return pattern.sub(rb"\1", message, count=1)
    if pattern.search(message):
        return pattern.sub(rb"\g<1>%b=%b\2" % (tag, value), message, count=1)
    return message.replace(b"v=1;", b"v=1; %b=%b;" % (tag, value), 1)


def signed_by(domain: str, identity: str) -> bytes:
    """A message with nothing but a From, signed with ``i=``."""
    tags = [
        *(("v", "1"), ("a", "rsa-sha256"), ("d", domain), ("i", identity), ("s", "s1")),
        *(("h", "from"), ("bh", "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="), ("b", "")),
    ]
    covered = HeaderView(split_fields(b"From: a@example.org\r\n")).signed_octets([b"from"], False)
    return signed_field(b"DKIM-Signature", tags, covered, signing_key(), False) + b"From: a@example.org\r\n\r\n"


class PassTests(SynchronousTestCase):
    @acceptance("S194", "S161")
    def test_both_signatures_of_the_rfc_verify(self) -> None:
        results = results_of(RFC_MESSAGE, FakeResolver(txt=RFC_KEYS))
        self.assertEqual(
            [(result.status, result.algorithm, result.domain, result.selector, result.key_bits) for result in results],
            [
                (DkimStatus.PASS, "ed25519-sha256", "football.example.com", "brisbane", 256),
                (DkimStatus.PASS, "rsa-sha256", "football.example.com", "test", 1024),
            ],
        )

    def test_the_published_example_verifies_in_its_simple_form(self) -> None:
        keys = FakeResolver(txt=PUBLISHED_KEYS)
        for message in (PUBLISHED_EXAMPLE, PUBLISHED_EXAMPLE.removesuffix(b"\r\n"), PUBLISHED_EXAMPLE + b"\r\n\r\n"):
            self.assertEqual(result_of(message, keys).status, DkimStatus.PASS)
        self.assertEqual(
            result_of(PUBLISHED_EXAMPLE.replace(b"game. Are", b"game.  Are"), keys).reason, "body was changed"
        )

    def test_what_was_found_is_told_in_the_words_of_authentication_results(self) -> None:
        found = results_of(RFC_MESSAGE, FakeResolver(txt=RFC_KEYS))[1].as_method_result()
        self.assertEqual((found.method, found.result, found.comment), ("dkim", "pass", "1024-bit key"))
        self.assertEqual(
            found.properties,
            (
                ("header.d", "football.example.com"),
                ("header.i", "@football.example.com"),
                ("header.s", "test"),
                ("header.a", "rsa-sha256"),
                ("header.b", "F45dVWDf"),
            ),
        )

    @given(st.lists(st.integers(0, 2000), max_size=10))
    @settings(max_examples=30)
    def test_any_cut_gives_the_same(self, cuts: list[int]) -> None:
        edges = sorted({0, len(RFC_MESSAGE), *(cut % len(RFC_MESSAGE) for cut in cuts)})
        pieces = [RFC_MESSAGE[start:stop] for start, stop in pairwise(edges)]
        results = results_of(pieces, FakeResolver(txt=RFC_KEYS))
        self.assertEqual([result.status for result in results], [DkimStatus.PASS] * 2)

    def test_the_verifier_is_a_tap(self) -> None:
        verifyObject(IMessageTap, MessageVerifier())

    def test_keys_are_asked_for_once_each_and_at_the_same_time(self) -> None:
        clock = Clock()
        asked = FakeResolver(txt=RFC_KEYS)
        verifier = MessageVerifier()
        verifier.write(RFC_MESSAGE.replace(b"From:", RFC_MESSAGE.split(b"From:")[0] + b"From:", 1))
        verifier.finish()
        results = run(verifier.results(asked, NOW, clock))
        self.assertEqual(len(results), 4)
        self.assertEqual(len(asked.questions), 2)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_domain_in_testing_passes_and_it_is_said(self) -> None:
        text = private_key().record_text().replace("k=rsa;", "k=rsa; t=y;")
        result = result_of(signed(), resolver(s1=text))
        self.assertTrue(result.passed and result.testing)

    def test_white_space_and_order_in_a_key_record_do_not_matter(self) -> None:
        text = private_key().record_text().replace("v=DKIM1; k=rsa; p=", "n=hello world; p=\n ") + " \n"
        self.assertTrue(result_of(signed(), resolver(s1=text)).passed)

    def test_the_right_one_of_several_records_is_found(self) -> None:
        asked = FakeResolver(
            txt={"s1._domainkey.example.org": [b"v=spf1 -all", b"v=DKIM1; p=", private_key().record_text().encode()]}
        )
        self.assertTrue(result_of(signed(), asked).passed)

    def test_base64_without_its_padding_is_read(self) -> None:
        """RFC 6376 §2.10, ``base64string``."""
        message = signed(MESSAGE, signing_key("ed25519")).replace(b"==\r\nFrom", b"\r\nFrom")
        asked = resolver(s1=private_key("ed25519").record_text().rstrip("="))
        self.assertTrue(result_of(message, asked).passed, message)

    def test_an_identity_is_quoted_printable_and_within_the_domain_in_any_of_its_forms(self) -> None:
        """RFC 6376 §3.5; RFC 8616 §4."""
        asked = resolver(signing_key(domain="xn--bcher-kva.example"))
        for domain, identity in (
            ("xn--bcher-kva.example", "ann=40xn--bcher-kva=2Eexample"),
            ("xn--bcher-kva.example", "=61nn@b=C3=BCcher.example"),
            ("xn--bcher-kva.example", "@mail.b\xfccher.example"),
            ("b\xfccher.example", "ann@xn--bcher-kva.example"),
        ):
            result = result_of(signed_by(domain, identity), asked)
            self.assertTrue(result.passed, result)
            self.assertEqual(result.domain, "xn--bcher-kva.example")
        strict = private_key().record_text().replace("k=rsa;", "k=rsa; t=s;").encode()
        asked = FakeResolver(txt={"s1._domainkey.xn--bcher-kva.example": [strict]})
        self.assertTrue(result_of(signed_by("xn--bcher-kva.example", "=40b\xfccher.example"), asked).passed)

    def test_a_key_in_the_bare_form_of_pkcs1_is_read(self) -> None:
        data = private_key().key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        text = f"v=DKIM1; p={base64.b64encode(data).decode()}"
        self.assertTrue(result_of(signed(), resolver(s1=text)).passed)

    def test_what_follows_the_signed_part_of_the_body_is_counted(self) -> None:
        header, _, body = MESSAGE.partition(b"\r\n\r\n")
        canonical = b"Come early.\r\n\r\nAnn\r\n"
        tags = [
            *(("v", "1"), ("a", "rsa-sha256"), ("c", "relaxed/relaxed"), ("d", "example.org"), ("s", "s1")),
            *(("l", str(len(canonical))), ("h", "from"), ("bh", base64_text(hashlib.sha256(canonical).digest()))),
            ("b", ""),
        ]
        covered = HeaderView(split_fields(header + b"\r\n")).signed_octets([b"from"], True)
        message = signed_field(b"DKIM-Signature", tags, covered, signing_key(), True) + header + b"\r\n\r\n"
        self.assertEqual(result_of(message + body).unsigned_octets, 0)
        longer = result_of(message + body + b"Buy!\r\n", settings=DkimSettings(allow_partial_body=True))
        self.assertEqual((longer.status, longer.unsigned_octets), (DkimStatus.PASS, 10))
        refused = result_of(message + body + b"Buy!\r\n")
        self.assertEqual(refused.status, DkimStatus.POLICY)
        self.assertEqual(result_of(message + b"Come early.\r\n").status, DkimStatus.FAIL)

    def test_no_signature_is_one_of_those_that_it_covers_itself(self) -> None:
        """RFC 6376 §3.5: it names one more than there are, so that none can be added; its own is not one of them."""
        header, _, body = MESSAGE.partition(b"\r\n\r\n")
        digest = base64_text(hashlib.sha256(b"Come early.\r\n\r\nAnn\r\n").digest())

        def one_more(header: bytes) -> bytes:
            names = [b"from", *[b"dkim-signature"] * (header.count(b"DKIM-Signature:") + 1)]
            tags = [
                *(("v", "1"), ("a", "rsa-sha256"), ("c", "relaxed/relaxed"), ("d", "example.org"), ("s", "s1")),
                *(("h", b":".join(names).decode()), ("bh", digest), ("b", "")),
            ]
            covered = HeaderView(split_fields(header + b"\r\n")).signed_octets(names, True)
            return signed_field(b"DKIM-Signature", tags, covered, signing_key(), True) + header

        first = one_more(header)
        self.assertTrue(result_of(first + b"\r\n\r\n" + body).passed)
        both = results_of(one_more(first) + b"\r\n\r\n" + body)
        self.assertEqual([result.status for result in both], [DkimStatus.PASS, DkimStatus.FAIL])
        twice = first[: first.index(b"From:")] + first
        both = results_of(twice + b"\r\n\r\n" + body)
        self.assertEqual({result.status for result in both}, {DkimStatus.FAIL})


class RefusedTests(SynchronousTestCase):
    def check(self, message: bytes, status: DkimStatus, reason: str, **more: object) -> None:
        result = result_of(message, **more)  # type: ignore[arg-type]
        self.assertEqual((result.status, reason in result.reason), (status, True), result)

    def test_a_message_without_a_signature_has_none(self) -> None:
        self.check(MESSAGE, DkimStatus.NONE, "not signed")
        self.check(b"", DkimStatus.NONE, "not signed")
        self.check(b"\r\nDKIM-Signature: v=1", DkimStatus.NONE, "not signed")

    @acceptance("S161")
    def test_domainkeys_is_not_dkim(self) -> None:
        self.check(b"DomainKey-Signature: a=rsa-sha1; s=x; d=example.org\r\n" + MESSAGE, DkimStatus.NONE, "not signed")

    @acceptance("S194")
    def test_a_changed_body_or_header_fails(self) -> None:
        message = signed(rules=EXACT)
        self.check(message.replace(b"early", b"late"), DkimStatus.FAIL, "body was changed")
        self.check(message.replace(b"Dinner", b"Lunch"), DkimStatus.FAIL, "does not match")
        self.check(message.replace(b"t=17700", b"t=17600"), DkimStatus.FAIL, "does not match")
        self.assertTrue(result_of(message.replace(b"Message-ID: <1", b"Message-ID: <2")).passed)

    def test_an_added_field_fails_where_it_was_signed_as_absent(self) -> None:
        self.check(b"From: x@evil.example\r\n" + signed(), DkimStatus.FAIL, "does not match")
        self.check(b"Reply-To: x@evil.example\r\n" + signed(), DkimStatus.FAIL, "does not match")
        self.assertTrue(result_of(b"Received: by somebody\r\n" + signed()).passed)

    def test_a_line_that_is_no_field_cannot_hide_behind_a_signed_one(self) -> None:
        """Some programs take it for a fold of the field before."""
        good = signed(rules=EXACT)
        for stray in (
            b"\x0b, eve@evil.example",
            b"\xc2\xa0, eve@evil.example",
            b"eve@evil.example",
            b"From\r\n : x@y.z",
        ):
            behind = good.replace(b"<ann@example.org>\r\n", b"<ann@example.org>\r\n" + stray + b"\r\n")
            self.check(behind, DkimStatus.FAIL, "does not match")
            self.assertTrue(result_of(stray + b"\r\n" + good).passed)
            unsigned = good.replace(b"1@example.org>\r\n", b"1@example.org>\r\n" + stray + b"\r\n")
            self.assertTrue(result_of(unsigned).passed)

    def test_a_key_that_cannot_be_had_is_said_of_a_changed_message_too(self) -> None:
        """RFC 6376 §6.1: the key comes before the body."""
        changed = signed() + b"more"
        self.check(changed, DkimStatus.PERMERROR, "no key", asked=FakeResolver())
        self.check(changed, DkimStatus.PERMERROR, "revoked", asked=resolver(s1="v=DKIM1; p="))
        failing = FakeResolver(failing=["s1._domainkey.example.org"])
        self.check(changed, DkimStatus.TEMPERROR, "looked up", asked=failing)

    def test_an_expired_signature_costs_no_look_up(self) -> None:
        asked = resolver(signing_key())
        result_of(with_tag(signed(), b"x", b"1770000001"), asked, now=NOW + 2)
        self.assertEqual(asked.questions, [])

    def test_broken_syntax_is_neutral(self) -> None:
        good = signed(rules=EXACT)
        for tag, value, reason in (
            (b"v", b"2", "version"),
            (b"v", None, "no v="),
            (b"a", None, "no a="),
            (b"a", b"rsa-sha512", "algorithm"),
            (b"a", b"RSA-SHA256", "algorithm"),
            (b"b", b"", "no b="),
            (b"b", b"!", "base64"),
            (b"bh", None, "no bh="),
            (b"c", b"nofws", "canonicalization"),
            (b"d", b"-", "no domain name"),
            (b"s", b"a b", "no domain name"),
            (b"h", b"from::to", "field names"),
            (b"l", b"-1", "no number"),
            (b"q", b"dns/other", "way to the key"),
            (b"t", b"soon", "no time"),
            (b"x", b"1", "before it was made"),
            (b"i", b"example.org", "no domain"),
            (b"v", b"1; v=1", "twice"),
        ):
            with self.subTest(tag=tag, value=value):
                self.check(with_tag(good, tag, value), DkimStatus.NEUTRAL, reason)

    def test_what_can_never_verify_is_permerror(self) -> None:
        good = signed(rules=EXACT)
        self.check(with_tag(good, b"a", b"rsa-sha1"), DkimStatus.PERMERROR, "rsa-sha1")
        self.check(with_tag(good, b"h", b"to:subject"), DkimStatus.PERMERROR, "From is not signed")
        self.check(with_tag(good, b"i", b"@example.com"), DkimStatus.PERMERROR, "not within")
        self.check(with_tag(good, b"i", b"@badexample.org"), DkimStatus.PERMERROR, "not within")
        self.check(with_tag(good, b"x", b"1770000001"), DkimStatus.PERMERROR, "expired", now=NOW + 2)

    def test_a_key_that_is_not_there_or_not_fit_is_permerror(self) -> None:
        key = private_key().record_text()
        for text, reason in (
            ("v=DKIM1; p=", "revoked"),
            ("v=DKIM2; " + key.partition("; ")[2], "version"),
            (key.partition("; ")[2] + "; v=DKIM1", "version"),
            ("v=DKIM1; k=rsa", "no p="),
            ("v=DKIM1; k=rsa; omgwhatsgoingon", "tags"),
            ("v=DKIM1; k=rsa; p=AAAA", "not a public key"),
            ("v=DKIM1; k=rsa; p=#", "base64"),
            ("v=DKIM1; k=other; p=AAAA", "unknown kind"),
            (private_key("ed25519").record_text(), "of the kind"),
            ("v=DKIM1; k=ed25519; p=AAAA", "Ed25519"),
            (key.replace("k=rsa;", "k=rsa; h=sha1;"), "SHA-256"),
            (key.replace("k=rsa;", "k=rsa; s=tlsrpt;"), "not for mail"),
        ):
            with self.subTest(text=text):
                self.check(signed(), DkimStatus.PERMERROR, reason, asked=resolver(s1=text))
        self.check(signed(), DkimStatus.PERMERROR, "no key", asked=FakeResolver())

    def test_a_key_for_one_domain_only_is_not_for_those_below_it(self) -> None:
        text = private_key().record_text().replace("k=rsa;", "k=rsa; t=s;")
        message = signed_by("example.org", "@mail.example.org")
        self.assertTrue(result_of(message).passed)
        self.check(message, DkimStatus.PERMERROR, "subdomains", asked=resolver(s1=text))

    def test_a_key_of_a_size_not_accepted_is_policy(self) -> None:
        self.check(signed(), DkimStatus.POLICY, "1024 bits is too small", settings=DkimSettings(min_rsa_bits=2048))

    def test_a_signature_from_the_future_is_policy(self) -> None:
        self.check(signed(), DkimStatus.POLICY, "future", now=NOW - 4000)
        self.assertTrue(result_of(signed(), now=NOW - 3000).passed)

    def test_dns_that_fails_is_temperror(self) -> None:
        asked = FakeResolver(failing=["s1._domainkey.example.org"])
        self.check(signed(), DkimStatus.TEMPERROR, "looked up", asked=asked)

    def test_dns_that_is_silent_is_temperror_after_the_time_it_has(self) -> None:
        class Silent(FakeResolver):
            def txt(self, name: str) -> Deferred[object]:  # type: ignore[override]
                return Deferred()

        clock = Clock()
        verifier = MessageVerifier(DkimSettings(timeout=3))
        verifier.write(signed())
        verifier.finish()
        outcome = Deferred.fromCoroutine(verifier.results(Silent(), NOW, clock))
        self.assertNoResult(outcome)
        clock.advance(3)
        self.assertEqual(self.successResultOf(outcome)[0].status, DkimStatus.TEMPERROR)

    def test_the_best_of_several_is_told(self) -> None:
        results = results_of(signed(signed(rules=EXACT).replace(b"Dinner", b"Lunch")))
        self.assertEqual([result.status for result in results], [DkimStatus.PASS, DkimStatus.FAIL])
        self.assertEqual(best(results[::-1]).status, DkimStatus.PASS)


class HostileTests(SynchronousTestCase):
    def test_only_so_many_signatures_are_looked_at(self) -> None:
        field = signed().partition(b"From:")[0]
        asked = resolver(signing_key())
        self.assertEqual(len(results_of(field * 5000 + MESSAGE, asked, DkimSettings(header_max=10_000_000))), 10)
        self.assertEqual(len(asked.questions), 1)

    def test_a_signature_with_a_giant_tag_is_policy(self) -> None:
        result = result_of(b"DKIM-Signature: v=1; n=" + b"x" * 100_000 + b"\r\n" + MESSAGE)
        self.assertEqual((result.status, result.reason), (DkimStatus.POLICY, "signature is too large"))

    def test_a_giant_header_is_policy_and_is_not_kept(self) -> None:
        result = result_of(b"X: y\r\n" * 300_000 + signed())
        self.assertEqual((result.status, result.reason), (DkimStatus.POLICY, "header is too large"))

    @given(st.binary(max_size=300))
    def test_any_signature_field_gets_a_result(self, octets: bytes) -> None:
        value = re.sub(rb"[\r\n]", b"", octets)
        results = results_of(b"DKIM-Signature: " + value + b"\r\n" + MESSAGE)
        self.assertEqual(len(results), 1)
        self.assertFalse(results[0].passed)

    @given(st.dictionaries(st.sampled_from(TAGS), st.text(max_size=20), max_size=13))
    def test_any_tags_get_a_result(self, tags: dict[str, str]) -> None:
        value = "; ".join(f"{name}={text}" for name, text in tags.items())
        value = re.sub(r"[\r\n\x00-\x1f]", "", value)
        field = b"DKIM-Signature: v=1; a=rsa-sha256; " + value.encode("utf-8", "replace") + b"\r\n"
        self.assertFalse(any(result.passed for result in results_of(field + MESSAGE)))
