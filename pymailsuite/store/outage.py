"""The duration of a database outage, shared by all connections of a process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Outage:
    """Makes requests wait for a database that is unreachable for a short time, and fail at once in a long outage.

    A message is several requests, one after the other. If each waited as long as the first, the sender would wait for
    the sum. So the limit, ``limit_s``, applies to the outage: after that time a request fails at once with the error of
    the last attempt, except one that tries again now and then. Used by several threads; the last write counts.
    """

    def __init__(self, limit_s: float = math.inf, seconds: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._seconds = seconds
        self._error: BaseException | None = None
        self._patient_until = 0.0
        self._next_attempt = 0.0

    def goes_on(self, error: BaseException, pause_s: float) -> None:
        """An attempt has just failed; the next one makes sense in ``pause_s``."""
        now = self._seconds()
        if self._error is None:
            self._patient_until = now + self._limit_s
        self._next_attempt = now + pause_s
        self._error = error

    def is_over(self) -> None:
        """An attempt has succeeded."""
        self._error = None

    def deadline(self, deadline: float) -> float:
        """The time until which a request waits whose own deadline is ``deadline``."""
        return deadline if self._error is None else min(deadline, self._patient_until)

    def check(self, deadline: float) -> None:
        """Raises the error of the last attempt, if there is no time to wait for the next one."""
        error, now = self._error, self._seconds()
        if error is not None and self.deadline(deadline) < now < self._next_attempt:
            raise error
