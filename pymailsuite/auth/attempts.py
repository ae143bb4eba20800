"""Counts of attempts to log in: those that all nodes share, and this process's own while the store takes none.

No reply may depend on whether there is room on the disk, or a client that fills the disk could guess without limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import MailError
from pymailsuite.interfaces import Count, IStateStore, StateKey
from pymailsuite.memory import ExpiringMemory


@define
class _Own:
    """What was counted here, in a window by this process's clock."""

    total: int = 0


class AttemptCounts:
    """Adds to the shared counts, if there are any; what they do not take is counted in memory, of ``most_own`` keys at
    most."""

    _log = Logger()

    def __init__(self, shared: IStateStore | None, clock: IReactorTime, most_own: int) -> None:
        self._shared = shared
        self._own: ExpiringMemory[StateKey, _Own] = ExpiringMemory(clock, most_own)

    async def totals(self, keys: Sequence[StateKey]) -> dict[StateKey, int]:
        """The count of each key. A store that cannot be read has none; its passwords cannot be proved either."""
        counted: Mapping[StateKey, Count] = {}
        try:
            if self._shared is not None:
                counted = await self._shared.counted(keys)
        except CancelledError:
            raise
        except MailError as error:
            self._log.warn("{event}: {reason}", event="auth.counts_unread", reason=str(error))
        return {key: (counted[key].total if key in counted else 0) + self._own_total(key) for key in keys}

    async def add(self, keys: Sequence[StateKey], window_s: float) -> dict[StateKey, int]:
        """One more of each; what that makes them."""
        if self._shared is not None:
            try:
                counted = await self._shared.add(keys, window_s, lasting=False)
            except CancelledError:
                raise
            except MailError as error:
                self._log.warn("{event}: {reason}", event="auth.failure_not_counted", reason=str(error))
            else:
                return {key: counted[key].total + self._own_total(key) for key in keys}
        for key in keys:
            self._add_own(key, window_s)
        return await self.totals(keys)

    def take_back(self, keys: Sequence[StateKey]) -> None:
        """Count one less of each; no caller waits for that."""
        for key in keys:
            own = self._own.get(key)
            if own is not None and own.total > 0:
                own.total -= 1
        if self._shared is not None:
            self._unless_full(self._shared.take_back(keys))

    def forget(self, keys: Sequence[StateKey]) -> None:
        """Set the counts to nothing; no caller waits for that."""
        for key in keys:
            self._own.forget(key)
        if self._shared is not None:
            self._unless_full(self._shared.delete(keys))

    def _unless_full(self, done: Deferred[None]) -> None:
        done.addErrback(self._not_forgotten)

    def _not_forgotten(self, failure: Failure) -> None:
        if isinstance(failure.value, MailError):
            self._log.warn("{event}: {reason}", event="auth.failures_not_forgotten", reason=str(failure.value))
        else:
            self._log.failure("{event}: {log_failure.value}", failure, event="auth.counting_failed")

    def _own_total(self, key: StateKey) -> int:
        own = self._own.get(key)
        return 0 if own is None else own.total

    def _add_own(self, key: StateKey, window_s: float) -> None:
        own = self._own.get(key)
        if own is None:
            own = _Own()
            self._own.put(key, own, window_s)
        own.total += 1
