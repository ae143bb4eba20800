"""The body of an HTTP response, of bounded size."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from pymailsuite.errors import TemporaryFailure


class BodyTooLarge(TemporaryFailure):
    """A body of more octets than were to be taken."""

    text = "Too large"


class _Body(Protocol):
    def __init__(self, size_max: int, done: Deferred[bytes]) -> None:
        self._left = size_max
        self._pieces: list[bytes] = []
        self._done = done

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
            return
        self._pieces.clear()
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._done.called:
            return
        if self._left < 0:
            self._done.errback(Failure(BodyTooLarge()))
        elif reason.check(ResponseDone, PotentialDataLoss):
            self._done.callback(b"".join(self._pieces))
        else:
            self._done.errback(reason)


def response_body(response: Any, size_max: int) -> Deferred[bytes]:
    """The body of an IResponse. BodyTooLarge if that is more than ``size_max`` octets, or what the network says."""
    done: Deferred[bytes] = Deferred()
    response.deliverBody(_Body(size_max, done))
    return done
