"""PLAIN and LOGIN, server side."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.cred.credentials import IUsernamePassword
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.errors import LoginRefused, PeerError
from pymailsuite.sasl import (
    Challenge,
    Done,
    LoginServer,
    PlainServer,
    SaslPassword,
    choose_client_mechanism,
    mechanisms,
)

_UTF8 = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=80)


def _converse(name, login_name, password):
    """A client and a server of one mechanism, joined: what the server ends with."""
    client = choose_client_mechanism([name], login_name, password)
    server = mechanisms(plaintext_allowed=True)[name]()
    step = server.start(client.start())
    while isinstance(step, Challenge):
        step = server.respond(client.respond(step.octets))
    return step


class PlainTests(SynchronousTestCase):
    def test_initial_response_is_the_whole_exchange(self):
        step = PlainServer().start(b"\0tim\0tanstaaftanstaaf")
        self.assertEqual(step, Done(SaslPassword(b"tim", b"tanstaaftanstaaf")))
        verifyObject(IUsernamePassword, step.credentials)

    def test_without_initial_response_an_empty_challenge_asks(self):
        server = PlainServer()
        self.assertEqual(server.start(None), Challenge(b""))
        self.assertEqual(server.respond(b"\0tim\0x").credentials.username, b"tim")

    def test_an_empty_initial_response_is_a_malformed_message(self):
        self.assertRaises(PeerError, PlainServer().start, b"")

    def test_authorization_identity_may_be_the_same_in_any_case(self):
        step = PlainServer().start(b"Tim@mail.example\0tim@mail.example\0x")
        self.assertEqual(step.credentials.authorization_id, b"Tim@mail.example")

    def test_acting_as_another_is_refused(self):
        self.assertRaises(LoginRefused, PlainServer().start, b"Ursel\0Kurt\0xipj3plmq")

    def test_malformed_messages_are_peer_errors(self):
        for octets in (
            b"tim\0x",
            b"\0tim\0a\0b",
            b"\0\0x",
            b"\0tim\0",
            b"\0\xff\0x",
            b"\0tim\0\xff",
            b"\0ti\rm\0x",
            b"\0" + b"a" * 2000 + b"\0x",
            b"\0tim\0" + b"a" * 2000,
        ):
            with self.subTest(octets=octets[:20]):
                self.assertRaises(PeerError, PlainServer().start, octets)

    def test_neither_refusal_nor_repr_shows_the_password(self):
        self.assertNotIn("hunter2", repr(PlainServer().start(b"\0tim\0hunter2")))
        error = self.assertRaises(PeerError, PlainServer().start, b"\0hunter2")
        self.assertNotIn("hunter2", f"{error} {error!r}")


class LoginTests(SynchronousTestCase):
    def test_asks_for_name_then_password(self):
        server = LoginServer()
        self.assertEqual(server.start(None), Challenge(b"Username:"))
        self.assertEqual(server.respond(b"tim"), Challenge(b"Password:"))
        self.assertEqual(server.respond(b"x"), Done(SaslPassword(b"tim", b"x")))

    def test_name_may_come_with_the_command(self):
        server = LoginServer()
        self.assertEqual(server.start(b"tim"), Challenge(b"Password:"))
        self.assertEqual(server.respond(b"x"), Done(SaslPassword(b"tim", b"x")))

    def test_malformed_answers_are_peer_errors(self):
        for name in (b"", b"\xff", b"a\0b", b"a\nb"):
            server = LoginServer()
            server.start(None)
            self.assertRaises(PeerError, server.respond, name)
        for password in (b"", b"\xff", b"a\0b"):
            server = LoginServer()
            server.start(b"tim")
            self.assertRaises(PeerError, server.respond, password)


class MechanismsTests(SynchronousTestCase):
    def test_none_is_offered_where_somebody_may_listen(self):
        self.assertEqual(mechanisms(plaintext_allowed=False), {})

    def test_each_is_known_by_its_own_name(self):
        for name, factory in mechanisms(plaintext_allowed=True).items():
            self.assertEqual(factory().name, name)

    @given(_UTF8, _UTF8)
    def test_server_hears_what_the_client_says(self, login_name, password):
        for name in mechanisms(plaintext_allowed=True):
            credentials = _converse(name, login_name, password).credentials
            self.assertEqual((credentials.username, credentials.password), (login_name.encode(), password.encode()))
            self.assertTrue(credentials.checkPassword(password.encode()))
            self.assertFalse(credentials.checkPassword(password.encode() + b"x"))

    @given(st.one_of(st.none(), st.binary(max_size=60)), st.lists(st.binary(max_size=60), max_size=3))
    def test_any_octets_end_in_a_step_or_an_error_of_the_tree(self, initial, answers):
        for factory in mechanisms(plaintext_allowed=True).values():
            server = factory()
            try:
                step = server.start(initial)
                for octets in answers:
                    if isinstance(step, Done):
                        break
                    step = server.respond(octets)
            except (PeerError, LoginRefused):
                continue
            self.assertIsInstance(step, Challenge | Done)
