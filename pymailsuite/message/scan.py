"""The structure scan: octets in, once; ENVELOPE, BODY, BODYSTRUCTURE, part offsets and keys out.

A machine of two states, in a header and in a body, moves from one line of interest to the next: in a header the empty
line, in both the delimiter lines of the multiparts that are open. Between them it moves with ``bytes.find`` or one
regular expression. A line is classified only once enough octets after it are known that no later octet changes the
result; so the result does not depend on how the octets were split.

Malformed input never raises: a header may lack its empty line, a multipart its final delimiter or all of them;
``boundary`` of one multipart may begin with that of another, and text may follow it on its line (see ``delimiters``);
lines may end in LF alone.
A multipart without any delimiter of its own is described as plain text, so that users see it.
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.message.bodystructure import (
    DIGEST_MESSAGE,
    OPAQUE,
    PLAIN_TEXT,
    ContentFields,
    ContentType,
    content_fields,
    content_type,
    leaf_body,
    message_ends,
    multipart_ends,
    opaque,
    part_fields,
)
from pymailsuite.message.delimiters import Delimiters
from pymailsuite.message.envelope import Effort, envelope
from pymailsuite.message.fields import compact, first_fields
from pymailsuite.message.keys import HEAD_OCTETS, message_keys
from pymailsuite.message.limits import ScanLimits
from pymailsuite.message.parts import PartKind, part_line
from pymailsuite.message.structure import MessageStructure

_HEADER_END = re.compile(rb"\n\r?\n").search
_EMPTY_LINE = re.compile(rb"\r?\n").match

_PADDING_MAX: Final = 256
"""White space a delimiter line may carry at its end. Bounded, so that classifying a line needs bounded look-ahead."""
_BOUNDARY_MAX: Final = 512
"""RFC 2046 §5.1.1 allows 70 octets; longer ones are accepted, but unbounded ones would need unbounded look-ahead."""

_LINE_MAX: Final = 2 + _BOUNDARY_MAX + 2 + _PADDING_MAX

_IDENTITY: Final = frozenset((b"7bit", b"8bit", b"binary"))
_OPAQUE_FIELDS: Final = content_fields({}, OPAQUE, 0)
_PLAIN_FIELDS: Final = content_fields({}, PLAIN_TEXT, 0)

_LEAF: Final = PartKind.LEAF.value
_MULTIPART: Final = PartKind.MULTIPART.value
_MESSAGE: Final = PartKind.MESSAGE.value

DEFAULT_LIMITS: Final = ScanLimits()


class _Part:
    """A part being read. ``place`` is where its description begins among the pieces of all."""

    __slots__ = (
        "body_start",
        "counts",
        "default_type",
        "depth",
        "end",
        "envelope",
        "envelope_inside",
        "fields",
        "header_start",
        "kind",
        "lines",
        "outer_level",
        "place",
        "seeks_delimiters",
    )

    def __init__(self, header_start: int, depth: int, default_type: ContentType, is_message: bool) -> None:
        self.header_start = self.body_start = self.end = header_start
        self.depth = depth
        self.kind = _LEAF
        self.fields: ContentFields = _OPAQUE_FIELDS
        self.default_type = default_type
        self.envelope: bytes | None = b"" if is_message else None
        self.envelope_inside = b""  # of the message in a message/rfc822 part
        self.counts = False
        self.lines = 0  # lines of the message up to body_start; once closed, of the body
        self.seeks_delimiters = False  # a multipart whose final delimiter has not come
        self.outer_level: int | None = None  # of a multipart with the same boundary further out
        self.place = 0


class StructureScanner:
    """Scans one message fed in pieces of any size; holds header fields and offsets, never a body.

    ``feed`` any number of times, then ``finish`` once. The result is that of :func:`scan` on all octets.
    """

    def __init__(self, limits: ScanLimits = DEFAULT_LIMITS, effort: Effort | None = None) -> None:
        self._limits = limits
        self._effort = effort or Effort(limits.address_tokens)
        self._kept = b""  # octets not yet passed, and two before them
        self._base = 0  # offset in the message of the first octet kept
        self._position = 0  # offset of the first octet not yet passed
        self._search = 0  # offset of the first octet that may be the line end before a line of interest
        self._in_header = True
        self._header = bytearray()
        self._header_total = 0
        self._described = 0  # octets of all descriptions so far
        self._lines = 0
        self._counting = 0  # open parts that want their lines counted
        # BODY and BODYSTRUCTURE in pieces: a part has one, or one before those of its parts and one behind them.
        self._bodies: list[bytes] = []
        self._structures: list[bytes] = []
        self._stack: list[_Part] = []
        self._parts: list[_Part] = []
        self._push(_Part(0, 0, PLAIN_TEXT, is_message=True))
        self._delimiters = Delimiters()
        self._in_delimiter = False  # in the rest of a delimiter line, behind which a part begins
        self._found: dict[bytes, bytes] = {}  # fields of the message's own header
        self._head = b""  # the first octets of the message, up to HEAD_OCTETS

    def feed(self, octets: bytes) -> None:
        """Take in the next octets."""
        if len(self._head) < HEAD_OCTETS:
            self._head += octets[: HEAD_OCTETS - len(self._head)]
        data = self._kept + octets if self._kept else octets
        self._run(data, final=False)
        keep = max(self._position - 2, self._base)
        self._kept = data[keep - self._base :]
        self._base = keep

    def finish(self) -> MessageStructure:
        """Complete the scan. Nothing may be fed afterwards."""
        return self._complete(self._kept)

    def scan_rest(
        self,
        octets: bytes,
        body_start: int,
        wire_envelope: bytes,
        found: dict[bytes, bytes],
        fields: ContentFields,
    ) -> MessageStructure:
        """Scan a message at once, on a scanner that has been fed nothing; its own header has been read already."""
        root = self._stack[0]
        self._found, self._head = found, octets
        root.envelope = wire_envelope
        self._described += 2 * len(wire_envelope)
        self._in_header = False
        self._header_total = min(body_start, self._limits.header_octets)
        self._position = body_start
        self._begin_body(root, body_start, fields)
        return self._complete(octets)

    def _complete(self, data: bytes) -> MessageStructure:
        self._run(data, final=True)
        end = self._base + len(data)
        self._advance(data, end)
        root = self._stack[0]
        self._close_down_to(-1, end)
        bodystructure = b"".join(self._structures)
        table = b"\n".join([_table_line(part) for part in self._parts])
        return MessageStructure(
            root.body_start,
            root.envelope or b"",
            b"".join(self._bodies),
            bodystructure,
            table,
            message_keys(self._found, table, bodystructure, self._head),
        )

    # --- moving -----------------------------------------------------------------------------------------------------

    def _run(self, data: bytes, final: bool) -> None:
        """Go from one line of interest to the next, as far as ``data`` allows."""
        base, size, delimiters = self._base, len(data), self._delimiters
        if delimiters.levels:
            delimiters.restart()
        if self._position == 0 and self._in_header:
            if size < 2 and not final:
                return
            empty_line = _EMPTY_LINE(data)
            if empty_line is not None:
                self._advance(data, empty_line.end())
                self._end_header(self._position)
        while True:
            if self._in_delimiter and not self._pass_line(data, final):
                return
            limit = size if final or not (delimiters.levels or self._in_header) else size - _LINE_MAX - 2
            start = self._search - base
            if start >= limit:
                return
            found = delimiters.find(data, start, limit) if delimiters.levels else -1
            if self._in_header:
                stop = _HEADER_END(data, start, size if found < 0 else found + 1)
                if stop is not None and stop.start() < limit:
                    self._advance(data, base + stop.end())
                    self._end_header(self._position)
                    continue
            if found < 0:
                self._advance(data, base + limit)
                self._search = base + limit
                return
            self._delimiter(data, found)

    def _advance(self, data: bytes, stop: int) -> None:
        """Pass the octets up to offset ``stop`` of the message."""
        position = self._position
        if stop <= position:
            return
        start, end = position - self._base, stop - self._base
        if self._in_header:
            self._header += data[start:end]
            if len(self._header) > self._limits.header_octets:
                self._header = bytearray(compact(bytes(self._header), self._limits.header_octets))
        if self._counting:
            self._lines += data.count(b"\n", start, end)
        self._position = stop

    def _delimiter(self, data: bytes, newline: int) -> None:
        """Judge the line after the line end at index ``newline``, which begins like a delimiter."""
        start = newline + 3
        line_end = data.find(b"\n", start, start + _LINE_MAX)
        line = data[start : start + _LINE_MAX if line_end < 0 else line_end]
        boundary, closes = self._delimiters.judge(line)
        level = self._delimiters.levels[boundary]
        # RFC 2046 §5.1.1: the line end before a delimiter belongs to the delimiter
        end = newline - 1 if newline and data[newline - 1] == 13 else newline
        end = max(self._base + end, self._region_start())
        self._advance(data, end)
        self._close_down_to(level, end)
        multipart = self._stack[level]
        if multipart.counts:
            multipart.counts = False
            self._counting -= 1
        stop = self._base + start + len(boundary)
        if closes:
            # The rest is epilogue, its line end perhaps that of another delimiter.
            stop += 2
            self._advance(data, stop)
            self._search = multipart.end = stop
            self._forget_boundary(multipart)
        elif line_end < 0:
            self._advance(data, stop)
            self._in_delimiter = True
        else:
            self._advance(data, self._base + line_end + 1)
            self._open_part(self._position)

    def _pass_line(self, data: bytes, final: bool) -> bool:
        """Pass the rest of a delimiter line and begin the part below; False if its end is yet to come."""
        line_end = data.find(b"\n", self._position - self._base)
        if line_end < 0 and not final:
            self._advance(data, self._base + len(data))
            return False
        self._in_delimiter = False
        self._advance(data, self._base + (len(data) if line_end < 0 else line_end + 1))
        self._open_part(self._position)
        return True

    def _region_start(self) -> int:
        """The offset where the header or body being read began, or its multipart's last delimiter ended."""
        top = self._stack[-1]
        return top.header_start if self._in_header else top.end

    # --- parts ------------------------------------------------------------------------------------------------------

    def _seek_boundary(self, multipart: _Part, boundary: bytes) -> None:
        multipart.seeks_delimiters = True
        multipart.outer_level = self._delimiters.open(boundary, len(self._stack) - 1)

    def _forget_boundary(self, multipart: _Part) -> None:
        boundary = multipart.fields.content_type.boundary
        if multipart.seeks_delimiters and boundary is not None:
            multipart.seeks_delimiters = False
            self._delimiters.close(boundary, multipart.outer_level)

    def _push(self, part: _Part) -> None:
        self._stack.append(part)
        self._parts.append(part)
        part.place = len(self._bodies)
        self._bodies.append(b"")
        self._structures.append(b"")

    def _open_part(self, header_start: int) -> None:
        parent = self._stack[-1]
        limits = self._limits
        self._search = header_start - 1
        parent.end = header_start
        in_digest = parent.fields.content_type.name == b"multipart/digest"
        default_type = DIGEST_MESSAGE if in_digest else PLAIN_TEXT
        self._push(_Part(header_start, parent.depth + 1, default_type, is_message=False))
        if (
            len(self._parts) >= limits.parts
            or self._header_total >= limits.total_header_octets
            or (self._described > limits.described_octets and self._is_full())
        ):
            self._delimiters.clear()
            return
        self._in_header = True

    def _is_full(self) -> bool:
        """True if the descriptions have reached the limit for the octets read so far."""
        limits = self._limits
        return self._described > limits.described_octets + limits.described_ratio * self._position

    def _end_header(self, body_start: int) -> None:
        """The header of the innermost part ends; find out what follows it."""
        part, limits = self._stack[-1], self._limits
        self._in_header = False
        header = bytes(self._header)
        if part.envelope is None:
            fields = part_fields(header, part.default_type, limits.parameters, limits.header_octets)
        else:
            found = first_fields(header, limits.header_octets)
            fields = _message_fields(found, limits)
            if part.depth == 0:
                self._found = found
            part.envelope = envelope(found, self._effort)
            # In BODY and in BODYSTRUCTURE.
            self._described += 2 * len(part.envelope)
        size = body_start - part.header_start
        self._header_total += size if size < limits.header_octets else limits.header_octets
        self._header = bytearray()
        self._begin_body(part, body_start, fields)

    def _begin_body(self, part: _Part, body_start: int, fields: ContentFields) -> None:
        limits = self._limits
        part.body_start = part.end = body_start
        self._search = body_start - 1
        kind = fields.content_type
        self._described += fields.described
        if kind.may_hold_parts:
            may_nest = (
                len(self._stack) <= limits.depth
                and len(self._parts) < limits.parts
                and (self._described <= limits.described_octets or not self._is_full())
            )
            if kind.name == b"message/rfc822":
                if may_nest and fields.encoding in _IDENTITY:
                    self._open_message(part, body_start, fields)
                    return
                fields = opaque(fields, OPAQUE)
            else:
                boundary = kind.boundary
                if may_nest and boundary and len(boundary) <= _BOUNDARY_MAX:
                    part.kind = _MULTIPART
                    part.fields = fields
                    self._seek_boundary(part, boundary)
                    self._count_lines(part)  # until its first delimiter: without one it is text
                    return
                fields = opaque(fields, OPAQUE if boundary else PLAIN_TEXT)
        part.fields = fields
        if fields.content_type.is_text:
            self._count_lines(part)

    def _open_message(self, part: _Part, body_start: int, fields: ContentFields) -> None:
        part.kind = _MESSAGE
        part.fields = fields
        self._count_lines(part)
        self._push(_Part(body_start, part.depth + 1, PLAIN_TEXT, is_message=True))
        self._in_header = True

    def _count_lines(self, part: _Part) -> None:
        self._counting += 1
        part.counts = True
        part.lines = self._lines

    def _close_down_to(self, level: int, end: int) -> None:
        """End all parts above that index of the stack at offset ``end``; with -1 the message itself."""
        stack = self._stack
        while True:
            if self._in_header:
                self._end_header(end)
            elif len(stack) - 1 <= level:
                return
            else:
                part = stack.pop()
                self._close(part, end)
                if not stack:
                    return

    def _close(self, part: _Part, end: int) -> None:
        part.end = end
        fields = part.fields
        if part.counts:
            part.lines = self._lines - part.lines
            self._counting -= 1
        octets = end - part.body_start
        if part.kind == _MULTIPART:
            self._forget_boundary(part)
            if part.counts:
                part.kind, part.fields = _LEAF, _PLAIN_FIELDS
            elif part.place == len(self._bodies) - 1:
                self._stand_in(part, end)
        place = part.place
        if part.kind == _LEAF:
            self._bodies[place], self._structures[place] = leaf_body(part.fields, octets, part.lines)
        else:
            if part.kind == _MULTIPART:
                before, behind_bodies, behind_structures = multipart_ends(fields)
            else:
                ends = message_ends(fields, octets, part.lines, part.envelope_inside)
                before, behind_bodies, behind_structures = ends
            self._bodies[place] = self._structures[place] = before
            self._bodies.append(behind_bodies)
            self._structures.append(behind_structures)
        if self._stack and part.envelope is not None:
            self._stack[-1].envelope_inside = part.envelope

    def _stand_in(self, multipart: _Part, end: int) -> None:
        """Give a multipart without parts an empty one: the grammar of BODY requires it."""
        part = _Part(end, multipart.depth + 1, PLAIN_TEXT, is_message=False)
        part.fields = _PLAIN_FIELDS
        self._parts.append(part)
        body, structure = leaf_body(_PLAIN_FIELDS, 0, 0)
        self._bodies.append(body)
        self._structures.append(structure)


def _message_fields(found: dict[bytes, bytes], limits: ScanLimits) -> ContentFields:
    raw_type = found.get(b"content-type")
    kind = PLAIN_TEXT if raw_type is None else content_type(raw_type, limits.parameters)
    return content_fields(found, kind, limits.parameters)


def _table_line(part: _Part) -> bytes:
    return _line(part.depth, part.kind, part.header_start, part.body_start, part.end, part.fields)


def _line(depth: int, kind: bytes, header_start: int, body_start: int, end: int, fields: ContentFields) -> bytes:
    content_type = fields.content_type
    offsets = header_start, body_start, end
    return part_line(depth, kind, offsets, content_type.name, fields.encoding, content_type.charset)


def scan(octets: bytes, limits: ScanLimits = DEFAULT_LIMITS) -> MessageStructure:
    """The structure of a whole message; the same, octet for octet, as feeding it to a :class:`StructureScanner`.

    Never raises, whatever the octets; linear in their number.
    """
    blank = _EMPTY_LINE(octets) or _HEADER_END(octets)
    header_size = len(octets) if blank is None else blank.end()
    found = first_fields(octets[:header_size], limits.header_octets)
    fields = _message_fields(found, limits)
    kind = fields.content_type
    effort = Effort(limits.address_tokens)
    if kind.may_hold_parts:
        wire_envelope = envelope(found, effort)
        return StructureScanner(limits, effort).scan_rest(octets, header_size, wire_envelope, found, fields)
    # Most mail has one part: there is nothing more to search for.
    size = len(octets)
    body, bodystructure = leaf_body(fields, size - header_size, octets.count(b"\n", header_size) if kind.is_text else 0)
    table = _line(0, _LEAF, 0, header_size, size, fields)
    keys = message_keys(found, table, bodystructure, octets)
    return MessageStructure(header_size, envelope(found, effort), body, bodystructure, table, keys)
