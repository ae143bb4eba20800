"""A protocol whose core is pulled: it is given one event at a time, and none while an answer is pending.

Replies so stay in the order of their commands. An answer that is there already is used at once, in the same turn.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.wire.connection import ConnectionProtocol

R = TypeVar("R")
"""What the core asks for."""


class RequestCancelled(TemporaryFailure):
    """The request was cancelled, and has no result."""

    text = "Service stopping, try again later"


class OnDisconnect(enum.Enum):
    """What happens to a pending answer when the peer disconnects."""

    CANCEL = enum.auto()
    """It is called off, and what comes of it is dropped."""
    CANCEL_AND_SETTLE = enum.auto()
    """It is called off, and settled as it ends: something may have to be given back."""
    DROP = enum.auto()
    """It goes on, and what comes of it is dropped."""
    SETTLE = enum.auto()
    """It goes on and is settled: it counts whoever hears of it."""


_NOBODY_ASKS = frozenset({OnDisconnect.CANCEL, OnDisconnect.DROP})
_CALLED_OFF = frozenset({OnDisconnect.CANCEL, OnDisconnect.CANCEL_AND_SETTLE})


class InternalFailure(TemporaryFailure):
    """A defect of ours, already logged in full: the peer may try again."""

    text = "Internal error, try again later"


class PullingProtocol(ConnectionProtocol, Generic[R]):
    """One connection. A protocol that derives from it sets ``_pumping`` while it pulls, and pulls nothing while
    ``_waiting``.

    A ``settle`` takes the answer, or a Failure; what it returns is the core's next request, or None. Once the
    connection is gone there is nobody to settle anything for: see :class:`OnDisconnect`."""

    failed_event: ClassVar[str] = "connection.request_failed"

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(reactor)
        # An answer is pending: nothing more is taken from the peer's octets until it is there.
        self._waiting = False
        self._pumping = False
        self._answer: tuple[Any] | None = None
        self._pending: tuple[Deferred[Any], OnDisconnect] | None = None
        self._delay: IDelayedCall | None = None

    def pump(self, request: R | None = None, acted: bool = False) -> None:
        """Perform the core's request, if there is one, and go on with what the peer has sent.

        ``acted``: the turn has made the conversation go on already.
        """
        raise NotImplementedError

    def wait_for(
        self, answer: Deferred[Any], settle: Callable[[Any], R | None], on_disconnect: OnDisconnect | None = None
    ) -> R | None:
        """Go on with ``settle`` when the answer, or a Failure, is there; at once if it is there already.

        ``on_disconnect`` says what becomes of it if the peer has left meanwhile; by default it is called off.
        """
        if self._pumping and answer.called and not answer.paused and not isinstance(answer.result, Failure):
            # As most answers are: a callback would cost more than all else that is done here.
            return settle(answer.result)
        on_disconnect = on_disconnect or OnDisconnect.CANCEL
        self._waiting = True
        self._pending = (answer, on_disconnect)
        answer.addBoth(self._answered, settle, on_disconnect)
        if self._answer is None:
            return None
        (result,), self._answer = self._answer, None
        return settle(result)

    def _answered(self, result: object, settle: Callable[[Any], R | None], on_disconnect: OnDisconnect) -> None:
        self._waiting = False
        self._pending = None
        if self.connection_ended and on_disconnect in _NOBODY_ASKS:
            if isinstance(result, Failure) and result.check(CancelledError, ConnectionClosed) is None:
                self.error_of(result)
        elif self._pumping:
            # Still within wait_for: what settling it may raise must not end up in the Deferred.
            self._answer = (result,)
        else:
            self.in_turn(self._go_on, result, settle)

    def _go_on(self, result: object, settle: Callable[[Any], R | None]) -> None:
        self.pump(settle(result), acted=True)

    def hold_back(self, delay_s: float, settle: Callable[[Any], R | None]) -> R | None:
        """Go on with ``settle`` after that many seconds; never, if the connection ends before."""
        over: Deferred[None] = Deferred()
        if delay_s > 0:
            self._delay = self._reactor.callLater(delay_s, over.callback, None)
        else:
            over.callback(None)
        return self.wait_for(over, settle)

    def must_leave_turn(self) -> bool:
        """Before the next command: True if it is for a later turn, in which the pump goes on."""
        later = self.turn_is_over()
        if later is None:
            return False
        self.wait_for(later, nothing_more)
        return True

    def leave_turn(self) -> None:
        """The next command is for a later turn, in which the pump goes on."""
        self.wait_for(self._turns.next(), nothing_more)

    def abandon(self) -> None:
        """The connection is gone: nothing waits any more."""
        if self._delay is not None and self._delay.active():
            self._delay.cancel()
        self._delay = None
        if self._pending is not None:
            answer, on_disconnect = self._pending
            if on_disconnect in _CALLED_OFF:
                answer.cancel()

    def error_of(self, failure: Failure) -> MailError:
        """The error for the peer; an unexpected failure is logged, and the peer is not told its cause."""
        if isinstance(failure.value, MailError):
            return failure.value
        if isinstance(failure.value, CancelledError):
            # By somebody else than us, as when a part of the server stops that was to answer.
            return RequestCancelled()
        self.log.failure("{event}: {log_failure.value}", failure=failure, event=self.failed_event, peer_ip=self.peer_ip)
        return InternalFailure(cause=failure.getErrorMessage())


def nothing_more(_: object) -> None:
    """The answer needs no action: the pump just goes on."""
