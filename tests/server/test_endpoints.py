"""Each kind of endpoint that the documentation names: whom the server takes the client for."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import TestCase

from pymailsuite.config.base import LOOPBACK
from pymailsuite.config.sections.tls import TlsSettings
from pymailsuite.server.listeners import Listeners, ListeningService, Proxies
from pymailsuite.server.tls import SMTP_TLS, ServerTls, certificate_files
from pymailsuite.wire.connection import ConnectionProtocol
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits
from tests.server.test_listeners import has_ipv6
from tests.server.test_twistd import insecure_context
from tests.support.patience import PATIENCE_S
from tests.support.proxied import ProxiedSmtp
from tests.support.server import TunedServer, free_port_base, running

FOREIGN = "203.0.113.9"
HEADER = f"PROXY TCP4 {FOREIGN} 192.0.2.1 4711 25\r\n".encode()


class PeerTeller(ConnectionProtocol):
    """Says whom it takes the client for."""

    def connection_opened(self) -> None:
        self.send(f"{self.peer_ip or 'no address'}\r\n".encode())
        self.close()


class PeerTellers(ConnectionFactory):
    def make_protocol(self) -> PeerTeller:
        return PeerTeller(self.reactor)


def told(connection: socket.socket, header: bytes, tls: bool = False) -> str:
    """Connects through a proxy that sends this header; whom the server takes the client for, or nothing."""
    with connection:
        connection.settimeout(PATIENCE_S)
        if header:
            connection.sendall(header)
        try:
            if tls:
                connection = insecure_context().wrap_socket(connection, server_hostname="mail.example.test")
            with connection.makefile("rb") as answer:
                return answer.read().decode().strip()
        except (ConnectionResetError, ssl.SSLError):
            return ""


class EndpointTests(TestCase):
    """On real sockets, which are the point here."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.refused: list[tuple[str, str]] = []

    def listen(self, endpoint: str, *, networks: Any = LOOPBACK, tls: bool = False, **more: Any) -> Any:
        context = None
        if tls:
            settings = TlsSettings()
            files = certificate_files(settings, "mail.example.test", self.folder)
            context = ServerTls(settings, files, reactor.seconds).for_service(SMTP_TLS)  # type: ignore[attr-defined]
        factory = PeerTellers(reactor, ConnectionLimits())  # type: ignore[arg-type]
        proxies = Proxies(networks, 5.0, lambda service, ip, why: self.refused.append((service, ip)))
        service = ListeningService("smtp", "listeners.smtp", [endpoint], factory, context, **more)
        listeners = Listeners(reactor, [service], proxies=proxies)
        listeners.privilegedStartService()
        listeners.startService()
        self.addCleanup(listeners.stopService)
        listeners.accept_connections()
        ((_, address),) = listeners.ports()
        return address

    async def tells(self, address: Any, header: bytes = b"", *, tls: bool = False, host: str = "127.0.0.1") -> str:
        if hasattr(address, "port"):
            connection = socket.create_connection((host, address.port), PATIENCE_S)
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(os.fsdecode(address.name))
        answer: str = await deferToThread(told, connection, header, tls)
        return answer

    async def test_tcp(self) -> None:
        self.assertEqual(await self.tells(self.listen("tcp:0:interface=127.0.0.1")), "127.0.0.1")

    async def test_tcp6(self) -> None:
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        self.assertEqual(await self.tells(self.listen("tcp6:0:interface=\\:\\:1"), host="::1"), "::1")

    async def test_unix(self) -> None:
        self.assertEqual(await self.tells(self.listen(f"unix:{self.folder}/smtp")), "no address")

    async def test_systemd(self) -> None:
        for endpoint, header, ip in (
            ("systemd:domain=INET:index=0", b"", "127.0.0.1"),
            ("haproxy:systemd:domain=INET:index=0", HEADER, FOREIGN),
        ):
            with socket.create_server(("127.0.0.1", 0)) as given:
                # Twisted closes what systemd has given.
                descriptors = ListenFDs([os.dup(given.fileno())], ("smtp",))
                with mock.patch("twisted.internet.endpoints._SystemdParser._sddaemon", descriptors):
                    self.assertEqual(await self.tells(self.listen(endpoint), header), ip)

    async def test_a_proxy_in_front_of_tcp(self) -> None:
        self.assertEqual(await self.tells(self.listen("haproxy:tcp:0:interface=127.0.0.1"), HEADER), FOREIGN)

    async def test_a_proxy_in_front_of_a_socket_of_the_file_system(self) -> None:
        self.assertEqual(await self.tells(self.listen(f"haproxy:unix:{self.folder}/smtp"), HEADER), FOREIGN)

    async def test_a_proxy_in_front_of_tls(self) -> None:
        address = self.listen("haproxy:tcp:0:interface=127.0.0.1", tls=True)
        self.assertEqual(await self.tells(address, HEADER, tls=True), FOREIGN)

    async def test_whoever_is_no_proxy_is_cut_off(self) -> None:
        address = self.listen("haproxy:tcp:0:interface=127.0.0.1", networks=())
        self.assertEqual(await self.tells(address, HEADER), "")
        self.assertEqual(self.refused, [("smtp", "127.0.0.1")])

    async def test_a_proxy_without_a_header_is_cut_off(self) -> None:
        address = self.listen("haproxy:tcp:0:interface=127.0.0.1")
        self.assertEqual(await self.tells(address, b"EHLO client.example\r\n"), "")
        self.assertEqual(self.refused, [("smtp", "127.0.0.1")])

    async def test_a_header_is_read_from_the_networks_of_the_service_only(self) -> None:
        address = self.listen("tcp:0:interface=127.0.0.1", proxies=LOOPBACK)
        self.assertEqual(await self.tells(address, HEADER), FOREIGN)
        self.assertEqual(await self.tells(self.listen("tcp:0:interface=127.0.0.1"), HEADER), "127.0.0.1")

    def test_the_start_says_where_clients_of_a_proxy_would_be_trusted(self) -> None:
        for endpoint, more, is_said in (
            ("tcp:0:interface=127.0.0.1", {"trusts_loopback": True}, True),
            ("tcp:0:interface=127.0.0.1", {"trusts_loopback": False}, False),
            ("tcp:0:interface=127.0.0.1", {"trusts_loopback": True, "proxies": LOOPBACK}, False),
            ("haproxy:tcp:0:interface=127.0.0.1", {"trusts_loopback": True}, False),
        ):
            with self.subTest(endpoint=endpoint, **more), capturedLogs() as logs:
                self.listen(endpoint, **more)
            said = any(event.get("event") == "listener.trusts_proxies" for event in logs)
            self.assertEqual(said, is_said)


class RelayTests(unittest.TestCase):
    """A server that trusts loopback, behind a proxy on loopback."""

    def test_it_is_no_open_relay(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            endpoint = f"haproxy:tcp:{free_port_base() + 25}:interface=127.0.0.1"
            server = TunedServer(
                Path(folder), ["ann"], {"listeners": {"smtp": [endpoint]}, "policy": {"enabled": False}}
            )
            with running(server):
                stranger = ProxiedSmtp(FOREIGN, server.port(25))
                stranger.ehlo()
                self.assertEqual(stranger.mail("a@sender.example")[0], 250)
                self.assertEqual(stranger.rcpt("b@elsewhere.example")[0], 550)
                self.assertEqual(stranger.rcpt("ann@example.test")[0], 250)
                stranger.quit()
                here = ProxiedSmtp("127.0.0.1", server.port(25))
                here.ehlo()
                here.mail("a@sender.example")
                self.assertEqual(here.rcpt("b@elsewhere.example")[0], 250)
                here.quit()
