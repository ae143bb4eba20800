"""Signatures made: what they cover, and that they verify whatever may happen to them."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.dkim import DkimSignSettings, SigningKeyFile
from pymailsuite.errors import ConfigError
from pymailsuite.policy.dkim import MessageSigner, SigningKey, SigningRules, generate_key, load_private_key
from pymailsuite.policy.dkim.header import split_fields
from pymailsuite.policy.dkim.private_keys import read_key_file, write_key_file
from pymailsuite.policy.dkim.sign import DEFAULT_RULES
from pymailsuite.policy.dkim.tags import parse_tags
from tests.acceptance import acceptance
from tests.policy.dkim.support import MESSAGE, NOW, private_key, resolver, result_of, results_of, signed, signing_key

lines = st.lists(st.sampled_from([b"a", b"b c", b" ", b"\t", b"", b".", b"\xc3\xbc", b"From x"])).map(
    lambda parts: b"".join(part + b"\r\n" for part in parts)
)


def tags_of(message: bytes) -> dict[str, str]:
    field = message.partition(b"From:")[0].partition(b":")[2]
    return parse_tags(field)


class RoundTripTests(SynchronousTestCase):
    @acceptance("S194")
    @given(lines, st.booleans(), st.booleans(), st.sampled_from(["rsa", "ed25519"]))
    @settings(max_examples=60, deadline=None)
    def test_what_is_signed_verifies(self, body: bytes, header: bool, relaxed: bool, kind: str) -> None:
        rules = SigningRules((b"from", b"subject"), frozenset((b"to",)), header, relaxed)
        key = signing_key(kind)
        message = signed(MESSAGE + body, key, rules=rules)
        self.assertTrue(result_of(message, resolver(key)).passed)

    def test_relaxed_signatures_bear_what_relays_do_to_white_space(self) -> None:
        message = signed()
        message = message.replace(b"Subject: Dinner \r\n at  eight", b"SUBJECT :   Dinner at eight\t")
        message = message.replace(b"Come  early. \r\n", b"Come early.\r\n").removesuffix(b"\r\n\r\n")
        self.assertTrue(result_of(message).passed)

    def test_several_keys_make_several_signatures(self) -> None:
        keys = [signing_key(), signing_key("ed25519", selector="s2")]
        results = results_of(signed(MESSAGE, *keys), resolver(*keys))
        self.assertEqual([(result.selector, result.passed) for result in results], [("s1", True), ("s2", True)])

    def test_fields_there_are_signed_and_those_to_guard_once_more(self) -> None:
        names = "".join(tags_of(signed())["h"].split()).split(":")
        self.assertEqual([names.count(name) for name in ("from", "to", "subject")], [2, 2, 2])
        self.assertEqual([names.count(name) for name in ("cc", "reply-to", "list-id", "received")], [1, 1, 0, 0])

    def test_other_signatures_are_signed_and_the_own_one_is_never_named(self) -> None:
        names = (b"from", b"dkim-signature", b"dkim-signature")
        for rules in (SigningRules(names, exact=True), SigningRules(names[:2], frozenset(names[1:]))):
            once = signed(rules=rules)
            self.assertEqual(tags_of(once)["h"], "from")
            twice = signed(once, rules=rules)
            self.assertEqual(parse_tags(split_fields(twice)[0].body)["h"], "from:dkim-signature")
            self.assertTrue(all(result.passed for result in results_of(twice)))
            self.assertFalse(results_of(twice.replace(b"h=from;", b"h=from ;"))[0].passed)

    def test_what_the_next_server_may_add_is_not_signed_as_absent(self) -> None:
        names = tags_of(signed(b"From: ann@example.org\r\n\r\nHi\r\n"))["h"]
        self.assertNotIn("date", names)
        self.assertNotIn("message-id", names)

    def test_a_signature_tells_when_it_was_made_and_how_long_it_is_good(self) -> None:
        rules = SigningRules.of(DkimSignSettings(expire=3600))
        tags = tags_of(signed(rules=rules))
        self.assertEqual((tags["t"], tags["x"]), (str(NOW), str(NOW + 3600)))
        self.assertNotIn("t", tags_of(signed(rules=SigningRules.of(DkimSignSettings(timestamp=False)))))

    def test_a_message_without_from_or_with_a_giant_header_is_not_signed(self) -> None:
        self.assertRaises(ValueError, signed, b"To: x@example.org\r\n\r\n")
        signer = MessageSigner(DEFAULT_RULES, header_max=100)
        signer.write(b"X: y\r\n" * 1000)
        signer.finish()
        self.assertRaises(ValueError, signer.fields, [signing_key()], NOW)
        self.assertIsNone(signer.author_domain)

    def test_the_domain_is_that_of_the_one_from(self) -> None:
        for header, domain in (
            (b"From: Ann <ann@Example.ORG>\r\n", "example.org"),
            (b"From: a@example.org, b@example.org\r\nSender: a@example.org\r\n", "example.org"),
            (b"From: a@example.org, b@example.com\r\n", None),
            (b"From: a@example.org\r\nFrom: a@example.org\r\n", None),
            (b"From: Doe, Ann <ann@example.org>\r\n", "example.org"),
            ("From: <ann@bücher.example>\r\n".encode(), "xn--bcher-kva.example"),
            (b"From: <a@example.org> <b@example.com>\r\n", None),
            (b"From: nobody\r\n", None),
            (b"To: a@example.org\r\n", None),
        ):
            with self.subTest(header=header):
                signer = MessageSigner()
                signer.write(header + b"\r\nbody")
                signer.finish()
                self.assertEqual(signer.author_domain, domain)


class KeyTests(SynchronousTestCase):
    def test_keys_of_each_kind_come_back_from_their_pem(self) -> None:
        for kind in ("rsa", "ed25519"):
            key = private_key(kind)
            self.assertEqual(load_private_key(key.pem()).record_text(), key.record_text())

    def test_an_ed25519_key_may_be_its_octets_in_base64(self) -> None:
        # RFC 8463, appendix A.2
        key = load_private_key(b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n")
        self.assertEqual(key.record_text(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")

    def test_what_is_no_key_to_sign_with_is_refused_without_a_word_of_it(self) -> None:
        for text in (b"", b"secret", b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n", b"QUJD"):
            with self.subTest(text=text):
                error = self.assertRaises(ValueError, load_private_key, text)
                self.assertNotIn("secret", str(error))
        self.assertRaises(ValueError, generate_key, "rsa", 512)

    @acceptance("S194")
    def test_no_key_is_shown(self) -> None:
        key = signing_key()
        self.assertNotIn("object at", repr(key))
        self.assertIn("rsa", repr(key))

    def test_a_key_file_that_others_may_read_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "key.pem"
            write_key_file(path, private_key("ed25519"))
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            self.assertEqual(read_key_file(path).kind, "ed25519")
            self.assertRaises(FileExistsError, write_key_file, path, private_key("ed25519"))
            os.chmod(path, 0o640)
            read_key_file(path)
            os.chmod(path, 0o644)
            self.assertIn("chmod", str(self.assertRaises(ConfigError, read_key_file, path)))
            path.write_bytes(b"nothing")
            os.chmod(path, 0o600)
            self.assertRaises(ConfigError, read_key_file, path)
            self.assertRaises(ConfigError, read_key_file, path.with_name("other"))

    def test_a_key_signs_from_its_first_moment_until_its_last(self) -> None:
        key = SigningKey("example.org", "s1", private_key(), 100, 200)
        self.assertEqual([key.signs_at(now) for now in (99, 100, 199, 200)], [False, True, True, False])

    def test_settings_hold_domains_selectors_and_field_names(self) -> None:
        self.assertEqual(SigningKeyFile(domain="Example.Org", selector="S1", file="x").selector, "s1")
        for bad in ({"domain": "a b"}, {"selector": "a b"}):
            with self.subTest(bad=bad):
                self.assertRaises(
                    ValidationError, SigningKeyFile, **{"domain": "example.org", "selector": "s", "file": "x", **bad}
                )
        self.assertRaises(ValidationError, DkimSignSettings, headers=["to"])
        self.assertRaises(ValidationError, DkimSignSettings, oversign=["a b"])

    def test_the_published_record_holds_the_key(self) -> None:
        tags = parse_tags(private_key().record_text().encode())
        self.assertEqual((tags["v"], tags["k"]), ("DKIM1", "rsa"))
        base64.b64decode(tags["p"], validate=True)
