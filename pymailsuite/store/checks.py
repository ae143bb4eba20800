"""The invariants of a store, as queries that find violations."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

from attrs import frozen

from pymailsuite.store.change_log import BLOCK
from pymailsuite.store.migrate import UNFINISHED
from pymailsuite.store.quota import WRONG_TOTALS
from pymailsuite.store.seen import wrong_counts_txn
from pymailsuite.store.tables import declared_tables
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import ContentId, EntryId, queue_id_of

REFERENCES = (
    "SELECT content_id FROM messages UNION ALL"
    " SELECT content_id FROM expunged WHERE content_id IS NOT NULL UNION ALL"
    " SELECT content_id FROM queue_entries"
)
"""Every row that names a content, once each."""

UNNOTED_FLAGS = (
    "SELECT m.account_id, m.mailbox_id, m.uid FROM messages m JOIN account_state a ON a.account_id = m.account_id"
    " WHERE m.arrival_modseq IS NOT NULL AND m.modseq > a.flags_floor AND NOT EXISTS"
    " (SELECT 1 FROM changed_flags b WHERE b.account_id = m.account_id AND b.mailbox_id = m.mailbox_id"
    f" AND b.block = m.uid / {BLOCK} AND b.modseq >= m.modseq)"
)
"""Messages whose change of flags has no record."""

_COUNTS = """
    SELECT b.account_id, b.name, b.messages, b.unseen, b.deleted, b.size, b.uid_next, b.highest_modseq,
        COUNT(m.uid),
        COALESCE(SUM(CASE WHEN (m.system_flags & 1) = 0 THEN 1 ELSE 0 END), 0),
        COALESCE(SUM(CASE WHEN (m.system_flags & 8) <> 0 THEN 1 ELSE 0 END), 0),
        COALESCE(SUM(m.size), 0), COALESCE(MAX(m.uid), 0), COALESCE(MAX(m.modseq), 0)
    FROM mailboxes b LEFT JOIN messages m ON m.account_id = b.account_id AND m.mailbox_id = b.mailbox_id
    GROUP BY b.account_id, b.mailbox_id
"""


def _counts(row: Row) -> Iterator[str]:
    account_id, name = row[:2]
    for what, noted, true in zip(("messages", "unseen", "deleted", "size"), row[2:6], row[8:12], strict=True):
        if noted != true:
            yield f"mailbox {name!r} of account {account_id}: {what} is noted as {noted}, it is {true}"
    uid_next, highest_modseq, last_uid, last_modseq = row[6], row[7], row[12], row[13]
    if last_uid >= uid_next:
        yield f"mailbox {name!r} of account {account_id}: UIDNEXT is {uid_next}, but UID {last_uid} is in use"
    if last_modseq > highest_modseq:
        yield f"mailbox {name!r} of account {account_id}: modseq {last_modseq} is above its highest, {highest_modseq}"


def _content(problem: str) -> Callable[[Row], Iterator[str]]:
    def lines(row: Row) -> Iterator[str]:
        yield f"content {queue_id_of(ContentId(row[0]))}: {problem.format(*row[1:])}"

    return lines


def _entry(problem: str) -> Callable[[Row], Iterator[str]]:
    def lines(row: Row) -> Iterator[str]:
        yield f"queue entry {queue_id_of(EntryId(row[0]))}: {problem}"

    return lines


def _message(problem: str) -> Callable[[Row], Iterator[str]]:
    def lines(row: Row) -> Iterator[str]:
        yield f"message {row[2]} in mailbox {row[1]} of account {row[0]}: {problem.format(*row[3:])}"

    return lines


def _totals(row: Row) -> Iterator[str]:
    for what, noted, true in zip(("storage", "messages", "mailboxes"), row[1:4], row[4:7], strict=True):
        if noted != true:
            yield f"total of domain {row[0]}: {what} is noted as {noted}, it is {true}"


def _mailbox(problem: str) -> Callable[[Row], Iterator[str]]:
    def lines(row: Row) -> Iterator[str]:
        yield f"mailbox {row[1]} of account {row[0]}: {problem}"

    return lines


def _without_mailbox(table: str, problem: str, condition: str = "") -> _Check:
    """The check that each row of a table, or those that meet a condition, belongs to a mailbox."""
    return _Check(
        f"SELECT DISTINCT r.account_id, r.mailbox_id FROM {table} r LEFT JOIN mailboxes b"
        " ON b.account_id = r.account_id AND b.mailbox_id = r.mailbox_id WHERE b.mailbox_id IS NULL"
        f"{condition}",
        _mailbox(problem),
        (table, "mailbox_id"),
    )


@frozen
class _Check:
    """A query for violations, and the lines for each row of its result.

    ``needs`` is the newest table and column of the schema that the query uses, if they are younger than the first
    schema: the query is skipped for an older store.
    """

    sql: str
    lines: Callable[[Row], Iterator[str]]
    needs: tuple[str, str] = ("messages", "uid")


_ENTRIES = ("queue_entries", "entry_id")

_CHECKS = (
    _Check(_COUNTS, _counts),
    _Check(WRONG_TOTALS, _totals, ("domain_usage", "storage")),
    _Check(
        "SELECT m.account_id, m.mailbox_id, m.uid FROM messages m LEFT JOIN mailboxes b"
        " ON b.account_id = m.account_id AND b.mailbox_id = m.mailbox_id WHERE b.mailbox_id IS NULL",
        _message("its mailbox is not there"),
    ),
    _Check(
        "SELECT m.account_id, m.mailbox_id, m.uid FROM messages m LEFT JOIN contents c"
        " ON c.content_id = m.content_id WHERE c.content_id IS NULL",
        _message("its content is not there"),
    ),
    _Check(
        "SELECT m.account_id, m.mailbox_id, m.uid, m.size, c.size + {fields} + length(m.prefix) FROM messages m"
        " JOIN contents c ON c.content_id = m.content_id WHERE m.size <> c.size + {fields} + length(m.prefix)",
        _message("size is noted as {}, it is {}"),
    ),
    _Check(
        UNNOTED_FLAGS,
        _message("its flags changed, but its block of UIDs does not say so"),
        ("changed_flags", "block"),
    ),
    _without_mailbox("mailbox_rights", "there are rights to it, but it is not there"),
    _without_mailbox("mailbox_readers", "it has readers, but it is not there"),
    _without_mailbox("annotations", "it has annotations, but it is not there", " AND r.mailbox_id > 0"),
    _without_mailbox("reader_seen", "messages in it were seen, but it is not there"),
    _Check(
        "SELECT c.content_id, c.refs, COALESCE(r.number, 0) FROM contents c LEFT JOIN"
        f" (SELECT content_id, COUNT(*) AS number FROM ({REFERENCES}) u GROUP BY content_id) r"
        " ON r.content_id = c.content_id WHERE c.refs <> COALESCE(r.number, 0)",
        _content("references are noted as {}, they are {}"),
    ),
    _Check(
        "SELECT c.content_id, c.size, COALESCE(SUM(length(k.octets)), 0) FROM contents c LEFT JOIN content_chunks k"
        " ON k.content_id = c.content_id GROUP BY c.content_id HAVING c.size <> COALESCE(SUM(length(k.octets)), 0)",
        _content("size is noted as {}, its chunks hold {}"),
    ),
    _Check(
        "SELECT DISTINCT k.content_id FROM content_chunks k LEFT JOIN contents c ON c.content_id = k.content_id"
        " LEFT JOIN staged_contents s ON s.content_id = k.content_id"
        " WHERE c.content_id IS NULL AND s.content_id IS NULL",
        _content("chunks that belong to nothing"),
    ),
    _Check(
        "SELECT h.content_id, length(h.octets), COALESCE(c.header_size, 0) FROM content_headers h LEFT JOIN contents c"
        " ON c.content_id = h.content_id WHERE c.content_id IS NULL OR length(h.octets) <> c.header_size",
        _content("a header of {} octets is stored, it has {}"),
        ("content_headers", "content_id"),
    ),
    _Check(
        "SELECT q.entry_id FROM queue_entries q LEFT JOIN contents c ON c.content_id = q.content_id"
        " WHERE c.content_id IS NULL",
        _entry("its content is not there"),
        _ENTRIES,
    ),
    _Check(
        "SELECT q.entry_id FROM queue_entries q WHERE NOT EXISTS"
        " (SELECT 1 FROM queue_recipients r WHERE r.entry_id = q.entry_id AND r.state = 'delayed')",
        _entry("queued for nobody"),
        _ENTRIES,
    ),
    _Check(
        "SELECT DISTINCT r.entry_id FROM queue_recipients r LEFT JOIN queue_entries q"
        " ON q.entry_id = r.entry_id WHERE q.entry_id IS NULL",
        _entry("recipients without the entry"),
        _ENTRIES,
    ),
)


def check_txn(txn: Transaction) -> list[str]:
    """A line for each violation, without a check of octets. A copy may still have an older schema."""
    version = txn.value("SELECT MAX(version) FROM schema_version WHERE version < ?", (UNFINISHED,))
    tables = declared_tables(version)
    shares_fields = "fields" in tables["contents"].column_names
    fields = "COALESCE(length(c.fields), 0)" if shares_fields else "0"
    found = [
        line
        for check in _CHECKS
        if check.needs[0] in tables and check.needs[1] in tables[check.needs[0]].column_names
        for row in txn.rows(check.sql.replace("{fields}", fields))
        for line in check.lines(row)
    ]
    if "reader_seen" in tables:
        found += [
            f"mailbox {mailbox_id} of account {account_id}: {noted} messages are noted as seen by account {reader_id},"
            f" there are {true}"
            for (account_id, mailbox_id, reader_id), noted, true in wrong_counts_txn(txn)
        ]
    return found


def check_digests_txn(txn: Transaction, after: int, limit: int) -> tuple[list[str], int | None]:
    """Check octets against digests for some contents after an id; returns the faults, and the last id (None: no
    more)."""
    found = []
    rows = txn.rows(
        "SELECT content_id, digest FROM contents WHERE content_id > ? ORDER BY content_id LIMIT ?", (after, limit)
    )
    for content_id, digest in rows:
        computed = sha256()
        for octets in chunks_txn(txn, content_id):
            computed.update(octets)
        if computed.digest() != bytes(digest):
            found.append(f"content {queue_id_of(ContentId(content_id))}: its octets do not match their digest")
    return found, rows[-1][0] if rows else None


def chunks_txn(txn: Transaction, content_id: int) -> Iterator[bytes]:
    """The chunks of a content, in order, one at a time."""
    position = -1
    while True:
        row = txn.row(
            "SELECT position, octets FROM content_chunks WHERE content_id = ? AND position > ?"
            " ORDER BY position LIMIT 1",
            (content_id, position),
        )
        if row is None:
            return
        position = row[0]
        yield row[1]
