"""Data items that are octets of the message: BODY[...], RFC822..., BINARY[...].

Each computes its section from the stored offsets, and has one of two results: for messages whose octets are in memory,
literals of a whole batch; for a longer one, a generator of octets to write and slices to read. A section that a message
does not have is NIL. A NUL may stand only in a literal8, which only the reply to BINARY may use (RFC 9051 §4.3.1):
in all others ``?`` stands in its place, so that sizes stay what they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from itertools import repeat
from operator import contains
from typing import Final, TypeAlias

from pymailsuite.imap.batch import Batch, Slice, plain, slices
from pymailsuite.imap.render import astring
from pymailsuite.imap.values import BinarySection, BinarySize, BodySection, Section, SectionText, UnknownEncoding
from pymailsuite.interfaces import Column
from pymailsuite.message.headers import FieldSelector, select_fields, select_fields_of
from pymailsuite.message.parts import PartKind
from pymailsuite.message.transfer import IDENTITY, TransferDecoder, transfer_decoder

Pieces: TypeAlias = Generator[bytes | Slice, bytes, None]
"""Yields octets to write, and slices to read and write; octets of a slice with ``is_input`` are sent back into it."""

_NIL: Final = b"NIL"


class SectionItem(ABC):
    """One such data item of a plan. ``needs_octets``: a message whose OCTETS is None needs :meth:`stream`.
    ``sets_seen``: fetching it sets ``\\Seen``."""

    label: bytes
    columns: tuple[Column, ...]
    needs_octets = True
    sets_seen = False

    @abstractmethod
    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        """For each message the head of its literal (or ``NIL``) and the octets of the literal."""

    def check(self, batch: Batch) -> None:
        """Raise the error that would refuse :meth:`stream`: a response that has begun can only be finished."""
        del batch  # Most items refuse nothing.

    @abstractmethod
    def stream(self, batch: Batch) -> Pieces:
        """The same for the one message of ``batch``, of which OCTETS is None."""


def _window(partial: tuple[int, int] | None, start: int, stop: int) -> tuple[int, int]:
    """The octets of a section from ``start`` to ``stop`` that ``<first.count>`` asks for."""
    if partial is None:
        return start, stop
    first, count = partial
    begin = min(start + first, stop)
    return begin, min(begin + count, stop)


def _head(size: int, partial: tuple[int, int] | None) -> bytes:
    # RFC 3501 §4.3 allows quoting an empty string, and some clients wait for octets after "{0}", which they would get
    # when they fetch a piece beyond the end.
    return b"{%d}\r\n" % size if size or partial is None else b'""'


def _strings(values: Sequence[bytes], partial: tuple[int, int] | None) -> tuple[Iterable[bytes], Iterable[bytes]]:
    """Heads and octets of literals of whole values, or of quoted strings of none."""
    if partial is None:
        heads = [b"{%d}\r\n" % len(value) for value in values]
    else:
        heads = [_head(len(value), partial) for value in values]
    # Tested in C for all at once: hardly any has one.
    return heads, list(map(plain, values)) if any(map(contains, values, repeat(0))) else values


def _path_text(path: Sequence[int]) -> str:
    return ".".join(map(str, path))


def _suffix(partial: tuple[int, int] | None) -> bytes:
    # "BODY" section ["<" number ">"]: the reply names only the first octet
    return b"" if partial is None else b"<%d>" % partial[0]


def _body_label(item: BodySection) -> bytes:
    if item.name:
        return item.name.encode("ascii")
    section = item.section
    words = [word for word in (_path_text(section.path), section.text.value) if word]
    text = ".".join(words).encode("ascii")
    if section.fields:
        text += b" (%b)" % b" ".join(map(astring, section.fields))
    return b"BODY[%b]%b" % (text, _suffix(item.partial))


class _Header(SectionItem):
    """BODY[HEADER], BODY[HEADER.FIELDS (...)], RFC822.HEADER: Column.HEADER has it all, for long messages too."""

    columns = (Column.HEADER,)
    needs_octets = False

    def __init__(self, item: BodySection) -> None:
        self.label = _body_label(item)
        self.sets_seen = not item.peek
        self._section = item.section
        self._partial = item.partial

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        values: Sequence[bytes] = batch[Column.HEADER]
        if self._section.fields:
            section = self._section
            values = select_fields_of(values, section.fields, section.text is SectionText.FIELDS_NOT)
        if self._partial is not None:
            values = [value[slice(*_window(self._partial, 0, len(value)))] for value in values]
        return _strings(values, self._partial)

    def stream(self, batch: Batch) -> Pieces:
        heads, values = self.literals(batch)
        yield from heads
        yield from values


def _selected(header: bytes, section: Section) -> bytes:
    return select_fields(header, section.fields, section.text is SectionText.FIELDS_NOT)


class _Whole(SectionItem):
    """BODY[], RFC822: the octets as they come."""

    columns = (Column.OCTETS, Column.SIZE)

    def __init__(self, item: BodySection) -> None:
        self.label = _body_label(item)
        self.sets_seen = not item.peek
        self._partial = item.partial

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        values: Sequence[bytes] = batch[Column.OCTETS]
        if self._partial is not None:
            values = [value[slice(*_window(self._partial, 0, len(value)))] for value in values]
        return _strings(values, self._partial)

    def stream(self, batch: Batch) -> Pieces:
        return _stream(batch.uids[0], (0, batch[Column.SIZE][0]), self._partial)


def _stream(uid: int, section: tuple[int, int], partial: tuple[int, int] | None) -> Pieces:
    start, stop = _window(partial, *section)
    yield _head(stop - start, partial)
    yield from slices(uid, start, stop)


class _Text(SectionItem):
    """BODY[TEXT], RFC822.TEXT: all after the header."""

    columns = (Column.OCTETS, Column.SIZE, Column.PREFIX_SIZE, Column.HEADER_SIZE)

    def __init__(self, item: BodySection) -> None:
        self.label = _body_label(item)
        self.sets_seen = not item.peek
        self._partial = item.partial

    @staticmethod
    def _sections(batch: Batch) -> list[tuple[int, int]]:
        return [
            (prefix_size + header_size, size)
            for prefix_size, header_size, size in zip(
                batch.prefix_sizes, batch[Column.HEADER_SIZE], batch[Column.SIZE], strict=True
            )
        ]

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        windows = [_window(self._partial, *section) for section in self._sections(batch)]
        values = [octets[start:stop] for octets, (start, stop) in zip(batch[Column.OCTETS], windows, strict=True)]
        return _strings(values, self._partial)

    def stream(self, batch: Batch) -> Pieces:
        return _stream(batch.uids[0], self._sections(batch)[0], self._partial)


class _PlainFields(FieldSelector):
    """Fields without NUL, as a literal may contain them."""

    def feed(self, octets: bytes) -> bytes:
        return plain(super().feed(octets))

    def finish(self) -> bytes:
        return plain(super().finish())


class _Part(SectionItem):
    """A section with a part number: BODY[1.2], BODY[1.2.HEADER], BODY[1.MIME] and so on."""

    columns = (Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE)

    def __init__(self, item: BodySection) -> None:
        self.label = _body_label(item)
        self.sets_seen = not item.peek
        self._section = item.section
        self._partial = item.partial
        self._kind = "HEADER" if item.section.fields else item.section.text.value

    def _sections(self, batch: Batch) -> list[tuple[int, int] | None]:
        path, kind = self._section.path, self._kind
        return [
            _shifted(table.section(path, kind), prefix_size, kind == "MIME")
            for table, prefix_size in zip(batch.tables, batch.prefix_sizes, strict=True)
        ]

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        heads, values = [], []
        for octets, section in zip(batch[Column.OCTETS], self._sections(batch), strict=True):
            if section is None:
                heads.append(_NIL)
                values.append(b"")
                continue
            if self._section.fields:
                value = _selected(octets[section[0] : section[1]], self._section)
                section = (0, len(value))  # noqa: PLW2901
            else:
                value = octets
            start, stop = _window(self._partial, *section)
            heads.append(_head(stop - start, self._partial))
            values.append(plain(value[start:stop]))
        return heads, values

    def _selector(self) -> FieldSelector:
        return _PlainFields(self._section.fields, self._section.text is SectionText.FIELDS_NOT)

    def stream(self, batch: Batch) -> Pieces:
        section = self._sections(batch)[0]
        uid = batch.uids[0]
        if section is None:
            yield _NIL
        elif self._section.fields:
            first, last, _ = yield from _measured(uid, section, self._selector(), self._partial)
            yield _head(last - first, self._partial)
            yield from _converted(uid, section, self._selector(), (first, last))
        else:
            yield from _stream(uid, section, self._partial)


def _shifted(section: tuple[int, int] | None, prefix_size: int, is_mime: bool) -> tuple[int, int] | None:
    """A section of the shared content as a section of the message that the client sees.

    The prefix belongs to the header of the message: BODY[1.MIME] of a message that is its own part 1 begins with it.
    """
    if section is None:
        return None
    start, stop = section
    return (0 if is_mime and not start else start + prefix_size), stop + prefix_size


class _Binary(SectionItem):
    """BINARY[...] and BINARY.SIZE[...]: the body of a part, its transfer encoding undone."""

    columns = (Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE, Column.SIZE)

    def __init__(self, item: BinarySection | BinarySize) -> None:
        self._path = item.path
        self._is_size = isinstance(item, BinarySize)
        self._partial = None if isinstance(item, BinarySize) else item.partial
        self.sets_seen = isinstance(item, BinarySection) and not item.peek
        self.label = b"%b[%b]%b" % (
            b"BINARY.SIZE" if self._is_size else b"BINARY",
            _path_text(item.path).encode("ascii"),
            _suffix(self._partial),
        )

    def _sections(self, batch: Batch) -> list[tuple[int, int, str] | None]:
        """Each message's section and its encoding. Multiparts and messages have none (RFC 2045 §6.4), even if their
        header names one: their parts are not encoded."""
        if not self._path:
            return [(0, size, "") for size in batch[Column.SIZE]]
        found: list[tuple[int, int, str] | None] = []
        for table, prefix_size in zip(batch.tables, batch.prefix_sizes, strict=True):
            part = table.find(self._path)
            if part is None:
                found.append(None)
            else:
                encoding = part.encoding if part.kind is PartKind.LEAF else ""
                found.append((part.body_start + prefix_size, part.end + prefix_size, encoding))
        return found

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        heads, values = [], []
        for place, section in enumerate(self._sections(batch)):
            value = b""
            if section is not None:
                start, stop, encoding = section
                decoded = batch.decoded(place, start, stop, encoding)
                if decoded is None:
                    raise UnknownEncoding(cause=encoding)
                value = decoded
            if self._is_size:
                heads.append(b"%d" % len(value))
                values.append(b"")
            elif section is None:
                heads.append(_NIL)
                values.append(b"")
            else:
                start, stop = _window(self._partial, 0, len(value))
                value = value[start:stop]
                heads.append(_binary_head(len(value), self._partial, b"\0" in value))
                values.append(value)
        return heads, values

    def check(self, batch: Batch) -> None:
        for section in self._sections(batch):
            if section is not None:
                _decoder(section[2])

    def stream(self, batch: Batch) -> Pieces:
        section = self._sections(batch)[0]
        uid = batch.uids[0]
        if section is None:
            yield b"0" if self._is_size else _NIL
            return
        start, stop, encoding = section
        if encoding in IDENTITY:
            if self._is_size:
                yield b"%d" % (stop - start)
                return
            start, stop = _window(self._partial, start, stop)
            _, _, has_nul = yield from _measured(uid, (start, stop), _decoder(encoding), None)
            yield _binary_head(stop - start, self._partial, has_nul)
            yield from slices(uid, start, stop, is_binary=True)
            return
        first, last, has_nul = yield from _measured(uid, (start, stop), _decoder(encoding), self._partial)
        if self._is_size:
            yield b"%d" % last
            return
        yield _binary_head(last - first, self._partial, has_nul)
        yield from _converted(uid, (start, stop), _decoder(encoding), (first, last))


def _decoder(encoding: str) -> TransferDecoder:
    decoder = transfer_decoder(encoding)
    if decoder is None:
        raise UnknownEncoding(cause=encoding)
    return decoder


def _binary_head(size: int, partial: tuple[int, int] | None, has_nul: bool) -> bytes:
    # RFC 3516 §4.2: a literal8 only where a NUL needs it.
    return b"~{%d}\r\n" % size if has_nul else _head(size, partial)


# --- a converted section is read twice: first for its length, and for whether it has a NUL


def _measured(
    uid: int, section: tuple[int, int], converter: TransferDecoder, partial: tuple[int, int] | None
) -> Generator[bytes | Slice, bytes, tuple[int, int, bool]]:
    """The start and end of the octets of a converted section that ``partial`` selects, and whether a NUL is among them.
    No more is read than needed."""
    size = 0
    has_nul = False
    first, end = (0, None) if partial is None else (partial[0], sum(partial))
    for piece in (*slices(uid, *section, is_input=True), None):
        octets = converter.finish() if piece is None else converter.feed((yield piece))
        if not has_nul and b"\0" in octets:
            has_nul = b"\0" in octets[max(0, first - size) : None if end is None else max(0, end - size)]
        size += len(octets)
        if end is not None and size >= end:
            break
    return *_window(partial, 0, size), has_nul


def _converted(uid: int, section: tuple[int, int], converter: TransferDecoder, window: tuple[int, int]) -> Pieces:
    """Octets of a converted section, from and to."""
    at = 0
    first, last = window
    for piece in (*slices(uid, *section, is_input=True), None):
        octets = converter.finish() if piece is None else converter.feed((yield piece))
        if at < last and at + len(octets) > first:
            yield octets[max(0, first - at) : last - at]
        at += len(octets)
        if at >= last:
            return


def section_item(item: BodySection | BinarySection | BinarySize) -> SectionItem:
    """The item as a plan uses it."""
    if not isinstance(item, BodySection):
        return _Binary(item)
    section = item.section
    if section.path:
        return _Part(item)
    if section.text is SectionText.ALL:
        return _Whole(item)
    if section.text is SectionText.TEXT:
        return _Text(item)
    return _Header(item)
