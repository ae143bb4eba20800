"""This process as one of those that have the store open: its node number for ids, and their common clock."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pymailsuite.errors import MailError
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.ids import ALONE, ContentIds, NodeLease, give_node_back_txn, keep_node_txn, take_node_txn
from pymailsuite.store.transaction import Transaction

log = Logger()

LEASE_S: Final = 600.0
"""Seconds for which a number stays taken after its holder has died. There are 4096: enough for seven deaths a
second."""

_BEAT_S: Final = 120.0
_BEAT_AGAIN_S: Final = 5.0

Beat = tuple[NodeLease, float | None]
"""The lease as it is now, and the seconds by which the database's clock is ahead of this process (None: it has no clock
of its own)."""


class Node:
    """From ``enter_txn`` on, which belongs into the transaction that opens the store, until ``leave``."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._timer_clock = clock
        self._timer: IDelayedCall | None = None
        self._beating: Deferred[None] | None = None
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.clock: Final = StoreClock(clock)
        self.ids: Final = ContentIds(self.clock, ALONE)

    def enter_txn(self, txn: Transaction) -> Beat | None:
        """Take a number and look at the database's clock; None if no other process can be there."""
        if self._database.engine.in_memory:
            return None
        ahead_s = self.clock.read_txn(txn, self._database.engine.clock)
        now = self._timer_clock.seconds() + (ahead_s or 0.0)
        return take_node_txn(txn, self._holder, now, now + LEASE_S), ahead_s

    def entered(self, beat: Beat | None) -> None:
        """The writes of ``enter_txn`` are committed."""
        if beat is not None:
            self._take_over(beat)
            self._beat_after(_BEAT_S)

    def _take_over(self, beat: Beat) -> None:
        self.ids.lease, ahead_s = beat
        self.clock.set_ahead(ahead_s)

    def _beat_after(self, seconds: float) -> None:
        self._timer = self._timer_clock.callLater(seconds, self._start_beat)

    def _start_beat(self) -> None:
        self._timer = None
        self._beating = Deferred.fromCoroutine(self._beat())

    async def _beat(self) -> None:
        def beat_txn(txn: Transaction) -> Beat:
            ahead_s = self.clock.read_txn(txn, self._database.engine.clock)
            now = self._timer_clock.seconds() + (ahead_s or 0.0)
            return keep_node_txn(txn, self._holder, self.ids.lease, now, now + LEASE_S), ahead_s

        again_s = _BEAT_AGAIN_S
        try:
            self._take_over(await self._database.run("heartbeat", beat_txn))
            again_s = _BEAT_S
        except (MailError, CancelledError) as error:
            log.warn("{event}: {reason}", event="store.heartbeat_failed", reason=str(error) or "called off")
        except Exception:
            log.failure("{event}", event="store.heartbeat_failed")
        finally:
            self._beating = None
        self._beat_after(again_s)

    async def leave(self) -> None:
        """Give the number back. No requests to the store follow."""
        if self._beating is not None:
            await self._beating
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        lease, until = self.ids.lease, min(self.ids.made_until(), self.ids.lease.until)
        try:
            await self._database.run(
                "give node number back", lambda txn: give_node_back_txn(txn, self._holder, lease, until)
            )
        except CancelledError:
            raise
        except MailError as error:
            # The number is free again when the lease ends.
            log.warn("{event}: {reason}", event="store.node_not_given_back", reason=str(error))
