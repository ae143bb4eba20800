"""A mail host that does what a test tells it to and remembers everything; and an internet in memory to reach it by.

internet = MemoryInternet()
sink = SmtpSink(internet, {"RCPT bob@b.example": "550 5.1.1 no such user"})
internet.listen("192.0.2.1", 25, sink)
...
internet.flush()
sink.messages[0].content
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from pymailsuite.wire.dot_stuffing import DotDecoder
from pymailsuite.wire.lines import LineBuffer

CLOSE = "(close)"
"""A reply: close the connection without a word."""

SILENCE = "(silence)"
"""A reply: say nothing any more."""

NO_TLS = "(no tls)"
"""A TLS context: offer STARTTLS, and answer the handshake with nonsense."""

Script = Mapping[str, str | Sequence[str]]

_USUAL = {
    "GREETING": "220 sink.example ESMTP",
    "HELO": "250 sink.example",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    ".": "250 2.0.0 taken",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
    "STARTTLS": "220 2.0.0 go on",
    "AUTH": "235 2.7.0 welcome",
}


@define
class SunkMessage:
    """A message the sink took."""

    reverse_path: str = ""
    mail_parameters: str = ""
    recipients: list[str] = field(factory=list)
    content: bytes = b""
    tls: bool = False
    connection: int = 0


class SmtpSink(Factory):
    """The host. ``script`` overrides replies: keys are a command, or a command and its address (``RCPT a@b.example``),
    ``GREETING`` or ``.`` for the end of the message; a list gives one reply each time, the last one for good.

    ``extensions`` is what EHLO offers. ``tls`` is a context factory; with it STARTTLS is offered. ``line_end``
    ends its replies.
    ``commands`` and ``connections`` remember what came; ``open`` counts connections that are there now.
    """

    noisy = False

    def __init__(
        self,
        clock: Any,
        script: Script | None = None,
        extensions: Sequence[str] = ("PIPELINING", "SIZE 1000000000", "8BITMIME", "SMTPUTF8"),
        tls: Any = None,
        line_end: bytes = b"\r\n",
    ) -> None:
        self.line_end = line_end
        self.clock = clock
        self.script: dict[str, list[str]] = {}
        for key, replies in (script or {}).items():
            self.script[key] = [replies] if isinstance(replies, str) else list(replies)
        self.extensions = list(extensions) + (["STARTTLS"] if tls is not None else [])
        self.tls = tls
        self.messages: list[SunkMessage] = []
        self.commands: list[str] = []
        self.connections = 0
        self.most_open = 0
        self.open: list[SinkProtocol] = []

    def buildProtocol(self, addr: IAddress | None) -> SinkProtocol:
        self.connections += 1
        return SinkProtocol(self, self.connections)

    def reply_to(self, *keys: str) -> str | None:
        """The scripted reply for the first key that has one."""
        for key in keys:
            replies = self.script.get(key)
            if replies:
                return replies.pop(0) if len(replies) > 1 else replies[0]
        return _USUAL.get(keys[-1], "500 5.5.1 what?")


class SinkProtocol(Protocol):
    transport: Any = None

    def __init__(self, sink: SmtpSink, number: int) -> None:
        self.sink = sink
        self.number = number
        self.secure = False
        self.mute = False
        self._start_over()

    def _start_over(self) -> None:
        self.lines = LineBuffer(100_000)
        self.message = SunkMessage()
        self.decoder: DotDecoder | None = None
        self.pieces: list[bytes] = []

    def connectionMade(self) -> None:
        self.sink.open.append(self)
        self.sink.most_open = max(self.sink.most_open, len(self.sink.open))
        self._say(self.sink.reply_to("GREETING"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.sink.open.remove(self)

    def dataReceived(self, data: bytes) -> None:
        if self.secure and self.sink.tls == NO_TLS:
            self.transport.write(b"this is no TLS, whatever you think of it\r\n")
            self.transport.loseConnection()
            return
        self.lines.receive(data)
        while True:
            if self.decoder is not None:
                text, rest = self.decoder.decode(self.lines.take(len(self.lines)))
                self.pieces.append(text)
                if not self.decoder.ended:
                    return
                self.lines.untake(rest)
                self._end_of_message()
                continue
            line = self.lines.next_line()
            if line is None:
                return
            self._command(line.decode())

    def _command(self, line: str) -> None:
        self.sink.commands.append(line)
        verb = line.split(" ")[0].upper()
        address, _, parameters = line.partition("<")[2].partition(">")
        if verb == "EHLO":
            reply = self._hello()
        elif verb == "DATA" and not self.message.recipients:
            reply = "503 5.5.1 no valid recipients"
        else:
            reply = self.sink.reply_to(f"{verb} {address}", verb)
        if reply is not None and reply[0] in "23":
            if verb == "MAIL":
                self.message = SunkMessage(address, parameters.strip(), tls=self.secure, connection=self.number)
            elif verb == "RCPT":
                self.message.recipients.append(address)
            elif verb == "DATA" and reply.startswith("354"):
                self.decoder = DotDecoder()
                self.pieces = []
        self._say(reply)
        if verb == "STARTTLS" and reply is not None and reply.startswith("220"):
            self._start_over()
            self.secure = True
            if self.sink.tls != NO_TLS:
                self.transport.startTLS(self.sink.tls)
        elif verb == "QUIT":
            self.transport.loseConnection()

    def _hello(self) -> str:
        if "EHLO" in self.sink.script:
            return self.sink.reply_to("EHLO") or ""
        lines = ["sink.example", *(e for e in self.sink.extensions if not (self.secure and e == "STARTTLS"))]
        return "\r\n".join(f"250{'-' if i < len(lines) - 1 else ' '}{line}" for i, line in enumerate(lines))

    def _end_of_message(self) -> None:
        assert self.decoder is not None
        self.decoder = None
        self.message.content = b"".join(self.pieces)
        reply = self.sink.reply_to(f". {self.message.reverse_path}", ".")
        if reply is not None and reply.startswith("2"):
            self.sink.messages.append(self.message)
        self._say(reply)

    def _say(self, reply: str | None) -> None:
        self.mute = self.mute or reply == SILENCE
        if reply == CLOSE:
            self.transport.loseConnection()
        elif not self.mute and reply is not None:
            octets = reply.encode() + b"\r\n"
            self.transport.write(octets.replace(b"\r\n", self.sink.line_end))
            if reply.startswith("421"):
                self.transport.loseConnection()


class MemoryInternet(MemoryReactorClock):
    """A reactor whose TCP connections lead to factories in this process. ``flush`` lets everything happen."""

    def __init__(self) -> None:
        super().__init__()
        self._hosts: dict[tuple[str, int], Factory] = {}
        self._unreachable: set[str] = set()
        self._pumps: list[IOPump] = []
        self.attempts: list[tuple[str, int]] = []

    def listen(self, ip: str, port: int, factory: Factory) -> None:
        """Answer connections to this address; all others are refused."""
        self._hosts[ip, port] = factory

    def unplug(self, ip: str, port: int) -> None:
        """Refuse connections to this address from now on."""
        del self._hosts[ip, port]

    def drop_packets_to(self, ip: str) -> None:
        """Connections to this address neither succeed nor fail."""
        self._unreachable.add(ip)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> _Connector:
        self.attempts.append((host, port))
        connector = _Connector(IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port))
        factory.doStart()
        factory.startedConnecting(connector)
        if host in self._unreachable:
            self.callLater(timeout, factory.clientConnectionFailed, connector, Failure(ConnectionRefusedError()))
        elif (host, port) not in self._hosts:
            self.callLater(0, factory.clientConnectionFailed, connector, Failure(ConnectionRefusedError()))
        else:
            self.callLater(0, self._join, host, port, factory)
        return connector

    def _join(self, host: str, port: int, factory: Any) -> None:
        server = self._hosts[host, port].buildProtocol(None)
        client = factory.buildProtocol(None)
        self._pumps.append(
            connect(server, FakeTransport(server, True), client, FakeTransport(client, False), greet=False)
        )

    def flush(self) -> None:
        """Move all octets and run what is due, until nothing moves."""
        moved = True
        while moved:
            moved = False
            for pump in list(self._pumps):
                while pump.pump():
                    moved = True
            due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
            if due:
                moved = True
                self.advance(0)

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, everything happening meanwhile."""
        self.flush()
        until = self.seconds() + seconds
        while self.seconds() < until:
            self.advance(min(step, until - self.seconds()))
            self.flush()


class _Connector:
    def __init__(self, destination: IPv4Address | IPv6Address) -> None:
        self._destination = destination

    def getDestination(self) -> IPv4Address | IPv6Address:
        return self._destination

    def stopConnecting(self) -> None:
        """Nothing is under way that could be stopped."""
