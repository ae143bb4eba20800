"""A locked maildrop: the view of a mailbox that one session works on, and the lock that makes it the only one.

The lock is a lease in the store. A living session renews it; one whose process has died lets it run out. RFC 1939 §4.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.errors import MaildropInUse, MailError
from pymailsuite.interfaces import Column, IAccountMail, Mailbox, MessageRow
from pymailsuite.pop3.read_ahead import ReadAhead
from pymailsuite.pop3.requests import Listing
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, Uid, UidSet

_RENEWALS: Final = 3
"""Renewals within the time of a lease: two may fail before another session can take the maildrop."""


_COLUMNS: Final = (Column.UID, Column.MARKED_SIZE)


class Maildrop:
    """A mailbox as it was when the account's lock was taken. Made by :func:`open_maildrop`.

    ``lock_lost`` is called if the lock could not be kept; the session must then end.
    """

    _log = Logger()

    def __init__(self, mail: IAccountMail, owner: str, lease_s: float, clock: IReactorTime) -> None:
        self._mail = mail
        self._owner = owner
        self._lease_s = lease_s
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._locked_until = 0.0
        # A renewal under way when the lock is given back must not come after it.
        self._lock_traffic = DeferredLock()
        self._over = False
        self._read_ahead: ReadAhead | None = None
        self.lock_lost: Callable[[], object] | None = None

    async def _open(self, name: str, read_ahead: int) -> None:
        # A lock that was requested is acquired even if the client has left meanwhile; the release comes after it.
        locking = self._lock_traffic.run(Deferred.fromCoroutine, self._lock())
        locked: Deferred[None] = Deferred()
        locking.addBoth(lambda result: None if locked.called else locked.callback(result))
        try:
            await locked
        except CancelledError:
            self.abandon()
            raise
        try:
            mailbox: Mailbox = await self._mail.mailbox(name)
            listing = await self._list(mailbox)
        except BaseException:
            # Release after any error, cancellation included: no other code would release the lock later.
            self.abandon()
            raise
        self._mailbox_id = mailbox.mailbox_id
        self.listing = listing
        self._read_ahead = ReadAhead(self._mail, mailbox.mailbox_id, self.listing, read_ahead)

    async def _list(self, mailbox: Mailbox) -> Listing:
        uids, sizes = await self._mail.read_messages(mailbox.mailbox_id, ALL_UIDS, _COLUMNS, _columns)
        if not sizes or min(sizes) >= 0:
            return Listing(mailbox.uid_validity, uids, sizes)
        marked = {index: uids[index] for index, size in enumerate(sizes) if size < 0}
        extra: dict[int, int | None] = await self._mail.read_messages(
            mailbox.mailbox_id, UidSet.of(marked.values()), (Column.UID, Column.EXTRA_OCTETS), dict
        )
        sizes = tuple(size if size >= 0 else -1 - size for size in sizes)
        return Listing(mailbox.uid_validity, uids, sizes, {index: extra.get(uid) for index, uid in marked.items()})

    async def _lock(self) -> None:
        asked_at = self._clock.seconds()
        await self._mail.lock_maildrop(self._owner, self._lease_s)
        self._locked_until = asked_at + self._lease_s
        if not self._over:
            self._timer = self._clock.callLater(self._lease_s / _RENEWALS, self._renew)

    def _renew(self) -> None:
        self._timer = None
        self._lock_traffic.run(Deferred.fromCoroutine, self._lock()).addErrback(self._renewal_failed)

    def _renewal_failed(self, failure: Failure) -> None:
        if self._over:
            return
        self._note("pop3.lock_not_renewed", failure)
        if failure.check(MaildropInUse) is None and self._clock.seconds() < self._locked_until:
            self._timer = self._clock.callLater(self._lease_s / _RENEWALS, self._renew)
        elif self.lock_lost is not None:
            self.lock_lost()

    def message(self, index: int) -> bytes | Deferred[bytes | None]:
        """A message whole, if it is short enough to be held; see :meth:`ReadAhead.message`."""
        if self.listing.sizes[index] > MAX_CHUNK:
            long: Deferred[bytes | None] = Deferred()
            long.callback(None)
            return long
        assert self._read_ahead is not None, "not open"
        return self._read_ahead.message(index)

    def piece(self, index: int, start: int) -> Deferred[bytes]:
        """Octets of a message from ``start`` on, MAX_CHUNK of them or less if it ends before."""
        uid = Uid(self.listing.uids[index])
        return self._mail.read_octets(self._mailbox_id, uid, start, start + MAX_CHUNK)

    async def finish(self, removed: UidSet) -> None:
        """Remove messages, and after their commit give the lock back. Fails as the removal does; the lock is released
        in any case."""
        self._stop()
        try:
            if removed:
                await self._mail.remove_messages(self._mailbox_id, removed)
        finally:
            await self._unlock()

    def abandon(self) -> None:
        """Release the lock and remove nothing. Harmless if it was released before."""
        if not self._over:
            self._stop()
            Deferred.fromCoroutine(self._unlock())

    def _stop(self) -> None:
        self._over = True
        if self._read_ahead is not None:
            self._read_ahead.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _unlock(self) -> None:
        try:
            await self._lock_traffic.run(self._mail.unlock_maildrop, self._owner)
        except Exception:
            # If this is cancelled or fails, the lease runs out; the removals of the session stay done.
            self._note("pop3.lock_not_returned", Failure())

    def _note(self, event: str, failure: Failure) -> None:
        """Log the fate of the lock, and unexpected errors with their traceback."""
        if failure.check(MailError, CancelledError) is None:
            self._log.failure("{event} of account {account_id}", failure, event=event, account_id=self._mail.account_id)
        else:
            self._log.warn(
                "{event} of account {account_id}: {reason}",
                event=event,
                account_id=self._mail.account_id,
                reason=failure.getErrorMessage(),
            )


def _columns(rows: Sequence[MessageRow]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    uids, sizes = zip(*rows, strict=True) if rows else ((), ())
    return uids, sizes


async def open_maildrop(
    mail: IAccountMail, mailbox: str, process: str, lease_s: float, read_ahead: int, clock: IReactorTime
) -> Maildrop:
    """Lock the account's maildrop in the name of ``process`` and list ``mailbox``.

    MaildropInUse; NoSuchMailbox; any failure of the store.
    """
    # No two sessions of any process may have the same owner, or each would take the lock for its own.
    owner = f"{process}:{os.urandom(12).hex()}"
    maildrop = Maildrop(mail, owner, lease_s, clock)
    await maildrop._open(mailbox, read_ahead)
    return maildrop
