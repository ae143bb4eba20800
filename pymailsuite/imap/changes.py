"""The changes to the selected mailbox since its view was up to date."""

from __future__ import annotations

from attrs import evolve

from pymailsuite.imap.selected import View
from pymailsuite.interfaces import Column, MailboxChanges
from pymailsuite.values import ALL_UIDS, UidSet

_COLUMNS = (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.MODSEQ)


async def changes_of(view: View) -> MailboxChanges:
    """All changes to the mailbox of a view.

    If the store no longer has the records of expunges since then, all messages are read and compared with the view's.
    """
    changes: MailboxChanges = await view.mail.mailbox_changes(view.mailbox_id, view.modseq)
    if changes.is_complete or not changes.exists:
        return changes
    # Changes between the two reads are reported again by the next call.
    rows = await view.mail.read_messages(view.mailbox_id, ALL_UIDS, _COLUMNS, list)
    there = {row[0] for row in rows}
    gone = UidSet.of(uid for uid in view.uids if uid not in there)
    return evolve(changes, changed=rows, expunged=gone)
