"""What the checks of clients, senders and messages cost: server CPU for 1,000 messages with all of them and with none.

PYTHONPATH=. python benchmarks/checks.py [--messages 2000] [--conns 10] [--per-conn 0] [--rounds 3]

Two whole servers, one with ``[policy] enabled = false``, get the same load in turn: mail from a played address (PROXY
header) that is signed, that SPF and DMARC pass, and whose client and sender no list has. After the first round every
answer of DNS is in the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "load"))

import common

from pymailsuite.policy.dkim import SigningKey, generate_key, sign_message
from tests.support.dns import ZoneServer
from tests.support.server import Server, TunedServer, running

CLIENT_IP = "203.0.113.9"
SIZE = 4096
VARIANTS = 50
LINE = b"Lorem ipsum dolor sit amet, consectetur  adipiscing elit, sed do eiusmod temp.\r\n"
LISTS = ("bl1.example", "bl2.example", "bl3.example")


def zone_of(key: SigningKey) -> dict[tuple[str, str], list[str]]:
    """Everything a well-kept sender publishes."""
    record = key.private.record_text()
    pieces = " ".join(f'"{record[at : at + 250]}"' for at in range(0, len(record), 250))
    return {
        ("sender.example", "MX"): ["10 mx.sender.example."],
        ("sender.example", "TXT"): ['"v=spf1 mx include:_spf.sender.example -all"'],
        ("_spf.sender.example", "TXT"): ['"v=spf1 ip4:198.51.100.0/24 ~all"'],
        ("_dmarc.sender.example", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:dmarc@sender.example"'],
        (key.name, "TXT"): [pieces],
        ("mx.sender.example", "A"): [CLIENT_IP],
        ("mx.sender.example", "TXT"): ['"v=spf1 a -all"'],
        ("9.113.0.203.in-addr.arpa", "PTR"): ["mx.sender.example."],
        **{("2.0.0.127." + name, "A"): ["127.0.0.2"] for name in LISTS},
    }


def messages_signed_by(key: SigningKey, domain: str) -> list[bytes]:
    """Ready for the wire, ended by the line with the dot."""
    found = []
    for number in range(VARIANTS):
        header = (
            f"From: Joe Sender <joe@{domain}>\r\nTo: user0@example.test\r\nSubject: Number {number} of them\r\n"
            f"Date: Mon, 2 Feb 2026 02:40:00 +0000\r\nMessage-ID: <{number}.1@{domain}>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        ).encode()
        message = header + LINE * ((SIZE - len(header)) // len(LINE))
        found.append(b"".join(sign_message(message, [key], time.time())) + message + b".\r\n")
    return found


class PlayedClient(common.Smtp):  # type: ignore[misc]  # the load clients have no types
    """A load client from another address."""

    def __init__(self, port: int) -> None:
        common.Conn.__init__(self, "127.0.0.1", port)
        self.sock.sendall(f"PROXY TCP4 {CLIENT_IP} 127.0.0.1 4711 25\r\n".encode())
        self.expect(220)
        self.sock.sendall(b"EHLO mx.sender.example\r\n")
        self.pipelining = b"PIPELINING" in self.expect(250).upper()


def load(server: Server, messages: list[bytes], arguments: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of the server for 1,000 messages, and messages a second."""
    share = arguments.messages // arguments.conns
    each = arguments.per_conn or share

    def work(index: int) -> None:
        client = None
        for number in range(share):
            if number % each == 0:
                if client is not None:
                    client.quit()
                client = PlayedClient(server.port(25))
            recipient = b"user%d@example.test" % (number % 10)
            client.send(b"joe@sender.example", [recipient], messages[(number + index) % len(messages)])
        client.quit()

    measured = common.Server(str(server.pid))
    before = measured.cpu()
    _, seconds, _ = common.run_workers(arguments.conns, work)
    count = share * arguments.conns
    return (measured.cpu() - before) * 1000 / count, count / seconds


def settings_of(zone: ZoneServer, **policy: Any) -> dict[str, dict[str, Any]]:
    """Of a server as the load wants it."""
    return {
        "smtp": {"proxy_protocol": ["127.0.0.0/8"], "connections_per_address": 1000, "trusted_networks": []},
        "dns": {"servers": [zone.address]},
        "policy": policy,
    }


def main() -> None:
    """Print a JSON line a round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000, help="of each round")
    parser.add_argument("--conns", type=int, default=10)
    parser.add_argument("--per-conn", type=int, default=0, help="messages of a connection; 0: all on one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reports", action="store_true", help="collect for DMARC reports too")
    parser.add_argument("--wait", action="store_true", help="print the pid and wait for a line before the load")
    arguments = parser.parse_args()
    key = SigningKey("sender.example", "s1", generate_key("rsa"))
    messages = messages_signed_by(key, "sender.example")
    accounts = [f"user{number}" for number in range(10)]
    with tempfile.TemporaryDirectory() as folder, ZoneServer(zone_of(key)) as zone:
        checked = settings_of(zone)
        checked["dnsbl"] = {"lists": [{"zone": name} for name in LISTS]}
        checked["dmarc"] = {"reports": arguments.reports, "report_from": "dmarc@example.test"}
        costs: dict[str, list[float]] = {"none": [], "all": []}
        with contextlib.ExitStack() as stack:
            servers = {}
            for name, settings in (("none", settings_of(zone, enabled=False)), ("all", checked)):
                os.mkdir(f"{folder}/{name}")
                servers[name] = stack.enter_context(running(TunedServer(Path(folder, name), accounts, settings)))
                load(servers[name], messages, argparse.Namespace(messages=100, conns=2, per_conn=0))
            if arguments.wait:
                input(f"pids: {', '.join(f'{server.pid} ({name})' for name, server in servers.items())} ")
            # In turn, so that what else the machine does burdens both alike.
            for _, (name, server) in itertools.product(range(arguments.rounds), servers.items()):
                cost, rate = load(server, messages, arguments)
                costs[name].append(cost)
                print(
                    json.dumps({"checks": name, "cpu_s_per_1000": round(cost, 3), "a_second": round(rate)}), flush=True
                )
    none, everything = (statistics.median(costs[name]) for name in ("none", "all"))
    print(f"CPU s per 1,000: {none:.3f} without checks, {everything:.3f} with them: {everything / none:.2f} times")


if __name__ == "__main__":
    main()
