"""Password hashes."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.auth import PasswordHashes, UnusableHash, passwords
from pymailsuite.auth.passwords import cost_of, prepare_password
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


SALT, DIGEST = "c2FsdHNhbHRzYWx0c2E", "A" * 43
MALFORMED = (
    "",
    "$argon2id$",
    "$argon2id$v=19$m=8,t=1,p=1$$",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}$",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}$AAAAAA",
    f"$argon2id$v=19$m=8,t=1,p=1$AA${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST} ",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}\n",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}$more",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${'B' * 42}x",
    f" $argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}",
    f"{{ARGON2ID}}$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}",
    f"$argon2x$v=19$m=8,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=99$m=8,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=0,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=0,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=-8,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=0${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=2${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1${SALT}${DIGEST}",
    f"$argon2id$v=19$t=1,m=8,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=1,keyid=AA${SALT}${DIGEST}",
    f"$argon2id$v=19$m=\u0668,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}$" + "A" * 100_000,
    "$2b$12$abcdefghijklmnopqrstuv",
    "secret",
    "\ud800",
)
TOO_DEAR = (
    f"$argon2id$v=19$m=1048576,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=4294967295,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=4294967295,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=65536,t=64,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=262144,t=1,p=16384${SALT}${DIGEST}",
    f"$argon2id$v=19$m=99999999999,t=1,p=1${SALT}${DIGEST}",
)


class StrangeHashesTests(SynchronousTestCase):
    """What stands in the store may be anything."""

    def setUp(self):
        self.hashes = PasswordHashes(AuthSettings(**CHEAP))
        self.in_vain = []
        work = passwords.hash_secret_raw

        def noting(secret, salt, passes, memory_kib, *more):
            self.in_vain.append(passes * memory_kib)
            return work(secret, salt, passes, memory_kib, *more)

        self.patch(passwords, "hash_secret_raw", noting)

    def test_nobody_logs_in_with_one_and_it_costs_what_a_wrong_password_does(self):
        for stored in MALFORMED + TOO_DEAR:
            for password in (b"", b"secret", stored.encode("utf-8", "surrogatepass")):
                self.in_vain.clear()
                self.assertRaises(UnusableHash, self.hashes.verify, stored, password)
                self.assertEqual(self.in_vain, [8])

    def test_every_refusal_costs_as_much_as_the_dearest_hash_that_was_seen(self):
        cheap, dear = (
            PasswordHashes(AuthSettings(argon2_time_cost=passes, argon2_memory_kib=64)).hash("secret")
            for passes in (1, 5)
        )
        for stored in (dear, cheap, self.hashes.nobodys, self.hashes.hash("secret")):
            self.in_vain.clear()
            self.assertFalse(self.hashes.verify(stored, b"wrong"))
            self.assertEqual(sum(self.in_vain) + cost_of(stored).work, 5 * 64)

    def test_a_right_password_costs_its_own_hash_alone(self):
        self.hashes.verify(PasswordHashes(AuthSettings(argon2_memory_kib=64)).hash("secret"), b"secret")
        self.assertTrue(self.hashes.verify(self.hashes.hash("secret"), b"secret"))
        self.assertEqual(self.in_vain, [])

    def test_settings_that_ask_for_more_than_the_limit_are_their_own(self):
        settings = AuthSettings(argon2_memory_kib=64, argon2_most_memory_kib=8, argon2_most_work_mib=1)
        hashes = PasswordHashes(settings)
        self.assertTrue(hashes.verify(hashes.hash("secret"), b"secret"))
