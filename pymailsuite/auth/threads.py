"""The threads that hash passwords: few, of their own, and with a bounded queue."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from pymailsuite.errors import TemporaryFailure

P = ParamSpec("P")
T = TypeVar("T")


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
        self._limit = self._pool.max + backlog
        self._unfinished = 0

    def start(self) -> None:
        """Begin to work; what was asked before is done then."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Finish what was asked, then end the threads."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """TemporaryFailure at once if too many wait already."""
        if self._unfinished >= self._limit:
            return fail(TemporaryFailure("Too many logins at once, try again later"))
        self._unfinished += 1
        return deferToThreadPool(self._reactor, self._pool, function, *args, **kwargs).addBoth(self._finished)

    def _finished(self, result: T) -> T:
        self._unfinished -= 1
        return result
