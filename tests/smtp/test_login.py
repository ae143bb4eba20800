"""One AUTH exchange."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import PeerError
from pymailsuite.sasl import Cancelled, Challenge, Done, MalformedResponse, PlainServer, SaslPassword
from pymailsuite.smtp.login import LoginExchange

CREDENTIALS = SaslPassword(b"alice", b"secret")


class Scripted:
    """A mechanism that sends data along with success."""

    name = "SCRIPTED"

    def __init__(self):
        self.heard = []

    def start(self, initial):
        self.heard.append(initial)
        return Challenge(b"who?")

    def respond(self, octets):
        self.heard.append(octets)
        return Done(CREDENTIALS, b"proof")


class LoginExchangeTests(SynchronousTestCase):
    """LoginExchange."""

    def test_an_initial_response_may_be_all(self):
        self.assertEqual(LoginExchange(PlainServer()).begin("AGFsaWNlAHNlY3JldA=="), CREDENTIALS)

    def test_no_initial_response_and_an_empty_one_are_told_apart(self):
        for initial, heard in (("", None), ("=", b"")):
            mechanism = Scripted()
            LoginExchange(mechanism).begin(initial)
            self.assertEqual(mechanism.heard, [heard])

    def test_data_that_comes_with_success_is_a_challenge_with_an_empty_answer(self):
        exchange = LoginExchange(Scripted())
        self.assertEqual(exchange.begin(""), b"334 d2hvPw==\r\n")
        self.assertEqual(exchange.go_on(b"YWxpY2U="), b"334 cHJvb2Y=\r\n")
        self.assertEqual(exchange.go_on(b""), CREDENTIALS)

    def test_an_answer_to_data_that_came_with_success_must_be_empty(self):
        exchange = LoginExchange(Scripted())
        exchange.begin("")
        exchange.go_on(b"YWxpY2U=")
        self.assertRaises(PeerError, exchange.go_on, b"YWxpY2U=")

    def test_framing_errors_are_raised(self):
        self.assertRaises(Cancelled, LoginExchange(Scripted()).go_on, b"*")
        self.assertRaises(MalformedResponse, LoginExchange(Scripted()).go_on, b"?")
        self.assertRaises(MalformedResponse, LoginExchange(Scripted()).begin, "*")
