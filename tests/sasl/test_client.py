"""PLAIN and LOGIN, client side."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import PeerError
from pymailsuite.sasl import choose_client_mechanism


class ClientTests(SynchronousTestCase):
    def test_plain_is_preferred(self):
        self.assertEqual(choose_client_mechanism(["login", "plain"], "tim", "x").name, "PLAIN")

    def test_nothing_in_common_is_none(self):
        self.assertIsNone(choose_client_mechanism(["GSSAPI"], "tim", "x"))

    def test_plain_has_no_second_answer(self):
        client = choose_client_mechanism(["PLAIN"], "tim", "x")
        self.assertEqual(client.start(), b"\0tim\0x")
        self.assertRaises(PeerError, client.respond, b"")

    def test_login_has_no_third_answer(self):
        client = choose_client_mechanism(["LOGIN"], "tim", "x")
        self.assertIsNone(client.start())
        self.assertEqual([client.respond(b"Username:"), client.respond(b"Password:")], [b"tim", b"x"])
        self.assertRaises(PeerError, client.respond, b"?")

    def test_password_is_not_in_the_repr(self):
        for name in ("PLAIN", "LOGIN"):
            self.assertNotIn("hunter2", repr(choose_client_mechanism([name], "tim", "hunter2")))
