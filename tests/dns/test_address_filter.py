"""Whom we connect to when somebody else has named the address."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent

from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.config.sections.outgoing import OutgoingSettings
from pymailsuite.dns.address_filter import PRIVATE, AddressFilter, FilteredReactor, has_address

_BAD = {
    "loopback": [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
        "2002:7f00:1::25",
        "2001:0:7f00:1::",
        "2001:0:c000:201:0:0:80ff:fffe",
        "2001:db8::5efe:127.0.0.1",
        "2001:db8::200:5efe:7f00:1",
    ],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "::0.0.0.5", "64:ff9b::", "2002::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"],
    "broadcast": ["255.255.255.255", "::ffff:255.255.255.255"],
    "reserved": ["240.0.0.1", "254.1.2.3", "192.0.0.8", "100::1", "64:ff9b:1::7f00:1", "5::1", "2001:20::1"],
}
_PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.1.2.3",
    "2002:c0a8:1::1",
]
_GOOD = [
    "192.0.2.1",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2001:db8::1",
    "2a00:1450::1",
    "::ffff:192.0.2.1",
    "64:ff9b::192.0.2.1",
    "2002:c000:201::1",
]


@pytest.mark.parametrize(("kind", "ip"), [(kind, ip) for kind, ips in _BAD.items() for ip in ips])
def test_what_is_nobody_elses_is_objected_to_in_whatever_form(kind: str, ip: str) -> None:
    assert AddressFilter().objection(ip) == kind


@pytest.mark.parametrize("ip", _GOOD)
def test_what_is_somebodys_is_not(ip: str) -> None:
    assert AddressFilter(OutgoingSettings(private_networks=False)).objection(ip) == ""


@pytest.mark.parametrize("ip", _PRIVATE)
def test_private_networks_are_a_setting(ip: str) -> None:
    assert AddressFilter().objection(ip) == ""
    assert AddressFilter(OutgoingSettings(private_networks=False)).objection(ip) == PRIVATE


def settings(**options: object) -> OutgoingSettings:
    return OutgoingSettings.model_validate(options)


class JudgeTests(SynchronousTestCase):
    def test_networks_can_be_allowed_and_refused(self) -> None:
        address_filter = AddressFilter(
            settings(allowed_networks=["127.0.0.0/8"], refused_networks=["127.0.0.9", "192.0.2.0/24"])
        )
        for ip, objection in (
            ("127.0.0.1", ""),
            ("::ffff:127.0.0.1", ""),
            ("127.0.0.9", "a refused network"),
            ("::ffff:127.0.0.9", "a refused network"),
            ("192.0.2.1", "a refused network"),
            ("::1", "loopback"),
        ):
            self.assertEqual(address_filter.objection(ip), objection, ip)

    def address_filter(self, *endpoints: str) -> AddressFilter:
        listeners = ListenerSettings(
            smtp=endpoints, submission=(), submissions=(), imap=(), imaps=(), pop3=(), pop3s=()
        )
        return AddressFilter(None, listeners, ["198.51.100.9"], lambda ip: ip in ("192.0.2.7", "2001:db8::7"))

    def test_our_own_listeners_are_ourselves_at_their_ports(self) -> None:
        address_filter = self.address_filter("tcp:25", "tcp6:25", "haproxy:tcp:26", "unix:/run/x")
        for ip in ("192.0.2.7", "2001:db8::7", "127.0.0.1", "127.9.9.9", "0.0.0.0", "::", "::1", "::ffff:192.0.2.7"):
            self.assertTrue(address_filter.is_ourselves(ip, 25), ip)
            self.assertFalse(address_filter.is_ourselves(ip, 587), ip)
        self.assertTrue(address_filter.is_ourselves("192.0.2.7", 26))
        self.assertFalse(address_filter.is_ourselves("2001:db8::7", 26))
        self.assertFalse(address_filter.is_ourselves("192.0.2.8", 25))

    def test_a_listener_on_one_address_is_ourselves_there_only(self) -> None:
        address_filter = self.address_filter("tcp:2025:interface=127.0.0.1", r"tcp:2025:interface=\:\:1")
        for ip, ourselves in (
            ("127.0.0.1", True),
            ("127.0.0.2", False),
            ("::1", True),
            ("::ffff:127.0.0.1", True),
            ("0.0.0.0", True),
            ("192.0.2.7", False),
        ):
            self.assertEqual(address_filter.is_ourselves(ip, 2025), ourselves, ip)

    def test_a_socket_that_we_are_handed_is_supposed_to_be_the_usual_one(self) -> None:
        self.assertTrue(self.address_filter("systemd:domain=INET:index=0").is_ourselves("192.0.2.7", 25))
        self.assertFalse(self.address_filter("unix:/run/x").is_ourselves("192.0.2.7", 25))

    def test_the_addresses_of_the_settings_are_ourselves_at_every_port(self) -> None:
        self.assertTrue(self.address_filter().is_ourselves("198.51.100.9", 4711))

    def test_the_system_knows_its_own_addresses(self) -> None:
        self.assertTrue(has_address("127.0.0.1"))
        self.assertFalse(has_address("255.255.255.255"))

    def test_what_the_system_said_is_asked_again_after_a_while(self) -> None:
        asked: list[str] = []
        clock = Clock()
        address_filter = AddressFilter(None, ListenerSettings(), (), lambda ip: bool(asked.append(ip)), clock.seconds)
        for _ in range(3):
            self.assertFalse(address_filter.is_ourselves("192.0.2.7", 25))
        self.assertEqual(asked, ["192.0.2.7"])
        clock.advance(61)
        address_filter.is_ourselves("192.0.2.7", 25)
        self.assertEqual(asked, ["192.0.2.7"] * 2)

    def test_a_client_of_http_reaches_no_address_that_is_objected_to(self) -> None:
        for named, attempts in ((), 0), (("127.0.0.1",), 1):
            reactor = MemoryReactorClock()
            agent = Agent(FilteredReactor(reactor, AddressFilter(), named))
            asked: Deferred[object] = agent.request(b"GET", b"http://127.0.0.1:8025/list")
            reactor.advance(1)
            self.assertEqual(len(reactor.tcpClients), attempts)
            if not attempts:
                self.assertIn("loopback", self.failureResultOf(asked).getErrorMessage())
