"""Operators' maintenance of a store: check, repair, purge, undelete.

All of it runs on the live store. Long work is cut into transactions of bounded size, between which mail goes on.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.interfaces.directory import IDirectoryStore
from pymailsuite.interfaces.store import IStoreMaintenance, RestoredMail
from pymailsuite.store import greylist, state, sweeping
from pymailsuite.store.account_mail import release_maildrops_txn
from pymailsuite.store.checks import REFERENCES, UNNOTED_FLAGS, check_digests_txn, check_txn, chunks_txn
from pymailsuite.store.contents import KEY_COLUMNS, Scanning
from pymailsuite.store.database import Database
from pymailsuite.store.history import drop_history_txn
from pymailsuite.store.mailboxes import (
    advance_txn,
    arrive_txn,
    canonical,
    create_mailbox_txn,
    find_mailbox_txn,
)
from pymailsuite.store.message_keys import fill_anew_txn, fill_txn, next_filling_txn
from pymailsuite.store.messages import MESSAGE_COLUMNS
from pymailsuite.store.moving.backup_set import BackupFolder
from pymailsuite.store.moving.restore_mail import MailRestore, likeness
from pymailsuite.store.quota import recount_totals_txn
from pymailsuite.store.reputation import drop_forgotten_txn
from pymailsuite.store.seen import set_count_txn, wrong_counts_txn
from pymailsuite.store.text_index import index_anew_txn
from pymailsuite.store.threads import begin_anew_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, ContentId, MailboxId, ModSeq, SystemFlag

_CONTENTS_AT_ONCE = 100
_STRUCTURE = f"header_size, envelope, body, bodystructure, parts, {KEY_COLUMNS}"
_SET_STRUCTURE = f"UPDATE contents SET {_STRUCTURE.replace(',', ' = ?,')} = ? WHERE content_id = ?"


@implementer(IStoreMaintenance)
class StoreMaintenance:
    """The maintenance commands of a store."""

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        scanning: Scanning,
        directory: IDirectoryStore,
        next_id: Callable[[], ContentId],
        history_keep_s: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._scanning = scanning
        self._directory = directory
        self._next_id = next_id
        self._history_keep_s = history_keep_s

    # --- checking

    def verify(self, deep: bool) -> Deferred[Sequence[str]]:
        return Deferred.fromCoroutine(self._verify(deep))

    async def _verify(self, deep: bool) -> Sequence[str]:
        found = await self._database.read("verify", check_txn)
        after: int | None = 0 if deep else None
        while after is not None:
            lines, after = await self._database.read(
                "verify digests", partial(check_digests_txn, after=after, limit=_CONTENTS_AT_ONCE)
            )
            found += lines
        return found

    def statistics(self) -> Deferred[Mapping[str, int]]:
        def statistics_txn(txn: Transaction) -> Mapping[str, int]:
            return {
                "accounts": txn.value("SELECT COUNT(*) FROM accounts"),
                "mailboxes": txn.value("SELECT COUNT(*) FROM mailboxes"),
                "messages": txn.value("SELECT COALESCE(SUM(messages), 0) FROM mailboxes"),
                "content_octets": txn.value("SELECT COALESCE(SUM(size), 0) FROM contents"),
                "queue_entries": txn.value("SELECT COUNT(*) FROM queue_entries"),
                "schema_version": txn.value("SELECT MAX(version) FROM schema_version"),
            }

        return self._database.read("statistics", statistics_txn)

    # --- repairing

    def rebuild(self) -> Deferred[Mapping[str, int]]:
        return Deferred.fromCoroutine(self._rebuild())

    async def _rebuild(self) -> Mapping[str, int]:
        scanned = changed = 0
        after: int | None = 0
        while after is not None:
            stale, number, after = await self._database.read(
                "rescan contents", partial(self._stale_structures_txn, after=after)
            )
            scanned += number
            changed += len(stale)
            if stale:
                await self._database.run("rebuild contents", partial(_set_structures_txn, stale=stale))
        if changed:
            await self._database.run("put mail into threads anew", begin_anew_txn)
            await self._database.run("index texts anew", index_anew_txn)
        references = await self._database.run("rebuild references", _recount_references_txn)
        mailboxes = await self._database.run("rebuild counts", _recount_mailboxes_txn)
        totals = await self._database.run("rebuild totals of domains", recount_totals_txn)
        floors = await self._database.run("rebuild floors", _raise_flags_floors_txn)
        readers = await self._database.run("rebuild counts of readers", _recount_readers_txn)
        return {
            "contents_scanned": scanned,
            "contents_changed": changed,
            "references_changed": references,
            "mailboxes_changed": mailboxes,
            "domain_totals_changed": totals,
            "flags_floors_raised": floors,
            "readers_changed": readers,
        }

    def fill(self) -> Deferred[int | None]:
        return Deferred.fromCoroutine(self._fill())

    async def _fill(self) -> int | None:
        filling = await self._database.read("look for contents without keys or headers", next_filling_txn)
        if filling.is_last:
            return None
        await self._database.run("fill in keys and headers", partial(fill_txn, filling=filling))
        return filling.contents

    def _stale_structures_txn(self, txn: Transaction, after: int) -> tuple[list[Row], int, int | None]:
        """Contents whose scanned structure differs from the stored one: new values and id; the number examined; the
        last id."""
        rows = txn.rows(
            f"SELECT content_id, {_STRUCTURE} FROM contents WHERE content_id > ? ORDER BY content_id LIMIT ?",
            (after, _CONTENTS_AT_ONCE),
        )
        stale: list[Row] = []
        for content_id, *stored in rows:
            scanner = self._scanning.in_pieces()
            for octets in chunks_txn(txn, content_id):
                scanner.feed(octets)
            found = scanner.finish()
            values = (found.header_size, found.envelope, found.body, found.bodystructure, found.parts, *found.keys)
            if values != tuple(stored):
                stale.append((*values, content_id))
        return stale, len(rows), rows[-1][0] if rows else None

    # --- purging

    def sweep(self, now: float) -> Deferred[Mapping[str, int]]:
        return Deferred.fromCoroutine(self._sweep(now))

    async def _sweep(self, now: float) -> Mapping[str, int]:
        settings = self._database.settings
        undelete, remember = now - settings.undelete_time, now - settings.expunge_log_time
        staged = now - settings.staging_time
        dropped: Counter[str] = Counter()
        while True:
            messages, accounts = await self._database.run(
                "sweep account", lambda txn: sweeping.drop_account_mail_txn(txn, undelete)
            )
            if not messages and not accounts:
                break
            dropped["account_messages"] += messages
            dropped["accounts"] += accounts
        steps: tuple[tuple[str, Callable[[Transaction], int]], ...] = (
            ("expunged_messages", lambda txn: sweeping.forget_expunged_txn(txn, undelete)),
            ("deleted_mailboxes", lambda txn: sweeping.drop_deleted_mailbox_txn(txn, undelete)),
            ("changes", lambda txn: sweeping.drop_change_log_txn(txn, remember)),
            ("expunge_records", lambda txn: sweeping.drop_expunge_log_txn(txn, min(remember, undelete))),
            ("staged_contents", lambda txn: sweeping.drop_staged_txn(txn, staged)),
            ("contents", sweeping.drop_contents_txn),
            ("history", lambda txn: drop_history_txn(txn, now - self._history_keep_s, sweeping.PIECE)),
            ("greylist", lambda txn: greylist.drop_expired_txn(txn, now, sweeping.PIECE)),
            ("reputations", lambda txn: drop_forgotten_txn(txn, now - settings.reputation_time, sweeping.PIECE)),
            ("state", lambda txn: state.drop_expired_txn(txn, now, sweeping.PIECE)),
            ("greylist_surplus", lambda txn: greylist.drop_surplus_txn(txn, settings.greylist_entries, sweeping.PIECE)),
            ("state_surplus", lambda txn: state.drop_surplus_txn(txn, settings.state_keys, sweeping.PIECE)),
        )
        for kind, step_txn in steps:
            while number := await self._database.run(f"sweep {kind}", step_txn):
                dropped[kind] += number
        return dict(dropped)

    def release_maildrops(self, owners: Iterable[str]) -> Deferred[int]:
        gone = sorted(set(owners))
        return self._database.run("release maildrops", lambda txn: release_maildrops_txn(txn, gone))

    # --- undeleting

    def restore_expunged(self, account_id: AccountId, since: float, mailbox: str | None) -> Deferred[int]:
        now = self._clock.seconds()
        return self._database.run(
            "restore expunged", lambda txn: _restore_txn(txn, account_id, since, mailbox, now), (account_id,)
        )

    def restore_mail(
        self, backup: Path, at: float | None, login_name: str, mailbox: str | None, to: str | None, dry_run: bool
    ) -> Deferred[RestoredMail]:
        return Deferred.fromCoroutine(self._restore_mail(backup, at, login_name, mailbox, to, dry_run))

    async def _restore_mail(
        self, backup: Path, at: float | None, login_name: str, mailbox: str | None, to: str | None, dry_run: bool
    ) -> RestoredMail:
        with closing(BackupFolder(backup).set_at(at)) as one:
            returning = MailRestore(self._database, self._directory, one, self._next_id, self._clock.seconds)
            return await returning.restore(login_name, mailbox, to, dry_run)


def _set_structures_txn(txn: Transaction, stale: Sequence[Row]) -> None:
    txn.execute_many(_SET_STRUCTURE, stale)
    # Where a header ends may be another place now.
    txn.execute_many("DELETE FROM content_headers WHERE content_id = ?", [row[-1:] for row in stale])
    fill_anew_txn(txn)


def _recount_references_txn(txn: Transaction) -> int:
    txn.stop_writers("account_state", "contents", "queue_entries", "messages", "expunged")
    rows = txn.rows(
        "SELECT COALESCE(r.number, 0), c.content_id FROM contents c LEFT JOIN"
        f" (SELECT content_id, COUNT(*) AS number FROM ({REFERENCES}) u GROUP BY content_id) r"
        " ON r.content_id = c.content_id WHERE c.refs <> COALESCE(r.number, 0)"
    )
    txn.execute_many("UPDATE contents SET refs = ? WHERE content_id = ?", rows)
    return len(rows)


def _recount_mailboxes_txn(txn: Transaction) -> int:
    txn.stop_writers("account_state", "mailboxes", "messages")
    rows = txn.rows(
        "SELECT b.account_id, b.mailbox_id, b.messages, b.unseen, b.deleted, b.size, b.uid_next, b.highest_modseq,"
        " COUNT(m.uid), COALESCE(SUM(CASE WHEN (m.system_flags & 1) = 0 THEN 1 ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN (m.system_flags & 8) <> 0 THEN 1 ELSE 0 END), 0), COALESCE(SUM(m.size), 0),"
        " COALESCE(MAX(m.uid), 0) + 1, COALESCE(MAX(m.modseq), 0)"
        " FROM mailboxes b LEFT JOIN messages m ON m.account_id = b.account_id AND m.mailbox_id = b.mailbox_id"
        " GROUP BY b.account_id, b.mailbox_id"
    )
    modseqs: dict[AccountId, ModSeq] = {}
    wrong = []
    for row in rows:
        noted, true = row[2:8], row[8:14]
        # A UID is never reused, and a modseq never goes back.
        true = (*true[:4], max(noted[4], true[4]), max(noted[5], true[5]))
        if noted != true:
            account_id, last = row[0], true[5]
            if modseqs.get(account_id, 0) <= last:
                # Sessions that watch the counts must be notified.
                modseqs[account_id] = _advance_past_txn(txn, account_id, last)
            wrong.append((*true[:5], modseqs[account_id], *row[:2]))
    for account_id, modseq in modseqs.items():
        txn.announce(account_id, modseq)
    txn.execute_many(
        "UPDATE mailboxes SET messages = ?, unseen = ?, deleted = ?, size = ?, uid_next = ?, highest_modseq = ?"
        " WHERE account_id = ? AND mailbox_id = ?",
        wrong,
    )
    return len(wrong)


def _recount_readers_txn(txn: Transaction) -> int:
    txn.stop_writers("account_state", "mailbox_readers", "reader_seen")
    wrong = wrong_counts_txn(txn)
    for key, _, true in wrong:
        set_count_txn(txn, key, true)
    return len(wrong)


def _raise_flags_floors_txn(txn: Transaction) -> int:
    """Where changes of flags have no record, make queries read all messages for changes until now."""
    txn.stop_writers("account_state", "messages", "changed_flags")
    return txn.execute(
        "UPDATE account_state SET flags_floor = modseq WHERE account_id IN"
        f" (SELECT u.account_id FROM ({UNNOTED_FLAGS}) u)"
    )


def _advance_past_txn(txn: Transaction, account_id: AccountId, last: int) -> ModSeq:
    """The account's next modseq, which is above ``last``."""
    row = txn.row(
        "UPDATE account_state SET modseq = CASE WHEN modseq < ? THEN ? ELSE modseq END + 1 WHERE account_id = ?"
        " RETURNING modseq",
        (last, last, account_id),
    )
    return ModSeq(last if row is None else row[0])


def _restore_txn(txn: Transaction, account_id: AccountId, since: float, mailbox: str | None, now: float) -> int:
    """Restore messages to their mailboxes, without ``\\Deleted``: the next expunge must not remove them again.

    A message that was restored already, from a backup or by a client, is not duplicated."""
    modseq = advance_txn(txn, account_id)
    names: dict[MailboxId, str] = dict(
        txn.rows(
            "SELECT mailbox_id, name FROM mailboxes WHERE account_id = ? UNION ALL"
            " SELECT mailbox_id, name FROM deleted_mailboxes WHERE account_id = ?",
            (account_id, account_id),
        )
    )
    wanted = None if mailbox is None else canonical(mailbox)
    restored = 0
    for mailbox_id, name in sorted(names.items()):
        if wanted is not None and name != wanted:
            continue
        lost = txn.rows(
            "SELECT e.uid, e.system_flags, e.keywords, e.content_id, e.size, e.extra_octets, e.internal_date, e.prefix,"
            " c.digest FROM expunged e JOIN contents c ON c.content_id = e.content_id"
            " WHERE e.account_id = ? AND e.mailbox_id = ? AND e.expunged_at > ? ORDER BY e.uid",
            (account_id, mailbox_id, since),
        )
        target = find_mailbox_txn(txn, account_id, name)
        rows = _not_there_txn(txn, account_id, None if target is None else target.mailbox_id, lost)
        if not rows:
            continue
        if target is None or not target.selectable:
            target = create_mailbox_txn(txn, account_id, name, (), now)
            modseq = advance_txn(txn, account_id)
        kept = [row[1] & ~int(SystemFlag.DELETED) for row in rows]
        sizes = [(flags, row[4]) for flags, row in zip(kept, rows, strict=True)]
        arrivals = arrive_txn(txn, account_id, target.mailbox_id, modseq, sizes)
        assert arrivals is not None
        txn.insert(
            "messages",
            MESSAGE_COLUMNS,
            [
                (
                    *(account_id, target.mailbox_id, uid, flags, keywords, modseq, content_id, size),
                    *(internal_date, now, prefix, extra_octets),
                )
                for uid, flags, (_, _, keywords, content_id, size, extra_octets, internal_date, prefix, _) in zip(
                    range(arrivals.first_uid, arrivals.first_uid + len(rows)), kept, rows, strict=True
                )
            ],
        )
        # The record that the old UID went stays.
        txn.execute_many(
            "UPDATE expunged SET content_id = NULL WHERE account_id = ? AND mailbox_id = ? AND uid = ?",
            [(account_id, mailbox_id, row[0]) for row in rows],
        )
        restored += len(rows)
    if restored:
        txn.announce(account_id, modseq)
    return restored


def _not_there_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId | None, lost: Sequence[Row]
) -> list[Row]:
    """Those of ``lost`` that the mailbox lacks, each once; the last columns are internal date, prefix and digest."""
    there = set()
    digests = sorted({bytes(row[-1]) for row in lost}) if mailbox_id is not None else []
    for start in range(0, len(digests), _CONTENTS_AT_ONCE):
        piece = digests[start : start + _CONTENTS_AT_ONCE]
        there |= {
            likeness(bytes(digest), date, bytes(prefix))
            for date, prefix, digest in txn.rows(
                "SELECT m.internal_date, m.prefix, c.digest FROM messages m JOIN contents c"
                " ON c.content_id = m.content_id WHERE m.account_id = ? AND m.mailbox_id = ?"
                f" AND c.digest IN ({', '.join('?' * len(piece))})",
                (account_id, mailbox_id, *piece),
            )
        }
    wanted = []
    for row in lost:
        like = likeness(bytes(row[-1]), row[-3], bytes(row[-2]))
        if like not in there:
            there.add(like)
            wanted.append(row)
    return wanted
