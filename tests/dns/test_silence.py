"""A name server that has died is not waited for again and again."""

from __future__ import annotations

import socket
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.dns.liveness import Liveness
from pymailsuite.dns.nameserver import Nameserver, SilentNameserver
from tests.acceptance import acceptance
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S, at_best, until
from tests.support.server import TunedServer

TIMEOUT_S, PROBE_S, INTERVAL_S = 3.0, 2.0, 8.0
Answers = Callable[[dns.message.Message], bool]


class PlayedSocket(dns.asyncbackend.DatagramSocket):
    """Of a server that answers a question if ``answers`` says so."""

    def __init__(self, backend: PlayedBackend, address: str) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self._backend = backend
        self._address = address
        self._waiting: list[bytes] = []

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        query = dns.message.from_wire(what)
        self._backend.asked.append((query.question[0].name.to_text(), self._backend.clock.seconds()))
        if self._address not in self._backend.dead and self._backend.answers(query):
            response = dns.message.make_response(query)
            response.set_rcode(self._backend.rcode)
            self._waiting.append(response.to_wire())
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        if self._waiting:
            return self._waiting.pop(0), (self._address, 53)

        def timed_out(result: Any, seconds: float) -> Any:
            raise dns.exception.Timeout

        never: Deferred[Any] = Deferred()
        # dnspython's own deadlines go by the time of day, of which no time passes in this test.
        return await never.addTimeout(round(timeout or 0, 1), self._backend.clock, timed_out)

    async def close(self) -> None:
        self._backend.closed += 1

    async def getpeername(self) -> Any:
        return ("192.0.2.53", 53)


class PlayedBackend:
    """Sockets to a played server, and all it was asked, with the time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.answers: Answers = lambda query: True
        self.rcode = 0
        self.opened = self.closed = 0
        self.dead: set[str] = set()
        self.addresses: list[str] = []
        self.asked: list[tuple[str, float]] = []

    def datagram_connection_required(self) -> bool:
        return True

    async def make_socket(self, af: int, kind: int, proto: int, source: Any, destination: Any) -> PlayedSocket:
        self.opened += 1
        self.addresses.append(destination[0])
        return PlayedSocket(self, destination[0])


class SilenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.backend = PlayedBackend(self.clock)
        self.server = Nameserver("192.0.2.53", 53, self.clock, PROBE_S, INTERVAL_S)

    def ask(self, name: str = "example.test.", kind: str = "A") -> Deferred[Any]:
        request = dns.message.make_query(name, kind)
        return Deferred.fromCoroutine(self.server.async_query(request, TIMEOUT_S, None, 0, False, self.backend))

    def fall_silent(self) -> None:
        self.backend.answers = lambda query: False
        self.clock.advance(1)
        asked = self.ask()
        self.clock.pump([TIMEOUT_S, PROBE_S / 2, PROBE_S / 2])
        self.failureResultOf(asked, dns.exception.Timeout)

    @acceptance("S034")
    def test_a_server_that_leaves_question_and_probe_unanswered_is_not_waited_for(self) -> None:
        self.fall_silent()
        asked = len(self.backend.asked)
        for kind in ("A", "TXT"):
            self.failureResultOf(self.ask(kind=kind), SilentNameserver)
        self.assertEqual(asked, len(self.backend.asked))

    def test_what_it_is_probed_with_is_sent_twice_before_it_counts_as_silent(self) -> None:
        self.successResultOf(self.ask("known.test."))
        self.fall_silent()
        probes = [name for name, at in self.backend.asked if at >= 1001 + TIMEOUT_S]
        self.assertEqual([".", "known.test.", "example.test."] * 2, probes)

    def test_one_that_answers_only_what_is_its_own_is_alive_again_at_the_next_question_of_these(self) -> None:
        self.fall_silent()
        self.backend.answers = lambda query: query.question[0].name.to_text() == "own.test."
        self.clock.advance(1)
        self.successResultOf(self.ask("own.test."))

    def test_a_server_that_is_silent_about_one_name_is_alive(self) -> None:
        for rcode in (0, 2, 3, 5):
            self.backend.rcode = rcode
            self.backend.answers = lambda query: query.question[0].name == dns.name.root
            silent = self.ask("silent.test.")
            self.clock.advance(TIMEOUT_S)
            self.failureResultOf(silent, dns.exception.Timeout)
            self.backend.answers = lambda query: True
            self.successResultOf(self.ask())

    def test_a_server_that_answered_others_meanwhile_is_not_probed(self) -> None:
        self.backend.answers = lambda query: query.question[0].name.to_text() == "example.test."
        silent = self.ask("silent.test.")
        self.clock.advance(1)
        self.successResultOf(self.ask("example.test."))
        self.clock.advance(TIMEOUT_S)
        self.failureResultOf(silent, dns.exception.Timeout)
        self.assertEqual(2, len(self.backend.asked))

    def test_an_answer_to_a_probe_ends_the_silence(self) -> None:
        self.fall_silent()
        self.backend.answers = lambda query: True
        self.failureResultOf(self.ask(), SilentNameserver)
        self.clock.advance(1)
        # The probe goes out with this look-up, and its answer is there before the look-up would fail.
        self.successResultOf(self.ask())
        self.successResultOf(self.ask())
        self.assertEqual(self.backend.opened, self.backend.closed)

    def test_probes_come_at_longer_and_longer_intervals_however_much_is_asked(self) -> None:
        self.fall_silent()
        since = self.clock.seconds()
        for _ in range(600):
            self.clock.advance(0.1)
            self.failureResultOf(self.ask(), SilentNameserver)
        times = sorted({round(at - since, 1) for name, at in self.backend.asked if at > since and name == "."})
        # Two questions of each probe, a second apart; then 1, 2, 4, 8 and again 8 seconds between the probes.
        self.assertEqual([1.0, 2.0, 5.0, 6.0, 11.0, 12.0, 21.0, 22.0], [round(at, 0) for at in times[:8]])

    def test_after_a_quiet_time_a_look_up_waits_for_the_probe_and_is_answered(self) -> None:
        self.fall_silent()
        self.backend.answers = lambda query: False
        self.clock.advance(3 * INTERVAL_S)
        first, second = self.ask(), self.ask()
        self.assertNoResult(first)
        self.clock.pump([PROBE_S / 2, PROBE_S / 2])
        self.failureResultOf(first, SilentNameserver)
        self.failureResultOf(second, SilentNameserver)

    def test_without_an_interval_silence_is_not_remembered(self) -> None:
        self.server = Nameserver("192.0.2.53", 53, self.clock, PROBE_S, 0)
        self.fall_silent()
        again = self.ask()
        self.assertNoResult(again)
        self.clock.advance(TIMEOUT_S)
        self.failureResultOf(again, dns.exception.Timeout)

    def test_liveness_begins_as_alive_and_suspects_who_was_never_heard(self) -> None:
        liveness = Liveness(INTERVAL_S)
        self.assertIsNone(liveness.silent_since)
        self.assertTrue(liveness.is_suspect(5.0))
        liveness.heard(5.0)
        self.assertFalse(liveness.is_suspect(5.0))
        self.assertFalse(liveness.is_probe_due(10.0))


class SeveralServersTests(SynchronousTestCase):
    @acceptance("S034")
    def test_those_that_answer_are_asked_until_the_others_do_again(self) -> None:
        clock = Clock()
        backend = PlayedBackend(clock)
        backend.dead.add("192.0.2.1")
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.timeout = TIMEOUT_S
        resolver.nameservers = [
            Nameserver(address, 53, clock, PROBE_S, INTERVAL_S) for address in ("192.0.2.1", "192.0.2.2")
        ]

        def asked_of() -> list[str]:
            """Who was asked for a name, until it is known."""
            del backend.addresses[:]
            found = Deferred.fromCoroutine(
                resolver.resolve("a.test.", "A", raise_on_no_answer=False, backend=backend)  # type: ignore[arg-type]
            )
            while not found.called:
                clock.advance(0.5)
            self.successResultOf(found)
            return list(backend.addresses)

        clock.advance(1)
        # The second socket to the first server is the probe's.
        self.assertEqual(["192.0.2.1", "192.0.2.1", "192.0.2.2"], asked_of())
        clock.pump([PROBE_S / 2, PROBE_S / 2])
        self.assertEqual(["192.0.2.2"], asked_of())
        backend.dead.clear()
        clock.advance(1)
        self.assertEqual(["192.0.2.1", "192.0.2.1"], asked_of())
        self.assertEqual(["192.0.2.1"], asked_of())


class MuteServer(ZoneServer):
    """Answers nobody while it is ``mute``."""

    mute = True

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        return None if self.mute else super().answer(wire, transport)


class SilentServerTests(unittest.TestCase):
    """A whole server whose name server dies and comes back."""

    def talk(self, server: TunedServer) -> tuple[str, float]:
        """The reply to MAIL, and the seconds it took from the connection on."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port(25)), timeout=PATIENCE_S) as connection:
            connection.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 25\r\n")
            stream: Any = connection.makefile("rb")
            stream.readline()
            connection.sendall(b"HELO mx.client.example\r\n")
            stream.readline()
            connection.sendall(b"MAIL FROM:<a@client.example>\r\n")
            return stream.readline().decode(), time.monotonic() - began

    @acceptance("S034")
    def test_only_the_first_clients_wait_and_mail_comes_in_again_soon_after_it_answers(self) -> None:
        records = {
            ("client.example", "MX"): ["10 mx.client.example."],
            ("mx.client.example", "A"): ["203.0.113.9"],
            ("9.113.0.203.in-addr.arpa", "PTR"): ["mx.client.example."],
        }
        with tempfile.TemporaryDirectory() as folder, MuteServer(records) as zone:
            settings: dict[str, dict[str, Any]] = {
                "smtp": {"proxy_protocol": ["127.0.0.0/8"], "trusted_networks": []},
                "dns": {"servers": [zone.address], "timeout": 1, "probe_timeout": 0.5, "probe_interval": 1},
            }
            server = TunedServer(Path(folder), ["ann"], settings)
            server.start()
            self.addCleanup(server.stop)
            reply, waited_s = self.talk(server)
            self.assertTrue(reply.startswith("451 4.1.8 "), reply)
            self.assertGreater(waited_s, 1)

            def time_of_another() -> float:
                reply, waited_s = self.talk(server)
                self.assertTrue(reply.startswith("451 4.1.8 "), reply)
                return waited_s

            for _ in range(5):
                at_best(time_of_another, 0.9)
            zone.mute = False
            until(lambda: self.talk(server)[0].startswith("250 "))
