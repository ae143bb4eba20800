"""Whether a name server answers at all. Pure: times are arguments, in seconds of one clock.

A question that stays unanswered says little: a server may be waiting for another server that is silent on purpose. So
it only leads to a probe that any server answers at once, unless others were answered meanwhile. If that stays
unanswered too, the server is silent: no look-up waits for it until it answers a probe.
"""

from __future__ import annotations

from typing import Final

_FIRST_WAIT_S: Final = 1.0


class Liveness:
    """Of a server that answers until it is found not to. A silent one is probed at longer and longer intervals, up to
    ``probe_interval_s``."""

    def __init__(self, probe_interval_s: float) -> None:
        self._probe_interval_s = probe_interval_s
        self._heard_at = float("-inf")
        self._probed_at = 0.0
        self._wait_s = 0.0
        self.silent_since: float | None = None

    def heard(self, now: float) -> None:
        """Something came from it."""
        self._heard_at = now
        self.silent_since = None

    def is_suspect(self, asked_at: float) -> bool:
        """Whether it gave no sign of life since the time of a question that has just been given up."""
        return self._heard_at < asked_at

    def not_heard(self, now: float) -> None:
        """It has left a probe unanswered."""
        if self.silent_since is None:
            self.silent_since = now
            self._wait_s = min(_FIRST_WAIT_S, self._probe_interval_s)
        else:
            self._wait_s = min(self._wait_s * 2, self._probe_interval_s)
        self._probed_at = now

    def is_probe_due(self, now: float) -> bool:
        """Whether a silent server is to be probed again."""
        return self.silent_since is not None and now >= self._probed_at + self._wait_s

    def is_old_news(self, now: float) -> bool:
        """Whether nobody has asked for so long that its silence is worth another look before it is believed."""
        return now > self._probed_at + 2 * self._probe_interval_s
