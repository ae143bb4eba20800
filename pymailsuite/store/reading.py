"""Reads messages and their octets, never more at once than requested.

Only the database knows the size of a row: it may have a few octets or nearly a megabyte. So a caller that reads many
messages gives a limit of octets, and learns at which message it was reached.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Final

from pymailsuite.interfaces.mail import Column, MessageRow
from pymailsuite.store.contents import read_octets_txn
from pymailsuite.store.message_keys import keys_now_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.store.uid_ranges import conditions, rows_of_txn
from pymailsuite.values import MAX_CHUNK, AccountId, MailboxId, Uid, UidSet

NO_LIMIT: Final = 1 << 62
_KEYS_MADE: Final = 100
"""Messages without stored keys whose keys are computed within one piece."""
_FEW: Final = 16
"""Messages that may be read without querying their size first."""
_SIZES_AT_ONCE: Final = 256
"""Messages whose sizes are queried together at first."""

_KEYS: Final = {
    Column.SENT_DAY: "sent_day",
    Column.SUBJECT: "subject",
    Column.BASE_SUBJECT: "base_subject",
    Column.FROM_MAILBOX: "from_mailbox",
    Column.TO_MAILBOX: "to_mailbox",
    Column.CC_MAILBOX: "cc_mailbox",
    Column.FROM_DISPLAY: "from_display",
    Column.TO_DISPLAY: "to_display",
    Column.HAS_ATTACHMENT: "has_attachment",
    Column.PREVIEW: "preview",
    # After the others: it may be NULL where the rest is not.
    Column.SENT_AT: "sent_at",
}
"""Columns of keys, and fields of MessageKeys."""

_EXPRESSIONS = {
    Column.UID: "m.uid",
    Column.SYSTEM_FLAGS: "m.system_flags",
    Column.KEYWORDS: "m.keywords",
    Column.MODSEQ: "m.modseq",
    Column.INTERNAL_DATE: "m.internal_date",
    Column.SAVE_DATE: "m.save_date",
    Column.SIZE: "m.size",
    Column.MARKED_SIZE: "CASE m.extra_octets WHEN 0 THEN m.size ELSE -1 - m.size END",
    Column.EXTRA_OCTETS: "m.extra_octets",
    Column.CONTENT_ID: "m.content_id",
    Column.PREFIX: "m.prefix",
    Column.PREFIX_SIZE: "length(m.prefix) + COALESCE(length(c.fields), 0)",
    Column.HEADER_SIZE: "c.header_size",
    Column.ENVELOPE: "c.envelope",
    Column.BODY: "c.body",
    Column.BODYSTRUCTURE: "c.bodystructure",
    Column.PARTS: "c.parts",
    Column.THREAD_ID: "l.told_id",
    **{column: f"c.{name}" for column, name in _KEYS.items()},
    Column.HEADER: (
        "COALESCE(h.octets, (SELECT substr(s.octets, 1, CAST(c.header_size AS INTEGER)) FROM content_chunks s"
        " WHERE s.content_id = m.content_id AND s.position = 0))"
    ),
    Column.OCTETS: f"CASE WHEN m.size <= {MAX_CHUNK} THEN k.octets END",
}
_JOIN_CONTENTS = " JOIN contents c ON c.content_id = m.content_id"
_JOIN_LINKS = " LEFT JOIN thread_links l ON l.account_id = m.account_id AND l.link = c.own_link"
_JOIN_HEADERS = " LEFT JOIN content_headers h ON h.content_id = m.content_id"
# Metadata of long messages is read without their octets.
_JOIN_FIRST_CHUNK = (
    f" LEFT JOIN content_chunks k ON k.content_id = m.content_id AND k.position = 0 AND m.size <= {MAX_CHUNK}"
)
_FIELDS: Final = (
    "CASE WHEN m.size > length(m.prefix) + COALESCE(length(k.octets), 0)"
    " THEN (SELECT f.fields FROM contents f WHERE f.content_id = m.content_id) END"
)
"""The fields in front of all copies of a message of one chunk: its content is read if there are any."""
_WEIGHTS: Final = {
    Column.PREFIX: "length(m.prefix)",
    Column.ENVELOPE: "length(c.envelope)",
    Column.BODY: "length(c.body)",
    Column.BODYSTRUCTURE: "length(c.bodystructure)",
    Column.PARTS: "length(c.parts)",
    Column.SUBJECT: "COALESCE(length(c.subject), 0)",
    Column.PREVIEW: "COALESCE(length(c.preview), 0)",
    Column.HEADER: "c.header_size",
    Column.OCTETS: f"CASE WHEN m.size <= {MAX_CHUNK} THEN m.size ELSE 0 END",
}
"""Columns of unknown size, and the octets of a row in them."""


def read_messages_txn(
    txn: Transaction,
    account_id: AccountId,
    mailbox_id: MailboxId,
    uids: UidSet,
    columns: Sequence[Column],
    most_octets: int = NO_LIMIT,
) -> tuple[Sequence[MessageRow], Uid | None]:
    """Rows of those of ``uids`` that exist, by ascending UID, with just the columns asked for.

    Once ``most_octets`` are reached no more are read; then the last UID read is returned, or None if all were read.
    There is always one row at least.
    """
    with_header, with_octets = Column.HEADER in columns, Column.OCTETS in columns
    expressions = [_EXPRESSIONS[column] for column in columns]
    if with_header or with_octets:
        expressions += ["m.prefix", "c.fields" if with_header else _FIELDS, "m.content_id", "m.size"]
        expressions.append("c.header_size" if with_header else "0")
    joins = ""
    with_threads = Column.THREAD_ID in columns
    if with_header or with_threads or any(_EXPRESSIONS[column].find("c.") >= 0 for column in columns):
        joins += _JOIN_CONTENTS
    if with_threads:
        joins += _JOIN_LINKS
    if with_header:
        joins += _JOIN_HEADERS
    if with_octets:
        joins += _JOIN_FIRST_CHUNK
    select = f"SELECT {', '.join(expressions)} FROM messages m{joins}"
    heavy = [place for place, column in enumerate(columns) if column in _WEIGHTS]
    several = bool(uids) and uids.ranges[0][0] < uids.ranges[-1][1]
    limited = several and bool(heavy) and most_octets < NO_LIMIT
    last: Uid | None = None
    if limited and not txn.rows_as_fetched:
        uids, last = _affordable_txn(txn, account_id, mailbox_id, uids, columns, most_octets)
    rows: list[Row] = []
    left = most_octets
    for condition, values in conditions(uids, "m.uid"):
        sql = f"{select} WHERE m.account_id = ? AND m.mailbox_id = ? AND {condition} ORDER BY m.uid"
        values = [account_id, mailbox_id, *values]  # noqa: PLW2901
        if not limited:
            rows += txn.rows(sql, values)
            continue
        left = txn.rows_within(sql, values, rows, heavy, left)
        if left <= 0:
            last = rows[-1][columns.index(Column.UID)]
            break
    if not _KEYS.keys().isdisjoint(columns):
        several_at_once = several and most_octets < NO_LIMIT
        rows, last = _with_keys_txn(txn, account_id, mailbox_id, uids, columns, rows, last, several_at_once)
    if with_header or with_octets:
        header_at = columns.index(Column.HEADER) if with_header else None
        octets_at = columns.index(Column.OCTETS) if with_octets else None
        whole = _with_octets(rows, header_at, octets_at)
        return whole or [_with_octets_txn(txn, row, header_at, octets_at) for row in rows], last
    return rows, last


def _with_keys_txn(
    txn: Transaction,
    account_id: AccountId,
    mailbox_id: MailboxId,
    uids: UidSet,
    columns: Sequence[Column],
    rows: list[Row],
    last: Uid | None,
    limited: bool,
) -> tuple[list[Row], Uid | None]:
    """The rows with keys computed for those without stored ones. If ``limited`` it ends after some of these, as a piece
    does."""
    places = [(columns.index(column), name) for column, name in _KEYS.items() if column in columns]
    tells = places[0][0]
    lacking = [number for number, row in enumerate(rows) if row[tells] is None]
    if not lacking:
        return rows, last
    if limited and len(lacking) > _KEYS_MADE:
        del rows[lacking[_KEYS_MADE - 1] + 1 :]
        del lacking[_KEYS_MADE:]
        last = rows[-1][columns.index(Column.UID)]
    # All this is one snapshot of the database, so that these are the rows from the first one on.
    contents = rows_of_txn(txn, "SELECT m.content_id FROM messages m", account_id, mailbox_id, uids, prefix="m.")
    for number in lacking:
        keys = keys_now_txn(txn, contents[number][0])
        values = list(rows[number])
        for place, name in places:
            values[place] = getattr(keys, name)
        rows[number] = tuple(values)
    return rows, last


def _affordable_txn(
    txn: Transaction,
    account_id: AccountId,
    mailbox_id: MailboxId,
    uids: UidSet,
    columns: Sequence[Column],
    most_octets: int,
) -> tuple[UidSet, Uid | None]:
    """The first of ``uids`` within the limit of octets, for a database that would send all rows at once; and the last
    of them, if there are more."""
    low, high = uids.ranges[0][0], uids.ranges[-1][1]
    if high - low < _FEW:
        return uids, None
    weight = " + ".join(_WEIGHTS[column] for column in columns if column in _WEIGHTS)
    joins = _JOIN_CONTENTS if "c." in weight else ""
    last: Uid | None = None
    for condition, values in conditions(uids, "m.uid"):
        sql = (
            f"SELECT m.uid, {weight} FROM messages m{joins}"
            f" WHERE m.account_id = ? AND m.mailbox_id = ? AND {condition} AND m.uid > ? ORDER BY m.uid LIMIT ?"
        )
        # The sizes of some at a time: with long messages, few are within the limit.
        count, after = _SIZES_AT_ONCE, 0
        while rows := txn.rows(sql, [account_id, mailbox_id, *values, after, count]):
            for uid, octets in rows:
                most_octets -= octets
                if most_octets < 0 and last is not None:
                    cut = UidSet((start, min(stop, last)) for start, stop in uids.ranges if start <= last)
                    return cut, last
                last = Uid(uid)
            if len(rows) < count:
                break
            count, after = 4 * count, rows[-1][0]
    return uids, None


def _with_octets(rows: Sequence[Row], header_at: int | None, octets_at: int | None) -> Sequence[MessageRow] | None:
    """As :func:`_with_octets_txn` for many rows at once, of which all headers and octets are at hand; None if some are
    not."""
    if not rows:
        return rows
    columns = list(zip(*rows, strict=True))
    prefixes, fields, _, sizes, header_sizes = columns[-5:]
    if any(fields):
        prefixes = tuple([prefix + (more or b"") for prefix, more in zip(prefixes, fields, strict=True)])
    for place, wanted in ((header_at, header_sizes), (octets_at, None)):
        if place is None:
            continue
        octets = columns[place]
        if None in octets or (wanted is not None and list(map(len, octets)) != list(wanted)):
            return None
        columns[place] = tuple(map(add, prefixes, octets))
    if octets_at is not None and max(sizes) > MAX_CHUNK:
        return None
    return list(zip(*columns[:-5], strict=True))


def _with_octets_txn(txn: Transaction, row: Row, header_at: int | None, octets_at: int | None) -> MessageRow:
    """The row with the fields in front added to header and octets; the part of a long header past the first chunk is
    read."""
    prefix, fields, content_id, size, header_size = row[-5:]
    values = list(row[:-5])
    if fields:
        prefix += fields
    if header_at is not None:
        header = values[header_at] or b""
        position = len(header)
        while position < header_size:
            piece = read_octets_txn(txn, content_id, position, min(header_size, position + MAX_CHUNK))
            if not piece:
                break
            header += piece
            position += len(piece)
        values[header_at] = prefix + header
    if octets_at is not None:
        values[octets_at] = prefix + (values[octets_at] or b"") if size <= MAX_CHUNK else None
    return tuple(values)


def read_octets_of_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uid: Uid, start: int, stop: int
) -> bytes:
    """Octets of one message, including the fields in front; of an expunged one too while it can be undeleted."""
    row = None
    for table in ("messages", "expunged"):
        row = row or txn.row(
            f"SELECT m.content_id, m.prefix, c.fields FROM {table} m{_JOIN_CONTENTS}"
            " WHERE m.account_id = ? AND m.mailbox_id = ? AND m.uid = ?",
            (account_id, mailbox_id, uid),
        )
    if row is None:
        return b""
    content_id, prefix, fields = row
    if fields:
        prefix += fields
    before = len(prefix)
    octets: bytes = prefix[start:stop]
    if stop > before:
        octets += read_octets_txn(txn, content_id, max(0, start - before), stop - before)
    return octets
