"""How long the database has been out of reach, as all connections of a process know it together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Outage:
    """Makes requests wait for a database that goes away and comes back, and not for one that stays away.

    A message is several requests, one after the other. Were each as patient as the first, its sender would wait for the
    sum. So patience, ``limit_s``, is with the outage: once that has lasted so long, a request fails at once with what
    the last attempt met, but for one that tries again now and then. Used by several threads; the last word stands.
    """

    def __init__(self, limit_s: float = math.inf, seconds: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._seconds = seconds
        self._error: BaseException | None = None
        self._patient_until = 0.0
        self._next_attempt = 0.0

    def goes_on(self, error: BaseException, pause_s: float) -> None:
        """An attempt has just failed; the next one is worth its while in ``pause_s``."""
        now = self._seconds()
        if self._error is None:
            self._patient_until = now + self._limit_s
        self._next_attempt = now + pause_s
        self._error = error

    def is_over(self) -> None:
        """An attempt went well."""
        self._error = None

    def deadline(self, deadline: float) -> float:
        """Until when a request waits that would wait until ``deadline`` for anything else."""
        return deadline if self._error is None else min(deadline, self._patient_until)

    def check(self, deadline: float) -> None:
        """Raises what the last attempt met, if there is no time to wait for the next one."""
        error, now = self._error, self._seconds()
        if error is not None and self.deadline(deadline) < now < self._next_attempt:
            raise error
