"""Fills an empty store from a set.

A set is a state of the past: after it was taken, UIDs and modseqs may have been handed out that are not in the restored
store. A UID must never refer to another message (RFC 9051 §2.3.1.1), and a client that remembers a modseq must learn
all differences (RFC 7162 §3.1). So, unless the operator knows that nothing happened since, all numbers are advanced
further than the lost time can have used, and every message counts as changed; UIDVALIDITY and the UIDs of what came
back stay, and no client loads its mail anew. Messages of the queue were most likely sent on since; they are held.
"""

from __future__ import annotations

import time
from typing import Final

from attrs import frozen

from pymailsuite.store.moving.backup_set import BackupSet, SetSource
from pymailsuite.store.moving.bulk_load import BulkLoad
from pymailsuite.store.moving.progress import Progress
from pymailsuite.store.moving.session import HalfMade, StoreSession
from pymailsuite.store.transaction import Transaction

UID_GAP: Final = 1 << 20
"""No mailbox took in more messages than this between a set and its restoring."""

MODSEQ_GAP: Final = 1 << 32
MAILBOX_GAP: Final = 1 << 16
_LAST_UID = (1 << 32) - 1


@frozen
class RestoreResult:
    """The result. ``is_complete``: the store can be used, though perhaps with faults that the set had already."""

    name: str
    taken_at: float
    is_complete: bool
    resumed: bool
    rows: int
    octets: int
    seconds: float
    faults: list[str]


def restore_store(
    target: StoreSession, backup: BackupSet, progress: Progress, *, now: float, exact: bool, deep: bool
) -> RestoreResult:
    """Fill an empty store, or go on where a run was cut off. ``exact``: leave every number as it was in the set.

    ConfigError if the target is neither; BackupFault if the set is damaged.
    """
    started = time.monotonic()
    manifest = backup.manifest
    half_made = HalfMade(target, manifest.schema_version, manifest.store, f"set {backup.name}", now)
    resumed = half_made.begin()
    filling = BulkLoad(target, backup.tables(), progress)
    filling.fill(SetSource(backup))
    done = filling.done
    faults = [
        f"{backup.path}: the rows of {name} are not those of its manifest"
        for name, digest in done.digests.items()
        if digest.hex() != manifest.tables[name].digest
    ]
    # Damaged contents of the set are restored as they are: better than losing them whole.
    inherited = {*manifest.faults, *done.faults}
    faults += [fault for fault in filling.verify(deep) if fault not in inherited]
    if not faults:
        half_made.finish(None if exact else _move_on_txn)
    seconds = time.monotonic() - started
    return RestoreResult(
        backup.name,
        manifest.taken_at,
        not faults,
        resumed,
        done.rows,
        done.octets,
        seconds,
        [*faults, *sorted(inherited)],
    )


def _move_on_txn(txn: Transaction) -> None:
    txn.execute(
        "UPDATE account_state SET modseq = modseq + ?, next_mailbox_id = next_mailbox_id + ?,"
        # The changes in the lost time are not known.
        " change_floor = modseq + ?, flags_floor = modseq + ?",
        (MODSEQ_GAP, MAILBOX_GAP, MODSEQ_GAP, MODSEQ_GAP),
    )
    for table in ("change_log", "changed_flags"):
        txn.execute(f"DELETE FROM {table}")  # noqa: S608
    now = "(SELECT modseq FROM account_state a WHERE a.account_id = {}.account_id)"
    clock = now.format("mailboxes")
    txn.execute(
        f"UPDATE mailboxes SET highest_modseq = {clock}, altered_modseq = {clock}, expunge_floor = {clock},"  # noqa: S608
        # Where there is no room for the gap (RFC 9051 §2.3.1.1) the mailbox becomes a new one to its clients.
        " uid_validity = CASE WHEN uid_next < ? THEN uid_validity ELSE uid_validity + 1 END,"
        " uid_next = CASE WHEN uid_next < ? THEN uid_next + ? ELSE uid_next END",
        (_LAST_UID - UID_GAP, _LAST_UID - UID_GAP, UID_GAP),
    )
    txn.execute(f"UPDATE messages SET modseq = {now.format('messages')}")  # noqa: S608
    txn.execute("UPDATE queue_entries SET held = 1")
