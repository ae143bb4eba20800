"""Password hashes."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth import PasswordHashes, UnusableHash
from pymailsuite.auth.passwords import prepare_password
from pymailsuite.config.sections.auth import AuthSettings
from tests.auth.support import CHEAP


class PasswordHashesTests(SynchronousTestCase):
    def setUp(self):
        self.hashes = PasswordHashes(AuthSettings(**CHEAP))

    def test_hash_is_argon2id_in_phc_form(self):
        self.assertRegex(self.hashes.hash("secret"), r"\A\$argon2id\$v=19\$m=8,t=1,p=1\$[\w+/]+\$[\w+/]+\Z")

    @settings(max_examples=30)
    @given(st.binary(max_size=60))
    def test_any_octets_verify_against_their_own_hash_alone(self, password):
        stored = self.hashes.hash(password)
        self.assertTrue(self.hashes.verify(stored, password))
        self.assertFalse(self.hashes.verify(stored, password + b"!"))

    def test_text_and_its_utf8_octets_are_the_same_password(self):
        self.assertTrue(self.hashes.verify(self.hashes.hash("pässword"), "pässword".encode()))

    def test_ways_of_typing_the_same_text_are_the_same_password(self):
        stored = self.hashes.hash("caf\u00e9 au lait")
        self.assertTrue(self.hashes.verify(stored, "cafe\u0301\u00a0au\u3000lait".encode()))
        self.assertFalse(self.hashes.verify(stored, b"cafe au lait"))

    def test_preparing_twice_is_preparing_once(self):
        for password in (b"\xff\xfe", "\u3000\u0344".encode(), b"plain"):
            once = prepare_password(password)
            self.assertEqual(prepare_password(once), once)

    def test_what_is_no_argon2_hash_is_unusable(self):
        for stored in ("", "x", "$1$salt$hash", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$$", "ü"):
            with self.subTest(stored=stored):
                self.assertRaises(UnusableHash, self.hashes.verify, stored, b"secret")

    def test_nobodys_hash_verifies_as_wrong_with_the_parameters_of_the_settings(self):
        self.assertFalse(self.hashes.verify(self.hashes.nobodys, b""))
        self.assertFalse(self.hashes.is_stale(self.hashes.nobodys))

    def test_other_parameters_make_a_hash_stale(self):
        stored = PasswordHashes(AuthSettings(**(CHEAP | {"argon2_time_cost": 2}))).hash("secret")
        self.assertTrue(self.hashes.verify(stored, b"secret"))
        self.assertTrue(self.hashes.is_stale(stored))
        self.assertFalse(self.hashes.is_stale(self.hashes.hash("secret")))
