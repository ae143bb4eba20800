"""The words of messages for the text index: what they are made from is read in a transaction, and they are made in
steps after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from pymailsuite.interfaces.mail import Column, Steps
from pymailsuite.interfaces.text_index import IndexBounds, TextWords
from pymailsuite.message.extraction import TextExtraction
from pymailsuite.message.parts import PartTable, decode_parts
from pymailsuite.message.words import body_ranges, body_words, extracted_ranges, header_words, subject_words
from pymailsuite.store.contents import read_octets_txn
from pymailsuite.store.reading import read_messages_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, MailboxId, UidSet

_OCTETS_AT_ONCE: Final = 2 * 2**20
_OCTETS_A_STEP: Final = 32 * 1024

Indexed = tuple[int, tuple[TextWords, ...] | None]
"""A UID, and the words of its message; None if its text is too long."""
_COLUMNS: Final = (
    *(Column.UID, Column.CONTENT_ID, Column.PARTS, Column.SUBJECT, Column.PREFIX_SIZE, Column.HEADER_SIZE),
    Column.OCTETS,
)


def words_of_messages_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, uids: Sequence[int], bounds: IndexBounds
) -> Steps[tuple[list[Indexed], int | None]]:
    """Some of the messages with these UIDs; and the last of them, None if there are no more."""

    def long_header_txn(uid: int) -> bytes:
        ((header,),), _ = read_messages_txn(txn, account_id, mailbox_id, UidSet.of([uid]), (Column.HEADER,))
        return bytes(header)

    rows, last = read_messages_txn(txn, account_id, mailbox_id, UidSet.of(uids), _COLUMNS, _OCTETS_AT_ONCE)
    texts = [_text_txn(txn, row, long_header_txn, bounds) for row in rows]
    return _words_in_steps([row[0] for row in rows], texts, last)


@frozen
class _Text:
    """What the words of a message are made from. ``pieces`` are octets of its content, by where they begin and end;
    ``size`` is how much all of it is."""

    header: bytes
    subject: str
    table: PartTable
    pieces: dict[tuple[int, int], bytes]
    extraction: TextExtraction
    size: int

    def words(self) -> tuple[TextWords, ...]:
        body = body_words(self.table, lambda start, stop: self.pieces[start, stop], self.extraction)
        return header_words(self.header), subject_words(self.subject), body


def _text_txn(txn: Transaction, row: Row, long_header_txn: Callable[[int], bytes], bounds: IndexBounds) -> _Text | None:
    uid, content_id, parts, subject, prefix_size, header_size, octets = row
    table = decode_parts(bytes(parts))
    ranges = body_ranges(table)
    size = prefix_size + header_size + sum(stop - start for start, stop in ranges)
    if size > bounds.message_octets:
        return None
    extracted = extracted_ranges(table, bounds.extraction)
    if extracted:
        ranges += extracted
        size += sum(stop - start for start, stop in extracted)
    if octets is None:
        header = long_header_txn(uid)
        pieces = {(start, stop): read_octets_txn(txn, content_id, start, stop) for start, stop in ranges}
    else:
        header = octets[: prefix_size + header_size]
        pieces = {(start, stop): octets[prefix_size + start : prefix_size + stop] for start, stop in ranges}
    return _Text(header, subject, table, pieces, bounds.extraction, size)


def _words_in_steps(
    uids: Sequence[int], texts: Sequence[_Text | None], last: int | None
) -> Steps[tuple[list[Indexed], int | None]]:
    made: list[Indexed] = []
    done = 0
    for uid, text in zip(uids, texts, strict=True):
        if text is None:
            made.append((uid, None))
            continue
        done += text.size
        if done > _OCTETS_A_STEP:
            yield
            done = text.size
        made.append((uid, text.words()))
    return made, last
