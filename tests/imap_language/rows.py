"""Messages as rows, as the store would give them: scanned, with a prefix, octets left out if they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from pymailsuite.interfaces import Column, MessageRow
from pymailsuite.message.scan import scan

PREFIX = b"Return-Path: <anna@mail.example>\r\nDelivered-To: bob@mail.example\r\n"


@frozen
class StoredMessage:
    """A message in a mailbox."""

    uid: int
    content: bytes
    flags: int = 0
    keywords: str = ""
    modseq: int = 1
    internal_date: float = 837596665.0
    save_date: float = 837596665.0
    prefix: bytes = PREFIX
    is_long: bool = False

    @property
    def octets(self) -> bytes:
        """What a reader sees."""
        return self.prefix + self.content

    def value(self, column: Column) -> Any:
        """One column."""
        structure = scan(self.content)
        return {
            Column.UID: self.uid,
            Column.SYSTEM_FLAGS: self.flags,
            Column.KEYWORDS: self.keywords,
            Column.MODSEQ: self.modseq,
            Column.INTERNAL_DATE: self.internal_date,
            Column.SAVE_DATE: self.save_date,
            Column.SIZE: len(self.octets),
            Column.CONTENT_ID: self.uid,
            Column.PREFIX: self.prefix,
            Column.PREFIX_SIZE: len(self.prefix),
            Column.THREAD_ID: structure.keys.own_link % 1000,
            Column.SENT_DAY: structure.keys.sent_day,
            Column.SUBJECT: structure.keys.subject,
            Column.PREVIEW: structure.keys.preview,
            Column.HEADER_SIZE: structure.header_size,
            Column.ENVELOPE: structure.envelope,
            Column.BODY: structure.body,
            Column.BODYSTRUCTURE: structure.bodystructure,
            Column.PARTS: structure.parts,
            Column.HEADER: self.prefix + self.content[: structure.header_size],
            Column.OCTETS: None if self.is_long else self.octets,
        }[column]

    def row(self, columns: Sequence[Column]) -> MessageRow:
        """Some columns."""
        return tuple(self.value(column) for column in columns)
