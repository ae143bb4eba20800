"""Users' verdicts on messages, given by moving or marking them: reported after the commit, if there is a listener.

A user who moves a message to Junk and gives it ``$Junk`` gives one verdict, not two: the first counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.interfaces.mail import Copied
from pymailsuite.interfaces.reputation import IJunkFeedback, JunkReport
from pymailsuite.store.mailboxes import canonical, uses_of
from pymailsuite.store.transaction import Transaction
from pymailsuite.store.uid_ranges import rows_of_txn
from pymailsuite.values import AccountId, FlagChange, Flags, MailboxId, SpecialUse, UidSet

log = Logger()

MESSAGES_MAX: Final = 100
"""The greatest number of messages reported for one command: a user who moves thousands is tidying up."""

_SELECT: Final = "SELECT m.keywords, m.prefix, c.fields FROM messages m JOIN contents c ON c.content_id = m.content_id"
_JUNK: Final = "$junk"
_NOT_JUNK: Final = "$notjunk"


@implementer(IJunkFeedback)
class JunkFeedback:
    """``wanted`` is False while there is no listener: then no reports are made."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[JunkReport], None]] = []

    @property
    def wanted(self) -> bool:
        return bool(self._callbacks)

    def subscribe(self, callback: Callable[[JunkReport], None]) -> None:
        self._callbacks.append(callback)

    def told(self, junk_feedback: Sequence[JunkReport]) -> None:
        """The transaction is committed."""
        for mark in junk_feedback:
            for callback in self._callbacks:
                try:
                    callback(mark)
                except Exception:
                    log.failure("{event}", event="store.junk_feedback_failed")


def moved_reports_txn(
    txn: Transaction, account_id: AccountId, source: MailboxId, target: str, copied: Copied
) -> tuple[JunkReport, ...]:
    """The reports for messages moved or copied, if one of both mailboxes is Junk."""
    if not copied.target:
        return ()
    uses = {
        mailbox_id: (name, SpecialUse.JUNK in uses_of(use))
        for mailbox_id, name, use in txn.rows(
            "SELECT mailbox_id, name, special_use FROM mailboxes WHERE account_id = ? AND (mailbox_id = ? OR name = ?)",
            (account_id, source, canonical(target)),
        )
    }
    from_junk = uses.pop(source, ("", False))[1]
    to_junk = any(is_junk for _, is_junk in uses.values())
    if from_junk == to_junk or not uses:
        return ()
    said = _JUNK if to_junk else _NOT_JUNK
    (target_id,) = uses
    uids = UidSet.of(copied.target[:MESSAGES_MAX])
    rows = rows_of_txn(txn, _SELECT, account_id, target_id, uids, prefix="m.")
    return tuple(
        JunkReport(to_junk, _in_front(prefix, fields))
        for keywords, prefix, fields in rows
        if said not in keywords.lower().split()
    )


def keyword_said(change: FlagChange, flags: Flags) -> str:
    """``$junk`` or ``$notjunk`` if the change sets it, else empty."""
    if change is FlagChange.REMOVE or not flags.keywords:
        return ""
    said = {keyword.lower() for keyword in flags.keywords} & {_JUNK, _NOT_JUNK}
    return said.pop() if len(said) == 1 else ""


def keyword_reports_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: UidSet, said: str
) -> tuple[JunkReport, ...]:
    """The reports for a keyword about to be set: ``$Junk`` outside Junk, ``$NotJunk`` in it."""
    use = txn.value(
        "SELECT MAX(special_use) FROM mailboxes WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id)
    )
    if (SpecialUse.JUNK in uses_of(use)) != (said == _NOT_JUNK):
        return ()
    rows = rows_of_txn(txn, _SELECT, account_id, mailbox_id, uids, prefix="m.")
    return tuple(
        JunkReport(said == _JUNK, _in_front(prefix, fields))
        for keywords, prefix, fields in rows[:MESSAGES_MAX]
        if said not in keywords.lower().split()
    )


def _in_front(prefix: bytes, fields: bytes | None) -> bytes:
    """The fields in front of a copy, and those of all copies."""
    return bytes(prefix) + bytes(fields or b"")
