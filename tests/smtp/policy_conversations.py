"""SMTP conversations with a chain of real policies, on made-up DNS, a store and a clock that is moved by hand.

What stands before the first step of a transcript:

``@setting SECTION.OPTION = VALUE``
    as in a configuration file. Policies of which no option is set are off.
``@dns NAME TYPE RECORD``
    a record of A, AAAA, MX, TXT or PTR, this one by its address.
``@dns_fails NAME``
    look-ups of the name fail.
``@ip ADDRESS``
    where the client is.

``X: connect`` or ``X: connect ADDRESS`` is a new connection, from the same address or another. ``X: added TEXT`` looks
for the text in what was put before the last message that was taken.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from pymailsuite.config.loader import settings_from
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.assembly import make_chain, policy_factories
from tests.smtp.conversations import HOST, Server, WireConversation
from tests.support.stores import make_store
from tests.support.transcripts import Transcript

NOW_S = 1_770_000_000.0
STRANGER = "203.0.113.9"


def resolver_of(transcript: Transcript) -> FakeResolver:
    """With the records of the ``@dns`` lines."""
    tables: dict[str, dict[str, list[Any]]] = {kind: {} for kind in ("a", "aaaa", "mx", "txt", "ptr")}
    for line in transcript.arguments("dns"):
        name, kind, record = line.split(" ", 2)
        row: Any = record
        if kind == "MX":
            preference, exchange = record.split()
            row = (int(preference), exchange)
        elif kind == "TXT":
            row = record.encode()
        tables[kind.lower()].setdefault(name, []).append(row)
    return FakeResolver(**tables, failing=transcript.arguments("dns_fails"))  # type: ignore[arg-type]


class PolicyConversation:
    """One client after the other at a server with policies."""

    def __init__(self, transcript: Transcript) -> None:
        tables: dict[str, Any] = tomllib.loads("\n".join(transcript.arguments("setting")))
        off = {name.replace("-", "_"): {"action": "off"} for name in policy_factories()}
        server = {"hostname": HOST, "domains": [HOST], "data_dir": "/nonexistent"}
        settings = settings_from({"server": server, **off, **tables}, Path(transcript.name))
        clock = Clock()
        clock.advance(NOW_S)
        chain = make_chain(settings, resolver_of(transcript), make_store(clock), clock, chance=lambda: 0.5)
        self._server = Server(settings.smtp, policies=chain, clock=clock)
        self._ip = (transcript.arguments("ip") or [STRANGER])[0]
        self._connection = self._server.connect(self._ip)

    def receive(self, octets: bytes) -> None:
        """From the client."""
        self._connection.receive(octets)

    def output(self) -> bytes:
        """To the client."""
        return self._connection.output()

    def ended(self) -> bool:
        """Closed or cut."""
        return self._connection.ended()

    def act(self, name: str, argument: str) -> None:
        """``connect``, ``added``, and what any conversation knows."""
        if name == "connect":
            self._ip = argument or self._ip
            self._connection: WireConversation = self._server.connect(self._ip)
        elif name == "added":
            prefix = self._server.intake.committed[-1].prefix.decode()
            assert argument in prefix.replace("\r\n\t", " "), prefix
        else:
            self._connection.act(name, argument)


def protocol(case: Any, transcript: Transcript) -> PolicyConversation:
    """For ``transcripts(protocol=...)``."""
    return PolicyConversation(transcript)
