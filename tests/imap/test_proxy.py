"""Users whose mail is on a back-end: what is said to it, and what passes then."""

from __future__ import annotations

import unittest
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.imap import ImapBackend, ImapSettings
from pymailsuite.errors import ConfigError
from pymailsuite.imap.proxy.backends import Backends, client_tls
from pymailsuite.imap.proxy.connection import BackendConnection, BackendUnavailable
from pymailsuite.imap.proxy.dialogue import (
    BackendDialogue,
    BackendLogin,
    BeginTls,
    LoggedIn,
    NotLoggedIn,
    proxy_ttl,
)
from tests.acceptance import acceptance
from tests.imap.conversation import PASSWORD, USER, Client, Server, Transport
from tests.support.logs import captured_logs

LOGIN = BackendLogin(b"bob@far.example", b"hunter2", client={"x-originating-ip": "192.0.2.1"})
PLAIN = b64encode(b"\0bob@far.example\0hunter2")
GREETING = b"* OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] hello\r\n"


class DialogueTests(unittest.TestCase):
    """The pure core."""

    def say(self, dialogue: BackendDialogue, octets: bytes) -> tuple[Any, bytes]:
        outcome = dialogue.receive(octets)
        out, dialogue.out = b"".join(dialogue.out), []
        return outcome, out

    def begun(self, greeting: bytes = GREETING, *, starttls: bool = False) -> tuple[BackendDialogue, Any, bytes]:
        dialogue = BackendDialogue(LOGIN, starttls=starttls)
        return dialogue, *self.say(dialogue, greeting)

    def asked(self) -> BackendDialogue:
        """Up to the password."""
        dialogue, _, _ = self.begun()
        _, out = self.say(dialogue, b"* ID NIL\r\np1 OK\r\n")
        self.assertEqual(out, b"p2 AUTHENTICATE PLAIN " + PLAIN + b"\r\n")
        return dialogue

    def test_the_client_is_told_and_the_user_logged_in(self) -> None:
        dialogue, outcome, out = self.begun()
        self.assertEqual((outcome, out), (None, b'p1 ID ("x-originating-ip" "192.0.2.1")\r\n'))
        self.say(dialogue, b"* ID NIL\r\np1 OK\r\n")
        outcome, _ = self.say(dialogue, b"* OK [ALERT] soon\r\np2 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* 1 EXI")
        self.assertEqual(outcome, LoggedIn(b"OK [CAPABILITY IMAP4rev1 IDLE] in", (b"* OK [ALERT] soon",), b"* 1 EXI"))

    def test_without_capabilities_in_the_greeting_they_are_asked_for(self) -> None:
        dialogue, _, out = self.begun(b"* OK hello\r\n")
        self.assertEqual(out, b"p1 CAPABILITY\r\n")
        _, out = self.say(dialogue, b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\np1 OK done\r\n")
        self.assertEqual(out, b"p2 AUTHENTICATE PLAIN\r\n")
        _, out = self.say(dialogue, b"+ \r\n")
        self.assertEqual(out, PLAIN + b"\r\n")

    def test_nothing_is_said_of_the_login_before_tls(self) -> None:
        dialogue, _, out = self.begun(starttls=True)
        self.assertEqual(out, b"p1 STARTTLS\r\n")
        outcome, out = self.say(dialogue, b"p1 OK begin\r\np2 OK [CAPABILITY AUTH=PLAIN] injected\r\n")
        self.assertEqual((outcome, out), (BeginTls(), b""))
        self.assertGreater(dialogue.drop_unread(), 0)
        dialogue.secured()
        self.assertEqual(dialogue.out, [b"p2 CAPABILITY\r\n"])

    def test_starttls_refused_is_the_end(self) -> None:
        dialogue, _, _ = self.begun(starttls=True)
        outcome, out = self.say(dialogue, b"p1 NO not today\r\n")
        self.assertEqual((outcome, out), (NotLoggedIn("it answered STARTTLS with NO not today"), b""))

    def test_what_is_the_fault_of_the_password(self) -> None:
        for reply, is_refused in (
            (b"NO [AUTHENTICATIONFAILED] no", True),
            (b"NO no", True),
            (b"NO [UNAVAILABLE] later", False),
            (b"NO [LIMIT] too many", False),
            (b"BAD " + PLAIN, False),
        ):
            outcome, _ = self.say(self.asked(), b"p2 " + reply + b"\r\n")
            self.assertIsInstance(outcome, NotLoggedIn)
            self.assertEqual(outcome.is_refused, is_refused, reply)
            self.assertNotIn(PLAIN.decode(), outcome.reason)

    def test_a_back_end_that_repeats_the_password_is_not_quoted(self) -> None:
        outcome, _ = self.say(self.asked(), b"* BYE " + PLAIN + b"\r\n")
        self.assertEqual(outcome, NotLoggedIn("it ended the connection"))

    def test_what_is_no_imap_server_is_not_logged_in_to(self) -> None:
        for octets in (
            b"220 mail ESMTP\r\n",
            b"* PREAUTH hello\r\n",
            b"* BYE busy\r\n",
            b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hello\r\n",
            b"* OK hello\r\n" + b"* X\r\n" * 300,
            b"x" * 20000,
            GREETING + b"+ more\r\n",
        ):
            _, outcome, out = self.begun(octets)
            self.assertIsInstance(outcome, NotLoggedIn, octets[:40])
            self.assertNotIn(PLAIN, out)

    def test_a_master_login_says_for_whom(self) -> None:
        login = BackendLogin(b"master", b"key", b"ann")
        self.assertEqual(login.plain, b64encode(b"ann\0master\0key"))
        self.assertNotIn("key", repr(login))

    def test_front_ends_are_counted(self) -> None:
        told = ({}, {"X-Proxy-TTL": "3"}, {"x-proxy-ttl": "99"}, {"x-proxy-ttl": "-1"}, {"x-proxy-ttl": None})
        self.assertEqual([proxy_ttl(fields) for fields in told], [5, 3, 4, 0, 0])


class SettingsTests(unittest.TestCase):
    """What an operator may say."""

    def test_only_loopback_goes_without_tls(self) -> None:
        for host in ("127.0.0.1", "::1", "localhost"):
            self.assertEqual(ImapBackend(host=host, tls="none").tls, "none")
        for host in ("192.0.2.1", "imap.example.org", "127.0.0.1.example.org"):
            with self.assertRaises(ValidationError):
                ImapBackend(host=host, tls="none")

    def test_the_most_exact_name_decides(self) -> None:
        hosts = {"Ann@Example.org": "a.example", "example.org": "b.example", "*": "c.example"}
        settings = ImapSettings(backends={name: ImapBackend(host=host) for name, host in hosts.items()})
        names = ("ann@example.org", "BOB@EXAMPLE.ORG", "carl@example.net", "dora")
        found = [settings.backend_of(name) for name in names]
        self.assertEqual([one and one.host for one in found], ["a.example", "b.example", "c.example", "c.example"])
        self.assertIsNone(ImapSettings().backend_of("ann"))

    def test_files_that_cannot_be_used_are_told(self) -> None:
        with self.assertRaises(ConfigError):
            client_tls(ImapBackend(host="imap.example.org", ca=Path("/nonexistent")))
        backend = ImapBackend(host="imap.example.org", master_login="m", master_password_file=Path("/nonexistent"))
        with self.assertRaises(ConfigError):
            Backends(ImapSettings(backends={"*": backend}), None, lambda _ip, _port: False)
        with self.assertRaises(ValidationError):
            ImapBackend(host="imap.example.org", master_login="m")


class _Backends:
    """Connections over string transports."""

    def __init__(self, server: Server, *, own: bool = False, ip: str = "127.0.0.1") -> None:
        self.server = server
        self.own = own
        self.ip = ip
        self.away = False
        self.made: list[BackendConnection] = []

    def master_login(self, backend: ImapBackend, login_name: str, client: dict[str, str]) -> BackendLogin:
        return BackendLogin(b"master", b"key", login_name.encode(), client)

    def log_in(self, backend: ImapBackend, login: BackendLogin) -> Deferred[BackendConnection]:
        if self.away:
            return fail(BackendUnavailable(cause="refused"))
        connection = BackendConnection(self.server.clock, backend, login, None, 30.0, lambda _ip, _port: self.own)
        self.made.append(connection)
        connection.makeConnection(Transport(self.ip))
        return connection.logged_in


class PassageTests(SynchronousTestCase):
    """A front end over string transports, its back-end spoken by hand."""

    def setUp(self) -> None:
        self.serve()

    def serve(self, backend: ImapBackend | None = None, *, own: bool = False, ip: str = "127.0.0.1") -> None:
        backend = backend or ImapBackend(host="127.0.0.1", tls="none")
        self.server = Server(backends={"far.example": backend}, failed_login_delay=2, connections_per_account=1)
        self.backends = _Backends(self.server, own=own, ip=ip)
        self.server.factory.shared.backends = self.backends  # type: ignore[assignment]
        self.client = self.connected()

    def connected(self) -> Client:
        """A client that has read the greeting."""
        client = self.server.connect()
        client.output()
        return client

    @property
    def backend(self) -> BackendConnection:
        return self.backends.made[-1]

    def said(self) -> bytes:
        """What the back-end has been sent since the last call."""
        transport = self.backend.transport
        octets: bytes = transport.value()
        transport.clear()
        return octets

    def answer(self, octets: bytes) -> bytes:
        """The back-end says something; what the client is sent."""
        self.backend.dataReceived(octets)
        self.server.clock.advance(0)
        return self.client.output()

    def let_in(self, client: Client | None = None, behind: bytes = b"") -> bytes:
        self.client = client or self.client
        self.assertEqual(self.client.send(b"a LOGIN bob@far.example hunter2\r\n" + behind), b"")
        self.answer(GREETING)
        self.answer(b"p1 OK\r\n")
        self.said()
        return self.answer(b"p2 OK [CAPABILITY IMAP4rev1 X-FAR] in\r\n* OK hi\r\n")

    @acceptance("S135")
    def test_the_answer_of_the_back_end_is_the_answer_and_all_behind_passes(self) -> None:
        behind = b"b APPEND x {3+}\r\nabc\r\nc NOOP\r\nd unfin"
        self.assertEqual(self.let_in(behind=behind), b"a OK [CAPABILITY IMAP4rev1 X-FAR] in\r\n* OK hi\r\n")
        self.assertEqual(self.said(), behind)
        self.client.send(b"ished\r\n\0\xff")
        self.assertEqual(self.said(), b"ished\r\n\0\xff")
        self.assertEqual(self.answer(b"* 1 FETCH (X {3}\r\n\0"), b"* 1 FETCH (X {3}\r\n\0")

    @acceptance("S135")
    def test_a_challenge_of_authenticate_carries_the_login_too(self) -> None:
        self.client.send(b"a AUTHENTICATE PLAIN\r\n")
        self.client.send(PLAIN + b"\r\n")
        self.answer(GREETING)
        self.answer(b"p1 OK\r\n")
        self.assertIn(b"AUTHENTICATE PLAIN " + PLAIN, self.said())
        self.assertEqual(self.answer(b"p2 OK in\r\n"), b"a OK in\r\n")

    def test_the_back_end_is_told_who_the_client_is(self) -> None:
        self.client.send(b"a LOGIN bob@far.example hunter2\r\n")
        self.answer(GREETING)
        said = self.said()
        for words in (b'"x-originating-ip" "127.0.0.1"', b'"x-originating-port" "40000"', b'"x-proxy-ttl" "4"'):
            self.assertIn(words, said)

    def test_a_wrong_password_is_answered_as_one_of_ours(self) -> None:
        self.client.send(b"a LOGIN bob@far.example wrong\r\n")
        self.answer(GREETING)
        self.answer(b"p1 OK\r\n")
        self.assertEqual(self.answer(b"p2 NO [AUTHENTICATIONFAILED] far words\r\n"), b"")
        self.server.clock.advance(2)
        far = self.client.output()
        self.assertTrue(self.backend.closing)
        self.assertEqual(self.client.send(b"a LOGIN ann@example.org wrong\r\n"), b"")
        self.server.clock.advance(4)
        self.assertEqual(self.client.output(), far)
        self.assertEqual(far, b"a NO [AUTHENTICATIONFAILED] Authentication credentials invalid\r\n")

    def test_a_back_end_that_is_away_leaves_the_client_to_try_again(self) -> None:
        self.backends.away = True
        answer = self.client.send(b"a LOGIN bob@far.example hunter2\r\n")
        self.assertEqual(answer, b"a NO [UNAVAILABLE] The server with your mail is not available\r\n")
        self.backends.away = False
        self.assertIn(b"a OK", self.let_in())

    def test_a_silent_back_end_is_waited_for_until_its_time_is_over(self) -> None:
        self.client.send(b"a LOGIN bob@far.example hunter2\r\n")
        self.server.clock.advance(31)
        self.assertIn(b"a NO [UNAVAILABLE]", self.client.output())
        self.assertTrue(self.backend.transport.aborted)

    def test_the_server_itself_is_no_back_end(self) -> None:
        self.serve(own=True)
        self.assertIn(b"a NO [UNAVAILABLE]", self.client.send(b"a LOGIN bob@far.example hunter2\r\n"))
        self.assertEqual(self.said(), b"")

    def test_a_circle_of_front_ends_ends(self) -> None:
        self.client.send(b'i ID ("x-proxy-ttl" "1")\r\n')
        self.assertIn(b"a NO [UNAVAILABLE]", self.client.send(b"a LOGIN bob@far.example hunter2\r\n"))
        self.assertEqual(self.backends.made, [])

    def test_no_password_without_tls_to_another_host(self) -> None:
        self.serve(ip="192.0.2.7")
        self.assertIn(b"a NO [UNAVAILABLE]", self.client.send(b"a LOGIN bob@far.example hunter2\r\n"))
        self.assertEqual(self.said(), b"")

    def test_the_password_is_not_in_the_log(self) -> None:
        with captured_logs() as events:
            self.let_in()
            self.client.close()
        text = repr([dict(event) for event in events])
        self.assertIn("imap.passed_on", text)
        for secret in ("hunter2", PLAIN.decode()):
            self.assertNotIn(secret, text)

    def test_either_side_waits_for_the_other(self) -> None:
        self.let_in()
        for source, target, sink in (
            (self.client.protocol, self.backend, self.backend.transport),
            (self.backend, self.client.protocol, self.client.transport),
        ):
            sink.clear()
            target.pauseProducing()
            source.dataReceived(b"x" * 1000)
            self.assertEqual(source.transport.producerState, "paused")
            target.resumeProducing()
            self.assertEqual(source.transport.producerState, "producing")
            self.assertEqual(sink.value(), b"x" * 1000)

    def test_a_side_that_takes_nothing_is_cut_off(self) -> None:
        self.let_in()
        self.backend.pauseProducing()
        self.client.send(b"x" * 1000)
        self.server.clock.advance(301)
        self.assertTrue(self.backend.transport.aborted)

    def test_idle_sessions_are_the_affair_of_the_back_end(self) -> None:
        self.let_in()
        self.server.clock.advance(86400)
        self.assertFalse(self.client.transport.disconnecting or self.backend.transport.disconnecting)

    def test_a_client_that_sends_no_more_is_sent_the_last_answers(self) -> None:
        self.let_in()
        self.client.protocol.readConnectionLost()
        self.assertEqual(self.answer(b"* BYE\r\n"), b"* BYE\r\n")
        self.server.clock.advance(6)
        self.assertTrue(self.client.transport.disconnecting)

    def test_the_end_of_either_is_the_end_of_the_other(self) -> None:
        self.let_in()
        self.client.close()
        self.assertTrue(self.backend.transport.disconnecting)
        self.let_in(self.connected())
        self.backend.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.client.transport.disconnecting)

    def test_the_server_stops_without_a_word_into_a_response(self) -> None:
        self.let_in()
        self.answer(b"* 1 FETCH (X {10}\r\n")
        self.server.factory.shut_down()
        self.assertEqual(self.client.output(), b"")
        self.assertTrue(self.client.transport.disconnecting)
        self.client.close()
        self.assertTrue(self.backend.transport.disconnecting)

    def test_whoever_leaves_before_the_answer_leaves_no_connection(self) -> None:
        self.client.send(b"a LOGIN bob@far.example hunter2\r\n")
        self.client.close()
        self.assertTrue(self.backend.transport.disconnecting)

    def test_sessions_are_counted_by_account(self) -> None:
        self.let_in()
        first = self.client
        self.assertIn(b"a NO [", self.let_in(self.connected()))
        self.assertTrue(self.backend.transport.disconnecting)
        first.close()
        self.assertIn(b"a OK", self.let_in(self.connected()))

    def test_a_connection_that_is_compressed_stays_so(self) -> None:
        compressor, decompressor = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

        def packed(octets: bytes) -> bytes:
            return compressor.compress(octets) + compressor.flush(zlib.Z_SYNC_FLUSH)

        self.client.login()
        self.client.command("COMPRESS DEFLATE")
        octets = self.client.send(packed(b"u UNAUTHENTICATE\r\na LOGIN bob@far.example hunter2\r\n"))
        self.assertIn(b"u OK", decompressor.decompress(octets))
        self.answer(GREETING)
        self.answer(b"p1 OK\r\n")
        self.said()
        self.backend.dataReceived(b"p2 OK in\r\n" + b"* X\r\n" * 50_000)
        octets = b""
        while len(octets) < 250_000:
            self.server.clock.advance(0)
            octets += decompressor.decompress(self.client.output())
        self.assertEqual(octets[-250_000:], b"* X\r\n" * 50_000)
        self.client.send(packed(b"b NOOP\r\n"))
        self.assertEqual(self.said(), b"b NOOP\r\n")

    def test_others_log_in_here_as_ever(self) -> None:
        self.assertIn(b"a OK", self.client.send(f"a LOGIN {USER} {PASSWORD}\r\n".encode()))
        self.assertEqual(self.backends.made, [])

    def test_with_a_master_login_the_password_is_proved_here(self) -> None:
        key = Path(self.mktemp())
        key.write_text("key\n", encoding="ascii")
        backend = ImapBackend(host="127.0.0.1", tls="none", master_login="master", master_password_file=key)
        self.serve(backend)
        backends = Backends(self.server.settings, None, lambda _ip, _port: False)
        self.assertEqual(backends.master_login(backend, "bob", {}), BackendLogin(b"master", b"key", b"bob"))
        self.server.add_user("bob@far.example")
        self.client.send(b"a LOGIN bob@far.example wrong\r\n")
        self.server.clock.advance(2)
        self.assertIn(b"a NO [AUTHENTICATIONFAILED]", self.client.output())
        self.assertEqual(self.backends.made, [])
        self.client.send(f"a LOGIN bob@far.example {PASSWORD}\r\n".encode())
        self.answer(GREETING)
        self.answer(b"p1 OK\r\n")
        self.assertIn(b64encode(b"bob@far.example\0master\0key"), self.said())
        self.assertEqual(self.answer(b"p2 NO [AUTHENTICATIONFAILED] no\r\n")[:18], b"a NO [UNAVAILABLE]")

    def test_behind_a_front_end_nobody_logs_out_to_be_another(self) -> None:
        self.client.send(b'i ID ("x-proxy-ttl" "4")\r\n')
        self.client.login()
        self.assertTrue(self.client.command("UNAUTHENTICATE")[-1].startswith("x NO"))
