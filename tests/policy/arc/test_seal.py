"""Seals: what they say of the chain before them, and when there is none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.policy.arc import ChainStatus, MessageSealer, seal_message
from pymailsuite.policy.arc.seal import SEALING_RULES
from pymailsuite.policy.dkim.header import HeaderView, split_fields, unfolded_body
from pymailsuite.policy.dkim.sign import SigningRules
from pymailsuite.policy.dkim.tags import parse_tags
from tests.acceptance import acceptance
from tests.policy.arc.support import chain_of, keys, sealed
from tests.policy.dkim.support import MESSAGE, NOW, run, signing_key

FOUND = b"Authentication-Results: lists.example.org 1; spf=pass\r\n smtp.mailfrom=a.example\r\n"


def fields_of(
    message: bytes, results: str = "", authserv_id: str = "lists.example.org", rules: SigningRules = SEALING_RULES
) -> bytes:
    key = signing_key(domain="hop9.example.org")
    return run(seal_message(message, key, authserv_id, keys(), NOW, results=results, rules=rules))


def results_line(fields: bytes) -> str:
    (field,) = HeaderView(split_fields(fields)).fields(b"arc-authentication-results")
    return unfolded_body(field).replace(b"\t", b" ").decode()


def seal_tags(fields: bytes) -> dict[str, str]:
    return parse_tags(HeaderView(split_fields(fields)).fields(b"arc-seal")[0].body)


class SealTests(SynchronousTestCase):
    @acceptance("S076")
    def test_the_first_seal_finds_no_chain(self) -> None:
        fields = fields_of(MESSAGE, "spf=pass smtp.mailfrom=a.example;\n dkim=pass")
        self.assertEqual(results_line(fields), "i=1; lists.example.org; spf=pass smtp.mailfrom=a.example; dkim=pass")
        self.assertEqual((seal_tags(fields)["cv"], seal_tags(fields)["t"]), ("none", str(NOW)))
        self.assertTrue(chain_of(fields + MESSAGE).passed)

    def test_our_name_in_front_of_what_was_found_is_not_doubled(self) -> None:
        self.assertEqual(
            results_line(fields_of(MESSAGE, "Lists.example.org; spf=pass")), "i=1; lists.example.org; spf=pass"
        )

    def test_results_of_our_name_are_merged_and_those_of_others_left_out(self) -> None:
        message = FOUND + b"Authentication-Results: other.example; dkim=pass\r\n"
        message += b"Authentication-Results: lists.example.org; dmarc=pass;\r\n" + MESSAGE
        self.assertEqual(
            results_line(fields_of(message)),
            "i=1; lists.example.org; spf=pass smtp.mailfrom=a.example; dmarc=pass",
        )
        self.assertEqual(results_line(fields_of(MESSAGE)), "i=1; lists.example.org; arc=none")

    def test_our_name_may_have_comments_around_it(self) -> None:
        """RFC 8601 §2.2."""
        commented = b"Authentication-Results: (a; b) Lists.Example.org (seen (by) us) 1 (one);\r\n spf=pass\r\n"
        broken = b"Authentication-Results: lists.example.org said nothing that can be read\r\n"
        newer = b"Authentication-Results: lists.example.org 2; spf=fail\r\n"
        self.assertEqual(
            results_line(fields_of(commented + broken + newer + MESSAGE)), "i=1; lists.example.org; spf=pass"
        )
        self.assertEqual(
            results_line(fields_of(MESSAGE, "(us) lists.example.org (x); spf=pass (a; b)")),
            "i=1; lists.example.org; spf=pass (a; b)",
        )

    def test_authentication_results_and_arc_fields_are_not_signed(self) -> None:
        fields = fields_of(FOUND + b"DKIM-Signature: x\r\n" + MESSAGE)
        names = parse_tags(HeaderView(split_fields(fields)).fields(b"arc-message-signature")[0].body)["h"].split(":")
        self.assertIn("dkim-signature", names)
        self.assertFalse({"authentication-results", "arc-seal", "arc-authentication-results"} & set(names))

    @acceptance("S076")
    def test_a_broken_chain_gets_one_last_seal_that_says_so(self) -> None:
        broken = sealed(hops=2).replace(b"Come", b"Go")
        fields = fields_of(broken)
        self.assertEqual((seal_tags(fields)["i"], seal_tags(fields)["cv"]), ("3", "fail"))
        result = chain_of(fields + broken)
        self.assertEqual((result.status, result.instance, result.ended), (ChainStatus.FAIL, 3, True))
        self.assertEqual(fields_of(fields + broken), b"")

    def test_the_last_seal_covers_its_own_set_only(self) -> None:
        one = fields_of(sealed(hops=1).replace(b"Come", b"Go"), "spf=pass")
        other = fields_of(sealed(hops=1, results="spf=fail").replace(b"Come", b"Go"), "spf=pass")
        self.assertEqual(one, other)

    def test_fields_that_make_no_chain_get_the_next_valid_instance(self) -> None:
        message = b"ARC-Seal: i=; cv=none\r\n" + sealed()
        fields = fields_of(message)
        self.assertEqual((seal_tags(fields)["i"], seal_tags(fields)["cv"]), ("2", "fail"))
        stray = b"ARC-Seal: nonsense\r\n" + MESSAGE
        self.assertEqual((seal_tags(fields_of(stray))["i"], seal_tags(fields_of(stray))["cv"]), ("1", "fail"))

    def test_what_was_found_at_the_door_goes_before_what_is_there_now(self) -> None:
        changed = sealed().replace(b"Subject: ", b"Subject: [list] ")
        self.assertEqual(seal_tags(fields_of(changed, "arc=pass"))["cv"], "pass")
        self.assertEqual(seal_tags(fields_of(sealed(), "spf=pass; arc=fail"))["cv"], "fail")
        # In a comment or a reason it is somebody's text, and whoever says fail is right.
        broken = sealed().replace(b"Come", b"Go")
        for found in ("spf=pass (x; arc=pass)", 'spf=fail reason="x; arc=pass"', "arc=pass; arc=fail"):
            self.assertEqual(seal_tags(fields_of(broken, found))["cv"], "fail", found)
        # Nobody can have found a chain in what makes none.
        self.assertEqual(seal_tags(fields_of(b"ARC-Seal: x\r\n" + sealed(), "arc=pass"))["cv"], "fail")
        self.assertEqual(seal_tags(fields_of(MESSAGE, "arc=pass"))["cv"], "none")

    def test_the_fiftieth_seal_is_the_last(self) -> None:
        message = sealed(hops=50)
        self.assertTrue(chain_of(message).passed)
        self.assertEqual(fields_of(message), b"")

    def test_a_message_without_from_or_with_a_giant_header_is_not_sealed(self) -> None:
        self.assertRaises(ValueError, fields_of, b"To: x\r\n\r\n")
        self.assertRaises(ValueError, fields_of, b"X: y\r\n" * 300_000 + MESSAGE)

    def test_the_sealer_is_a_tap(self) -> None:
        verifyObject(IMessageTap, MessageSealer())

    def test_signatures_are_in_one_line_so_that_relays_cannot_fold_them(self) -> None:
        for line in fields_of(MESSAGE).split(b"\r\n"):
            self.assertTrue(line.startswith(b" b=") or len(line) < 79, line)

    def test_the_instance_stands_behind_a_space_wherever_the_fold_is(self) -> None:
        """dkimpy finds it by that."""
        for count in range(40):
            rules = SigningRules((b"from", b"x" * (1 + count)), exact=True)
            self.assertEqual(fields_of(MESSAGE, rules=rules).count(b" i=1;"), 3, count)
