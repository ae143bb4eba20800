"""Chains verified: each way in which one can be whole or broken. Source: RFC 8617 §4, §5.2."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.policy.arc import ChainStatus, ChainVerifier, seal_message, verify_arc
from pymailsuite.policy.arc.seal import SEALING_RULES
from pymailsuite.policy.dkim.header import HeaderView, split_fields
from pymailsuite.policy.dkim.sign import SigningRules, signed_field
from pymailsuite.policy.dkim.tags import parse_tags
from tests.acceptance import acceptance
from tests.policy.arc.support import chain_of, keys, sealed
from tests.policy.dkim.support import MESSAGE, NOW, resolver, run, signing_key

SEAL, SIGNATURE, RESULTS = "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"


def field_of(message: bytes, name: str, instance: int = 1) -> bytes:
    """A field of a set, with its line end."""
    for match in re.finditer(rb"(?m)^%b:[^\n]*\n(?:[ \t][^\n]*\n)*" % name.encode(), message):
        if b" i=%d;" % instance in match[0]:
            return match[0]
    raise AssertionError(f"no {name} with i={instance}")


def resealed(message: bytes, name: str, tag: str, value: str | None) -> bytes:
    """A message with one set, of which a tag of a field is another, and all signatures are right for that."""
    fields = {each: field_of(message, each) for each in (RESULTS, SIGNATURE, SEAL)}
    rest = message
    for field in fields.values():
        rest = rest.replace(field, b"")
    key = signing_key(domain="hop1.example.org")
    done = b""
    for each in (RESULTS, SIGNATURE, SEAL):
        if each == RESULTS:
            done = fields[RESULTS]
            continue
        tags = parse_tags(fields[each].partition(b":")[2])
        if each == name:
            tags = {**tags, tag: value} if value is not None else {t: v for t, v in tags.items() if t != tag}
        pairs = [(t, "" if t == "b" else "".join(v.split())) for t, v in tags.items()]
        if each == SIGNATURE:
            names = [word.strip().lower().encode() for word in tags.get("h", "from").split(":")]
            header = done + rest.partition(b"\r\n\r\n")[0] + b"\r\n"
            covered = HeaderView(split_fields(header)).signed_octets(names, tags.get("c") == "relaxed/relaxed")
            done += signed_field(each.encode(), pairs, covered, key, tags.get("c") == "relaxed/relaxed")
        else:
            view = HeaderView(split_fields(done))
            covered = b"".join(view.canonical(field, True) for field in split_fields(done))
            done = signed_field(each.encode(), pairs, covered, key, True) + done
    return done + rest


class ChainTests(SynchronousTestCase):
    @acceptance("S076")
    def test_chains_of_any_length_pass(self) -> None:
        for hops in (1, 2, 3, 10):
            with self.subTest(hops=hops):
                result = chain_of(sealed(hops=hops))
                self.assertEqual((result.status, result.instance), (ChainStatus.PASS, hops))
                self.assertEqual(
                    [hop.domain for hop in result.hops], [f"hop{n}.example.org" for n in range(1, hops + 1)]
                )
        self.assertEqual(result.hops[0].results, "hop1.example.org; spf=pass smtp.mailfrom=example.org")
        self.assertEqual(result.as_row(), {"result": "pass", "instance": 10, "reason": ""})

    def test_a_message_without_arc_has_none(self) -> None:
        for message in (b"", b"\r\n", b"\r\nbody", MESSAGE, b"From: x"):
            self.assertEqual(chain_of(message).status, ChainStatus.NONE)

    def test_fields_of_a_set_may_stand_in_any_order(self) -> None:
        message = sealed(hops=2)
        moved = field_of(message, RESULTS, 2)
        self.assertTrue(chain_of(moved + message.replace(moved, b"")).passed)

    def test_a_change_after_the_last_seal_fails(self) -> None:
        self.assertEqual(chain_of(sealed() + b"more").reason, "body was changed")
        self.assertEqual(chain_of(sealed().replace(b"Dinner", b"Lunch")).reason, "message signature does not match")

    def test_lists_may_change_what_came_in_whole_and_say_so(self) -> None:
        """The seal tells what was found at the door; only the newest message signature counts."""
        once = sealed().replace(b"Subject: ", b"Subject: [list] ")

        key = signing_key(domain="hop2.example.org")
        fields = run(seal_message(once, key, "hop2", keys(), NOW, results="arc=pass; dkim=fail"))
        self.assertTrue(chain_of(fields + once).passed)

    @given(st.lists(st.integers(0, 5000), max_size=10))
    @settings(max_examples=20, deadline=None)
    def test_any_cut_gives_the_same(self, cuts: list[int]) -> None:
        message = sealed(hops=2)
        edges = sorted({0, len(message), *(cut % len(message) for cut in cuts)})
        pieces = [message[start:stop] for start, stop in pairwise(edges)]
        self.assertTrue(run(verify_arc(pieces, keys(), NOW)).passed)

    def test_the_verifier_is_a_tap(self) -> None:
        verifyObject(IMessageTap, ChainVerifier())


class StructureTests(SynchronousTestCase):
    def fails(self, message: bytes, reason: str, asked: FakeResolver | None = None) -> None:
        result = chain_of(message, asked)
        self.assertEqual((result.status, reason in result.reason), (ChainStatus.FAIL, True), result)

    def test_each_field_must_be_there_once(self) -> None:
        for hops in (1, 2):
            message = sealed(hops=hops)
            for name in (SEAL, SIGNATURE, RESULTS):
                for instance in range(1, hops + 1):
                    with self.subTest(name=name, instance=instance, hops=hops):
                        field = field_of(message, name, instance)
                        self.fails(message.replace(field, b""), "not complete")
                        self.fails(field + message, "two ARC fields")

    def test_instances_count_from_one_on(self) -> None:
        message = sealed(hops=2)
        for name in (SEAL, SIGNATURE, RESULTS):
            message = message.replace(field_of(message, name, 1), b"")
        self.fails(message, "not complete")

    def test_instances_are_numbers_from_1_to_50(self) -> None:
        for name in (SEAL, SIGNATURE, RESULTS):
            for value in (b"", b"0", b"a", b"51", b"100", b"-1", b"1.5"):
                with self.subTest(name=name, value=value):
                    field = field_of(sealed(), name)
                    broken = field.replace(b" i=1;", b" i=%b;" % value)
                    self.fails(sealed().replace(field, broken), "no valid i=")

    def test_the_instance_comes_first_in_results_and_ends_in_a_semicolon(self) -> None:
        good = b"i=1; hop1.example.org;"
        self.assertIn(good, sealed())
        for bad in (b"hop1.example.org; i=1;", b"i=1 hop1.example.org;"):
            self.fails(sealed().replace(good, bad), "no valid i=")
        for stands in (b"i = 1 ;", b"(a; \\) b) i=1 (c);"):
            message = sealed().replace(good, stands + b" hop1.example.org;")
            self.fails(message, "seal with i=1 does not match")

    def test_tag_lists_must_be_such(self) -> None:
        for name in (SEAL, SIGNATURE):
            for bad in (b"; s=s1", b"; 1x=y", b"; ;", b"; x"):
                with self.subTest(name=name, bad=bad):
                    field = field_of(sealed(), name)
                    self.fails(sealed().replace(field, field.replace(b"\r\n", bad + b"\r\n")[:-2] + b"\r\n"), "")

    def test_chain_status_must_fit_the_instance(self) -> None:
        message = sealed(hops=2)
        self.fails(message.replace(b"cv=none", b"cv=pass"), "wrong cv=")
        self.fails(message.replace(b"cv=pass", b"cv=none"), "wrong cv=")
        self.fails(message.replace(b"cv=pass", b"cv=Pass"), "wrong cv=")
        self.fails(message.replace(b"cv=pass", b"cv="), "wrong cv=")
        self.fails(message.replace(b"cv=pass", b"cv=fail"), "had failed at i=2")

    def test_more_sets_than_followed_fail(self) -> None:
        message = sealed(hops=3)
        result = run(verify_arc(message, keys(), NOW, ArcSettings(max_instances=2)))
        self.assertEqual((result.status, result.reason), (ChainStatus.FAIL, "more than 2 ARC sets"))

    @acceptance("S076")
    def test_hundreds_of_fields_cost_no_look_up(self) -> None:
        asked = keys()
        self.fails(sealed().partition(b"From:")[0] * 150 + MESSAGE, "more than 50", asked)
        self.assertEqual(asked.questions, [])

    def test_a_giant_header_fails(self) -> None:
        self.fails(b"X: y\r\n" * 300_000 + sealed(), "header is too large")


class SignatureTests(SynchronousTestCase):
    def check(self, name: str, tag: str, value: str | None, passes: bool = False) -> None:
        result = chain_of(resealed(sealed(), name, tag, value))
        self.assertEqual(result.passed, passes, (name, tag, value, result))

    def test_an_untouched_set_passes_when_signed_again(self) -> None:
        self.check(SEAL, "zz", "1", passes=True)
        self.check(SIGNATURE, "zz", "1", passes=True)

    def test_tags_that_must_be_there(self) -> None:
        for name, tags in ((SEAL, ("a", "b", "cv", "d", "i", "s")), (SIGNATURE, ("a", "b", "bh", "d", "h", "i", "s"))):
            for tag in tags:
                with self.subTest(name=name, tag=tag):
                    self.check(name, tag, None)
                    if tag not in ("b", "h"):
                        self.check(name, tag, "")

    def test_a_message_signature_must_cover_the_author_unless_that_is_allowed(self) -> None:
        """Empty names cover nothing."""
        for names in ("", "to:subject", ":"):
            with self.subTest(names=names):
                rules = SigningRules(tuple(name.encode() for name in names.split(":")), exact=True)
                message = sealed(rules=rules)
                self.assertEqual(chain_of(message).reason, "From is not covered by the message signature")
                self.assertTrue(chain_of(message, allow_uncovered_author=True).passed)
        rules = SigningRules((b"from", b"to", b"", b"subject"), exact=True)
        self.assertTrue(chain_of(sealed(rules=rules)).passed)

    def test_text_behind_what_is_covered_breaks_the_chain_unless_that_is_allowed(self) -> None:
        canonical = b"Come early.\r\n\r\nAnn\r\n"
        partly = resealed(sealed(), SIGNATURE, "l", str(len(canonical)))
        self.assertTrue(chain_of(partly).passed)
        longer = partly + b"Buy!\r\n"
        self.assertEqual(chain_of(longer).reason, "body is covered in part only")
        self.assertTrue(chain_of(longer, allow_partial_body=True).passed)

    def test_its_own_field_is_none_of_those_it_covers(self) -> None:
        own = b"arc-message-signature"
        rules = SigningRules((b"from", own), frozenset((own,)))
        self.assertTrue(chain_of(sealed(rules=rules)).passed)
        self.assertTrue(chain_of(sealed(hops=2, rules=rules)).passed)

    def test_tags_that_may_be_missing(self) -> None:
        self.check(SEAL, "t", None, passes=True)
        self.check(SIGNATURE, "t", None, passes=True)

    def test_without_c_both_are_simple(self) -> None:
        simple = SigningRules(SEALING_RULES.headers, relaxed_header=False, relaxed_body=False)
        self.assertTrue(chain_of(resealed(sealed(rules=simple), SIGNATURE, "c", None)).passed)

    def test_values_that_are_not_right(self) -> None:
        for name, tag, value in (
            (SEAL, "h", "from"),
            (SEAL, "a", "rsa-sha1"),
            (SEAL, "a", "RSA-SHA256"),
            (SEAL, "d", "other.example"),
            (SEAL, "s", "other"),
            (SEAL, "t", "soon"),
            (SIGNATURE, "a", "rsa-sha1"),
            (SIGNATURE, "c", "other/other"),
            (SIGNATURE, "bh", "AAAA"),
            (SIGNATURE, "h", "fr\u00f6m"),
            (SIGNATURE, "h", "from:arc-seal"),
            (SIGNATURE, "l", "x"),
            (SIGNATURE, "l", "100000"),
            (SIGNATURE, "x", "1"),
            (SIGNATURE, "t", "soon"),
        ):
            with self.subTest(name=name, tag=tag, value=value):
                self.check(name, tag, value)

    def test_results_may_be_signed_as_the_draft_had_it(self) -> None:
        rules = SigningRules((b"from", b"arc-authentication-results"), exact=True)
        self.assertTrue(chain_of(sealed(hops=2, rules=rules)).passed)

    def test_a_broken_seal_below_the_newest_fails(self) -> None:
        message = sealed(hops=3)
        for instance in (1, 2, 3):
            field = field_of(message, RESULTS, instance)
            result = chain_of(message.replace(field, field.replace(b"spf=pass", b"spf=fail")))
            self.assertEqual((result.status, result.instance), (ChainStatus.FAIL, 3))
            self.assertIn("does not match", result.reason)

    def test_keys_that_are_not_there_or_broken_fail(self) -> None:
        for asked, temporary in (
            (FakeResolver(), False),
            (FakeResolver(failing=["s1._domainkey.hop1.example.org"]), True),
            (FakeResolver(txt={"s1._domainkey.hop1.example.org": [b"v=DKIM1; k=rsa; omgwhatsgoingon"]}), False),
            (FakeResolver(txt={"s1._domainkey.hop1.example.org": [b"v=DKIM1; p="]}), False),
        ):
            result = chain_of(sealed(), asked)
            self.assertEqual((result.status, result.temporary), (ChainStatus.FAIL, temporary))
        small = run(verify_arc(sealed(), keys(), NOW, ArcSettings(min_rsa_bits=2048)))
        self.assertIn("too small", small.reason)

    def test_all_keys_are_asked_for_once(self) -> None:
        asked = keys()
        self.assertTrue(chain_of(sealed(hops=3), asked).passed)
        self.assertEqual(len(asked.questions), 3)

    def test_ed25519_seals_pass(self) -> None:

        key = signing_key("ed25519")
        fields = run(seal_message(MESSAGE, key, "x", resolver(key), NOW))
        self.assertTrue(chain_of(fields + MESSAGE, resolver(key)).passed)
