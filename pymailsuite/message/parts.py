"""The table of a message's parts: where each begins and ends, and the octets of an IMAP section.

A table is stored as ASCII: a line per part in the order of the message, each ``depth kind header_start body_start end
type encoding charset``. Offsets count from the first octet of the shared content; a reader that shows a prefix in
front of it (Return-Path, Delivered-To) adds the prefix's length to all but offset 0 of the whole.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence

from attrs import field, frozen


class PartKind(enum.Enum):
    """The content of a part."""

    LEAF = b"L"
    MULTIPART = b"M"
    MESSAGE = b"R"
    """A parsed message/rfc822: its one child is the message inside."""


@frozen
class Part:
    """One part, or a whole message (the root, and the child of a MESSAGE part).

    The header (of the MIME part, or of the message) with its empty line is ``[header_start:body_start]``, the body
    ``[body_start:end]``. ``content_type`` is ``type/subtype`` and ``encoding`` the transfer encoding, both in lower
    case; ``charset`` is empty if none is given, and ``?`` if it is no plain token, which the header tells then (older
    tables have it empty there too).
    """

    kind: PartKind
    header_start: int
    body_start: int
    end: int
    content_type: str
    encoding: str
    charset: str = ""
    children: tuple[Part, ...] = field(default=(), repr=False)

    @property
    def size(self) -> int:
        """Octets of the body, in its transfer encoding."""
        return self.end - self.body_start

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in the order of the message."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))


@frozen
class PartTable:
    """All parts of a message. ``root`` is the message itself."""

    root: Part

    def find(self, path: Sequence[int]) -> Part | None:
        """The part of that number (``(1, 2)`` for ``BODY[1.2]``), the root for ``()``, None if there is none.

        Source: RFC 3501 §6.4.5: a message that is no multipart has one part, 1, its own body; the numbers below a
        message/rfc822 part are those of the message inside.
        """
        part = self.root
        candidates = _numbered(part)
        for number in path:
            if not 1 <= number <= len(candidates):
                return None
            part = candidates[number - 1]
            if part.kind is PartKind.MULTIPART:
                candidates = part.children
            elif part.kind is PartKind.MESSAGE:
                candidates = _numbered(part.children[0])
            else:
                candidates = ()
        return part

    def section(self, path: Sequence[int], kind: str = "") -> tuple[int, int] | None:
        """(start, stop) of the octets ``BODY[path.kind]`` names, or None if the message has no such section.

        ``kind`` is ``""``, ``"HEADER"``, ``"TEXT"`` or ``"MIME"`` (upper case). HEADER and TEXT below a number exist
        only for message/rfc822 parts; MIME only below a number. HEADER and MIME include the empty line.
        HEADER.FIELDS is ``headers.select_fields`` on the HEADER section. BINARY is the body (``kind`` ``""``) decoded.
        """
        part = self.find(path)
        if part is None:
            return None
        if kind == "MIME":
            return (part.header_start, part.body_start) if path else None
        if kind == "":
            return (part.body_start if path else part.header_start, part.end)
        message = part
        if path:
            if part.kind is not PartKind.MESSAGE:
                return None
            message = part.children[0]
        if kind == "HEADER":
            return message.header_start, message.body_start
        if kind == "TEXT":
            return message.body_start, message.end
        raise ValueError(f"no section kind: {kind!r}")


def _numbered(message: Part) -> tuple[Part, ...]:
    return message.children if message.kind is PartKind.MULTIPART else (message,)


_PLAIN_CHARSET = re.compile(rb"[A-Za-z0-9_.:+-]{1,60}").fullmatch


def part_line(
    depth: int, kind: bytes, offsets: tuple[int, int, int], content_type: bytes, encoding: bytes, charset: bytes
) -> bytes:
    """One line of a stored table, without its end."""
    return b"%d %b %d %d %d %b %b %b" % (
        depth,
        kind,
        *offsets,
        content_type,
        encoding,
        charset if not charset or _PLAIN_CHARSET(charset) else b"?",
    )


def encode_parts(table: PartTable) -> bytes:
    """The stored form of a table."""
    lines: list[bytes] = []
    waiting = [(0, table.root)]
    while waiting:
        depth, part = waiting.pop()
        lines.append(
            part_line(
                depth,
                part.kind.value,
                (part.header_start, part.body_start, part.end),
                part.content_type.encode("latin-1"),
                part.encoding.encode("latin-1"),
                part.charset.encode("latin-1"),
            )
        )
        waiting.extend((depth + 1, child) for child in reversed(part.children))
    return b"\n".join(lines)


_KINDS = {kind.value.decode(): kind for kind in PartKind}


def decode_parts(parts: bytes) -> PartTable:
    """Read a stored table (``MessageStructure.parts``, ``Column.PARTS``). ValueError if it is none."""
    levels: list[list[Part]] = []
    # From the last line up: when a part comes, its children (deeper by one) have all been collected.
    for line in reversed(parts.decode("latin-1").split("\n")):
        depth_text, kind, header_start, body_start, end, content_type, encoding, charset = line.split(" ")
        depth = int(depth_text)
        while len(levels) <= depth + 1:
            levels.append([])
        children = tuple(reversed(levels[depth + 1]))
        levels[depth + 1] = []
        levels[depth].append(
            Part(_KINDS[kind], int(header_start), int(body_start), int(end), content_type, encoding, charset, children)
        )
    if not levels or len(levels[0]) != 1:
        raise ValueError("not a table of parts")
    return PartTable(levels[0][0])
