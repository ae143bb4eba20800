"""The threads that hash passwords: few, of their own, and with a bounded queue."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from pymailsuite.errors import TemporaryFailure

P = ParamSpec("P")
T = TypeVar("T")

_REST_S: Final = 1.0
"""Seconds without a hash after which the memory of the last ones is given back."""


class Threads(Protocol):
    """Runs blocking functions elsewhere."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """The function's result, in the reactor thread."""


class HashingThreads:
    """A thread pool of ``size`` threads (0: one a core) and at most ``backlog`` jobs not yet finished beyond those.

    Not the reactor's own pool: a flood of logins must not keep name look-ups or the store waiting.
    """

    def __init__(self, reactor: Any, size: int, backlog: int) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, size or os.cpu_count() or 1, name="hashing")
        self.size: Final = self._pool.max
        self._limit = self.size + backlog
        self._unfinished = 0
        self._rest: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """Begin to work; what was asked before is done then."""
        self._running = True
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Finish what was asked, then end the threads."""
        self._running = False
        self._rest_no_longer()
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """TemporaryFailure at once if too many wait already."""
        if self._unfinished >= self._limit:
            return fail(TemporaryFailure("Too many logins at once, try again later"))
        self._unfinished += 1
        self._rest_no_longer()
        return deferToThreadPool(self._reactor, self._pool, function, *args, **kwargs).addBoth(self._finished)

    def _finished(self, result: T) -> T:
        self._unfinished -= 1
        if self._running and not self._unfinished:
            self._rest = self._reactor.callLater(_REST_S, self._begin_rest)
        return result

    def _rest_no_longer(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _begin_rest(self) -> None:
        # The C library keeps what was freed: some 20 MB for each thread that ever hashed a password.
        self._rest = None
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            self._pool.callInThread(trim, 0)
