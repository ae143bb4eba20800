"""Views of large mailboxes that were closed, kept for the next session that opens them.

Reading 10,000 rows costs more than everything else a SELECT does. A mailbox opened a second time starts from the view
that was left behind and asks the store only for what happened since, which is a question every session asks anyway. So
a snapshot may be old, but never wrong. One serves all sessions: it is copied, never changed.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import Final

from attrs import frozen

from pymailsuite.imap.flags import FlagState
from pymailsuite.values import AccountId, MailboxId, ModSeq

_WORTH_KEEPING: Final = 256
"""Messages below which reading the rows is as quick."""

_LIFE_S: Final = 3600.0
"""Far below the time for which a store remembers what was expunged."""


@frozen
class Snapshot:
    """A view's columns at a moment, nothing owed to its client."""

    mailbox_id: MailboxId
    uid_validity: int
    modseq: ModSeq
    uids: array[int]
    states: list[FlagState]
    modseqs: array[int]
    keywords: frozenset[str]
    taken_at: float


class Snapshots:
    """The snapshots of one process: of the mailboxes last closed, up to ``most_messages`` in all."""

    def __init__(self, most_messages: int) -> None:
        self._most_messages = most_messages
        self._messages = 0
        self._kept: OrderedDict[tuple[AccountId, str], Snapshot] = OrderedDict()

    def find(self, account_id: AccountId, name: str, now: float) -> Snapshot | None:
        """The snapshot of a mailbox that had this name, if there is one that is not too old."""
        snapshot = self._kept.get((account_id, name))
        if snapshot is None or now - snapshot.taken_at > _LIFE_S:
            return None
        self._kept.move_to_end((account_id, name))
        return snapshot

    def keep(self, account_id: AccountId, name: str, snapshot: Snapshot) -> None:
        """Keep one, if it is worth it, in place of the one before."""
        size = len(snapshot.uids)
        if not _WORTH_KEEPING <= size <= self._most_messages:
            return
        key = (account_id, name)
        older = self._kept.get(key)
        if older is not None:
            self._messages -= len(older.uids)
        self._kept[key] = snapshot
        self._kept.move_to_end(key)
        self._messages += size
        while self._messages > self._most_messages:
            _, dropped = self._kept.popitem(last=False)
            self._messages -= len(dropped.uids)
