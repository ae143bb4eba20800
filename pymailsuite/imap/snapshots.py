"""Views of large mailboxes that were closed, kept for the next session that opens them.

Reading 10,000 rows costs more than everything else a SELECT does. A mailbox opened a second time starts from the kept
view and asks the store only for the changes since, a query that every session makes anyway. So a snapshot may be old,
but never wrong. One serves all sessions of a user: it is copied, never changed.
"""

from __future__ import annotations

from array import array
from typing import Final

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from pymailsuite.imap.flags import FlagState
from pymailsuite.memory import ExpiringMemory
from pymailsuite.values import AccountId, MailboxId, ModSeq

_WORTH_KEEPING: Final = 256
"""Messages below which reading the rows is as quick."""

_LIFE_S: Final = 3600.0
"""Far below the time for which a store keeps records of expunges."""

SnapshotKey = tuple[AccountId, AccountId, str]
"""The user, since ``\\Seen`` may be each user's own; the account of the mailbox; and its name there."""


@frozen
class Snapshot:
    """A view's columns at a moment without unreported changes."""

    mailbox_id: MailboxId
    uid_validity: int
    modseq: ModSeq
    uids: array[int]
    states: list[FlagState]
    modseqs: array[int]
    keywords: frozenset[str]


class Snapshots:
    """The snapshots of one process: of the mailboxes last closed, up to ``most_messages`` in all."""

    def __init__(self, clock: IReactorTime, most_messages: int) -> None:
        self._kept: ExpiringMemory[SnapshotKey, Snapshot] = ExpiringMemory(
            clock,
            most_messages // _WORTH_KEEPING,
            size_of=lambda snapshot: len(snapshot.uids),
            most_size=most_messages,
        )

    def find(self, key: SnapshotKey) -> Snapshot | None:
        """The snapshot of a mailbox that had this name, if there is one that is not too old."""
        return self._kept.get(key)

    def keep(self, key: SnapshotKey, snapshot: Snapshot) -> None:
        """Keep one, if it is worth it, in place of the one before."""
        if len(snapshot.uids) >= _WORTH_KEEPING:
            self._kept.put(key, snapshot, _LIFE_S)
