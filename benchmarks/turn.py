"""What one message costs the reactor's thread: with all checks, and with none. No network, no threads, no disk.

PYTHONPATH=. python benchmarks/turn.py [--messages 500] [--rounds 9] [--profile all|none]

The connection, the checks and the intake are those of a server; the store is SQLite in memory, on the same thread, and
counts on both sides. Every answer of DNS is remembered. The figures are the best of the rounds: what else the machine
does can only add to them.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dns.name
import dns.rdatatype
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from pymailsuite.config.loader import settings_from
from pymailsuite.delivery.assembly import make_planner
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.dns.resolver import Resolver
from pymailsuite.interfaces import Answer, MxRecord
from pymailsuite.policy.assembly import make_chain
from pymailsuite.policy.dkim import SigningKey, generate_key
from pymailsuite.smtp.factory import SmtpFactory
from pymailsuite.store import inline_store
from tests.support.stores import fired, make_account

sys.path.insert(0, str(Path(__file__).parent))

from checks import CLIENT_IP, LISTS, messages_signed_by, zone_of

TTL_S = 3600


class TableResolver(Resolver):
    """Asks a zone in memory what it does not remember."""

    def __init__(self, settings: Any, zone: dict[tuple[str, str], list[str]]) -> None:
        super().__init__(settings, reactor)
        self._zone = zone

    async def _ask(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Answer:
        text, kind = name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdtype)
        records: list[Any] = []
        for value in self._zone.get((text, kind), ()):
            if kind == "TXT":
                records.append("".join(value.split('"')[1::2]).encode())
            elif kind == "MX":
                preference, _, exchange = value.partition(" ")
                records.append(MxRecord(int(preference), exchange.rstrip(".")))
            else:
                records.append(value.rstrip("."))
        exists = any(known == text or known.endswith("." + text) for known, _ in self._zone)
        return Answer(tuple(records), exists=exists, ttl_s=TTL_S)


class Receiving:
    """What a listener needs, and a client that has said EHLO."""

    def __init__(self, key: SigningKey, accounts: int, **policy: Any) -> None:
        tables = {
            "server": {"hostname": "mail.example.test", "domains": ["example.test"], "data_dir": "/nowhere"},
            "smtp": {"trusted_networks": [], "max_transactions": 1_000_000},
            "dnsbl": {"lists": [{"zone": name} for name in LISTS]},
            "dmarc": {"report_from": "dmarc@example.test"},
            "policy": policy,
        }
        settings = settings_from(tables, Path("bench.toml"))
        clock: Any = reactor
        store = self._store = inline_store(settings.store, clock)
        fired(store.open())
        for number in range(accounts):
            make_account(store, f"user{number}@example.test")
        resolver = TableResolver(settings.dns, zone_of(key))
        paths = ReturnPaths(settings.forwarding, settings.bounce_tags, store.secrets, clock)
        recipients = ReturnPathResolver(RecipientResolver(settings.directory, store.directory, clock), paths)
        history = HistoryRecorder(settings.history, store.history, clock)
        hostname = settings.server.hostname
        planner = make_planner(settings, store, clock, recipients, paths)
        intake = MessageIntake(store, settings.delivery, planner, hostname, clock, hostname, history)
        policies = make_chain(settings, resolver, store, clock)
        factory = SmtpFactory(
            settings.smtp, hostname, recipients, intake, clock, policies=policies, refusals=history, portal=None
        )
        address = IPv4Address("TCP", CLIENT_IP, 4711)
        self._transport = StringTransport(peerAddress=address)
        self._protocol: Any = factory.buildProtocol(address)
        self._protocol.makeConnection(self._transport)
        self._transport.clear()
        self._say(b"EHLO mx.sender.example\r\n", b"250")

    def _say(self, octets: bytes, wanted: bytes) -> None:
        self._protocol.dataReceived(octets)
        said = self._transport.value()
        self._transport.clear()
        assert said.rstrip().rpartition(b"\r\n")[2].startswith(wanted), said

    def send(self, number: int, text: bytes) -> None:
        """Hand in one message, as a client does that pipelines."""
        envelope = b"MAIL FROM:<joe@sender.example> SIZE=%d\r\nRCPT TO:<user%d@example.test>\r\nDATA\r\n"
        self._say(envelope % (len(text), number % 10), b"354")
        self._say(text, b"250")

    def close(self) -> None:
        """End the connection, so that no timer of it is left, and the store."""
        self._protocol.connectionLost()
        fired(self._store.close())


def cost_ms(receiving: Receiving, messages: Sequence[bytes], count: int) -> float:
    """CPU milliseconds of one message."""
    gc.collect()
    began = time.process_time()
    for number in range(count):
        receiving.send(number, messages[number % len(messages)])
    return (time.process_time() - began) * 1000 / count


def main() -> None:
    """Print the best of the rounds, or a profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=500, help="of each round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--profile", choices=("all", "none"), help="show where the time goes instead")
    arguments = parser.parse_args()
    key = SigningKey("sender.example", "s1", generate_key("rsa"))
    messages = messages_signed_by(key, "sender.example")
    sides = {"none": Receiving(key, 10, enabled=False), "all": Receiving(key, 10)}
    for side in sides.values():
        cost_ms(side, messages, 50)
    if arguments.profile:
        profile = cProfile.Profile()
        profile.enable()
        cost_ms(sides[arguments.profile], messages, arguments.messages)
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    costs: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            costs[name].append(cost_ms(side, messages, arguments.messages))
    none, everything = min(costs["none"]), min(costs["all"])
    print(f"CPU ms a message: {none:.3f} without checks, {everything:.3f} with them: {everything / none:.2f} times")


if __name__ == "__main__":
    main()
