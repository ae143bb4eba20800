"""What THREAD has read of messages, kept for the next THREAD of their mailbox.

What a message says of others never changes, so only messages that are not known yet are read: clients ask for the
threads of a mailbox again and again. One memory serves all sessions of a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from pymailsuite.imap.selected import View
from pymailsuite.interfaces import Column
from pymailsuite.memory import ExpiringMemory
from pymailsuite.message.thread_trees import ThreadEntry
from pymailsuite.values import AccountId, MailboxId

_WORTH_KEEPING: Final = 256
"""Messages below which reading them is as quick."""
_LIFE_S: Final = 3600.0

Key = tuple[AccountId, MailboxId, int, tuple[Column, ...]]


class ThreadMemory:
    """Entries of the mailboxes whose threads were asked for last, of up to ``most_messages`` in all."""

    def __init__(self, clock: IReactorTime, most_messages: int) -> None:
        self._kept: ExpiringMemory[Key, dict[int, ThreadEntry]] = ExpiringMemory(
            clock, most_messages // _WORTH_KEEPING, size_of=len, most_size=most_messages
        )

    def find(self, view: View, columns: tuple[Column, ...]) -> dict[int, ThreadEntry]:
        """What is known of messages of a mailbox, by UID, made of these columns. Messages that are gone may be among
        them."""
        return self._kept.get(_key(view, columns)) or {}

    def keep(
        self, view: View, columns: tuple[Column, ...], known: dict[int, ThreadEntry], read: Iterable[ThreadEntry]
    ) -> dict[int, ThreadEntry]:
        """What is known, with what was ``read`` now; it is remembered if it is worth that."""
        known = {**known, **{entry.uid: entry for entry in read}}
        if len(known) > 2 * len(view):
            known = {uid: known[uid] for uid in view.uids if uid in known}
        if len(known) >= _WORTH_KEEPING:
            self._kept.put(_key(view, columns), known, _LIFE_S)
        return known


def _key(view: View, columns: tuple[Column, ...]) -> Key:
    return view.mail.account_id, view.mailbox_id, view.uid_validity, columns
