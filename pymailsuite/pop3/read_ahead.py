"""Reads messages before the client asks for them.

A client that downloads its mail asks for one message after the other. Reading each alone costs a trip to a reader
thread; here one trip reads a run of messages, and the next run is being read while this one is sent. Runs begin small
and double while the client goes on in order, so that a request for a single message does not read many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pymailsuite.interfaces import Column, IAccountMail, MessageRow
from pymailsuite.pop3.requests import Listing
from pymailsuite.values import MAX_CHUNK, MailboxId, UidSet

_FIRST_RUN: Final = 32 * 1024
_COLUMNS: Final = (Column.UID, Column.OCTETS)

Octets = bytes | None


class ReadAhead:
    """Reads messages of at most MAX_CHUNK octets, ``limit`` octets of them at once. One request at a time."""

    def __init__(self, mail: IAccountMail, mailbox_id: MailboxId, listing: Listing, limit: int) -> None:
        self._mail = mail
        self._mailbox_id = mailbox_id
        self._listing = listing
        self._limit = limit
        self._held: dict[int, Octets] = {}
        self._run = min(_FIRST_RUN, limit)
        # The run that is being read: its messages are first (inclusive) to last (exclusive).
        self._first = self._last = 0
        self._reading: Deferred[Any] | None = None
        self._waiter: Deferred[Octets] | None = None
        self._latest = 0
        self._half = 0

    def message(self, index: int) -> bytes | Deferred[Octets]:
        """The octets, at once if they are there. The Deferred gives None if the message has to be read in pieces.

        It fails if the store does.
        """
        self._latest = index
        octets = self._held.pop(index, None)
        if octets is not None:
            if index >= self._half and self._reading is None and self._limit and self._last < len(self._listing.uids):
                self._run = min(self._run * 2, self._limit)
                self._read(self._last)
            return octets
        waiter: Deferred[Octets] = Deferred()
        self._waiter = waiter
        if not (self._reading is not None and self._first <= index < self._last):
            self._run = min(self._run * 2, self._limit) if index == self._last else min(_FIRST_RUN, self._limit)
            self._held.clear()
            self._read(index)
        return waiter

    def stop(self) -> None:
        """Stop: the client will ask for nothing more, or not for the messages being read."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()

    def _read(self, first: int) -> None:
        """Begin to read the run that starts with ``first``."""
        uids, sizes = self._listing.uids, self._listing.sizes
        last, octets = first, 0
        while last < len(uids) and (last == first or octets + sizes[last] <= self._run):
            # A long message ends the run: it will be read in pieces.
            if sizes[last] > MAX_CHUNK:
                last += 1
                break
            octets += sizes[last]
            last += 1
        self._first, self._last = first, last
        self._half = (first + last) // 2
        self.stop()
        wanted = UidSet.of(uids[first:last])
        rows = self._mail.read_messages(self._mailbox_id, wanted, _COLUMNS, _octets_by_uid)
        self._reading = rows
        rows.addBoth(self._read_over, first, last)

    def _read_over(self, result: dict[int, Octets] | Failure, first: int, last: int) -> None:
        if (first, last) != (self._first, self._last):
            # The client has jumped to another message meanwhile; that begins another run.
            return
        self._reading = None
        waiter, self._waiter = self._waiter, None
        if isinstance(result, Failure):
            # Without a waiting request the error is not reported: the next request reads again and gets it.
            if waiter is not None:
                waiter.errback(result)
            return
        uids = self._listing.uids
        # The client is not likely to ask for messages that it has skipped.
        self._held = {index: octets for index, octets in self._held.items() if index >= self._latest}
        for index in range(first, last):
            octets = result.get(uids[index])
            if octets is not None:
                self._held[index] = octets
        if waiter is not None:
            waiter.callback(self._held.pop(self._latest, None))


def _octets_by_uid(rows: Sequence[MessageRow]) -> dict[int, Octets]:
    return dict(rows)
