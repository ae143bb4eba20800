"""Refusals by limits, counted by address: a flood of them costs a counter each, and a line and a row a minute.

A client beyond a limit is refused when only its address is known, and may come back at once, thousands of times a
second. So the first refusal is logged, and of all within one window only their number, in the log and in the history.
"""

from __future__ import annotations

from typing import Final

from attrs import define
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pymailsuite.interfaces.history import IRefusalRecord, TurnedAway
from pymailsuite.wire.addresses import address_key

log = Logger()

_EVERYBODY: Final = ""
"""Stands for addresses that are too many to be told apart."""


def log_refusal(protocol: str, what: str, ip: str, reply: bytes) -> None:
    """One refusal."""
    log.warn(
        "{event} {protocol} from {peer_ip}: {limit} ({reply})",
        event="connection.refused",
        protocol=protocol,
        limit=what,
        peer_ip=ip or "many",
        reply=_text(reply),
    )


def _text(reply: bytes) -> str:
    return reply.decode("utf-8", "replace").strip()


@define
class _Count:
    """What one address was told in this window."""

    began_at: float
    ip: str
    reply: bytes
    number: int = 0
    last_at: float = 0.0


class RefusalCounts(Service):
    """Counts for ``window_s`` seconds, from the first refusal on, and then tells ``record``, if there is one.

    At most ``addresses_max`` addresses (of IPv6: networks, /64) are told apart; all others are counted together.
    """

    def __init__(
        self, clock: IReactorTime, window_s: float, addresses_max: int, record: IRefusalRecord | None = None
    ) -> None:
        self.setName("refusal counts")  # type: ignore[no-untyped-call]
        self._clock = clock
        self._window_s = window_s
        self._addresses_max = addresses_max
        self._record = record
        self._counts: dict[tuple[str, str, str], _Count] = {}
        self._timer: IDelayedCall | None = None

    def note(self, protocol: str, what: str, ip: str, reply: bytes) -> None:
        """Somebody was told ``reply`` for the reason ``what``, a name as of an event."""
        now = self._clock.seconds()
        key = (address_key(ip) or ip, protocol, what)
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= self._addresses_max:
                ip, key = _EVERYBODY, (_EVERYBODY, protocol, what)
                count = self._counts.get(key)
            if count is None:
                count = self._counts[key] = self._first(protocol, what, ip, reply, now)
        count.number += 1
        count.last_at, count.reply = now, reply
        if count.ip != ip:
            count.ip = ip

    def _first(self, protocol: str, what: str, ip: str, reply: bytes, now: float) -> _Count:
        log_refusal(protocol, what, ip, reply)
        if self._timer is None:
            self._timer = self._clock.callLater(self._window_s, self._tell)
        return _Count(now, ip, reply)

    def _tell(self) -> None:
        self._timer = None
        counts, self._counts = self._counts, {}
        for (_, protocol, what), count in counts.items():
            if count.number > 1:
                log.warn(
                    "{event} {protocol} {count} times from {peer_ip}: {limit}",
                    event="connection.refused_often",
                    protocol=protocol,
                    limit=what,
                    count=count.number,
                    peer_ip=count.ip or "many",
                )
            if self._record is not None:
                self._record.turned_away(
                    TurnedAway(
                        what, protocol, count.ip, _text(count.reply), count.number, count.began_at, count.last_at
                    )
                )

    def stopService(self) -> None:
        """Tell what has been counted; nobody comes any more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None:
            self._timer.cancel()
            self._tell()
