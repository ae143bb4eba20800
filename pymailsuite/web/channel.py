"""One HTTPS connection: twisted.web's HTTP with limits on its time, on its requests, and on what it takes for one.

A deadline is for a whole step and not moved by what comes: the time from the connection (or the last answer) to the
first octet of a request, in which the TLS handshake falls, and the time from there to the end of the answer. A client
that sends several requests at once gets one answer in a turn of the reactor, so that others get theirs between.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

_BAD: Final = b"This is no request that can be answered.\n"


class ReloadOnHangup(Protocol):
    """A connection too many: closed at once, before a handshake costs anything."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


class Channel(HTTPChannel):
    """A connection of a :class:`~pymailsuite.web.site.WebFactory`, which is its ``site`` and sets its ``clock``."""

    site: Any
    key = ""
    """What it is counted as."""

    _deadline: IDelayedCall | None = None
    _turn: IDelayedCall | None = None
    _waiting: Deferred[None] | None = None
    _asking = False
    _over = False
    _requests = 0

    # --- time

    def _wait(self, seconds: float) -> None:
        self._wait_no_more()
        self._deadline = self.site.reactor.callLater(seconds, self._late)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self._end()
        # Not in good order: somebody who takes no answer would not take that either.
        transport: Any = self.transport
        transport.abortConnection()

    def connectionMade(self) -> None:
        """A client has connected, and has not sent anything yet."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._wait(self.site.settings.idle)

    def dataReceived(self, data: bytes) -> None:
        """Octets of requests."""
        if self._over:
            return
        if not self._asking:
            self._asking = True
            self._wait(self.site.settings.request_time)
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def requestDone(self, request: Any) -> None:
        """An answer has been given; the next request may be here already."""
        self._asking = False
        self._wait(self.site.settings.idle)
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client has gone."""
        self._end()
        self._wait_no_more()
        if self._turn is not None:
            self._turn.cancel()
        self.site.count_no_more(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    # --- turns

    def my_turn(self) -> Deferred[None] | None:
        """None: a request may be answered now. Otherwise fires when it may: one has been answered in this turn."""
        if self._turn is None:
            self._turn = self.site.reactor.callLater(0, self._next_turn)
            return None
        self._waiting = Deferred()
        return self._waiting

    def _next_turn(self) -> None:
        self._turn = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._turn = self.site.reactor.callLater(0, self._next_turn)
            waiting.callback(None)

    # --- what is no request

    def _end(self) -> None:
        """Listen no more."""
        self._over = True

    def lineReceived(self, line: bytes) -> None:
        """A line of a header, unless one before it was wrong: twisted.web would go on."""
        if b"\n" in line or b"\r" in line:
            # RFC 9112 §2.2: a line end of another kind within one is read by others as the end of it.
            self._respondToBadRequestAndDisconnect()
        elif not self._over:
            super().lineReceived(line)  # type: ignore[no-untyped-call]

    def rawDataReceived(self, data: bytes) -> None:
        """Octets of a body, likewise."""
        if not self._over:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line that is too long, or that does not end."""
        self._respondToBadRequestAndDisconnect()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether another request may follow this one."""
        self._requests += 1
        if self._requests >= self.site.settings.requests:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        persistent: bool = super().checkPersistence(request, version)  # type: ignore[no-untyped-call]
        return persistent

    def close_after(self, request: Any) -> None:
        """Let no other request follow this one."""
        request.setHeader("Connection", "close")
        self.persistent = 0

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Say that it is none, once, and hang up."""
        if self._over:
            return
        self._end()
        self.transport.write(  # type: ignore[union-attr]
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(_BAD), _BAD)
        )
        self.loseConnection()  # type: ignore[no-untyped-call]
