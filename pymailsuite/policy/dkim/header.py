"""Headers as signatures see them: fields as they stand, chosen from the last one up, canonicalised.

Source: RFC 6376 §3.4.1, §3.4.2, §3.7, §5.4.2. Lines end in CRLF; who has a file with bare LF says :func:`with_crlf`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pymailsuite.message.fields import unfold
from pymailsuite.policy.dkim.white_space import single_spaced

_line_ends = re.compile(rb"\n(?![ \t])").split
"""Those that no folded line follows."""
_is_name = re.compile(rb"[!-9;-~\x80-\xff]++").fullmatch
_REMEMBERED_MAX: Final = 65_536
"""Octets of a header that is kept for the next who wants its fields."""
_BARE_LF = re.compile(rb"(?<!\r)\n")


class Field(NamedTuple):
    """A field as it stands: ``name`` in lower case, ``raw`` all of it but the final line end."""

    name: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        """What stands after the colon, folds included."""
        return self.raw.partition(b":")[2]


def split_fields(header: bytes) -> list[Field]:
    """The fields of a header, with or without its empty line.

    A line that is no field counts as part of the field before it: there some programs show it, and so none can be put
    behind a signed field. One before the first field, such as an mbox has, is left out.
    """
    fields: list[Field] = []
    strays: dict[int, list[bytes]] = {}
    for line in _line_ends(header):
        name, colon, _ = line.partition(b":")
        if colon and _is_name(name := name.rstrip(b" \t")):
            fields.append(Field(name.lower(), line.removesuffix(b"\r")))
        elif fields and (stray := line.removesuffix(b"\r")):
            strays.setdefault(len(fields) - 1, []).append(stray)
    # Joined once each: a header may be a megabyte of such lines.
    for position, lines in strays.items():
        before = fields[position]
        fields[position] = Field(before.name, b"\r\n".join([before.raw, *lines]))
    return fields


def canonical_field(raw: bytes, relaxed: bool) -> bytes:
    """A field, without its final line end, in canonical form, without one too."""
    if not relaxed:
        return raw
    name, _, body = raw.partition(b":")
    body = single_spaced(body.replace(b"\r\n", b""))
    return name.rstrip(b" \t").lower() + b":" + body.strip(b" ")


class HeaderView:
    """The fields of one header; each is canonicalised at most once in each form, however many signatures want it."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self._by_name: dict[bytes, list[Field]] = {}
        self._canonical: dict[tuple[bytes, bool], bytes] = {}
        for field in fields:
            self._by_name.setdefault(field.name, []).append(field)

    def fields(self, name: bytes) -> list[Field]:
        """Those of a name in lower case, in the order of the header."""
        return self._by_name.get(name, [])

    def select(self, names: Iterable[bytes], own: Field | None = None) -> Iterator[Field]:
        """The fields that an ``h=`` (names in lower case) covers: a name that stands again means the next one up.

        A name for which no more is there means nothing, and so that none may be added. ``own`` is the field of the
        signature itself, which was not there when it was made: it is none of them (RFC 6376 §3.5, tag h=).
        """
        used: dict[bytes, int] = {}
        for name in names:
            found = self._by_name.get(name)
            if own is not None and name == own.name and found is not None:
                found = [field for field in found if field is not own]
            count = used.get(name, 0)
            if found is not None and count < len(found):
                used[name] = count + 1
                yield found[-1 - count]

    def canonical(self, field: Field, relaxed: bool) -> bytes:
        """A field in canonical form with its line end."""
        key = field.raw, relaxed
        known = self._canonical.get(key)
        if known is None:
            known = self._canonical[key] = canonical_field(field.raw, relaxed) + b"\r\n"
        return known

    def signed_octets(self, names: Iterable[bytes], relaxed: bool, own: Field | None = None) -> bytes:
        """What a signature with this ``h=`` covers, apart from its ``own`` field if it is in the header already."""
        return b"".join([self.canonical(field, relaxed) for field in self.select(names, own)])


def view_of(header: bytes) -> HeaderView:
    """The fields of a header, with or without its empty line."""
    return _view_of_last(header) if len(header) <= _REMEMBERED_MAX else HeaderView(split_fields(header))


@lru_cache(maxsize=2)
def _view_of_last(header: bytes) -> HeaderView:
    """Signatures and seals of one message are looked for one after the other: the second finds it split."""
    return HeaderView(split_fields(header))


class HeaderSplitter:
    """Finds where the header of a message ends while it comes in, in any cut."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""
        self.too_large = False
        """The header is larger than the limit: it is not kept, and nothing of the message is told any more."""
        self.header: bytes | None = None
        """The header with its empty line, once it is there."""

    def write(self, octets: bytes) -> bytes:
        """The next octets of the message; those of them that are body."""
        if self.header is not None:
            return octets
        if self.too_large:
            return b""
        # The end may be cut; a message may also begin with it, as an empty header has no line before the empty one.
        seen = (self._tail or b"\r\n" * (not self._size)) + octets
        found = seen.find(b"\r\n\r\n")
        if found < 0:
            self._keep(octets)
            self._tail = seen[-3:]
            return b""
        body_at = len(octets) - (len(seen) - found - 4)
        if not self._keep(octets[:body_at]):
            return b""
        self.finish()
        return octets[body_at:]

    def finish(self) -> None:
        """The message is over, or its header: what came so far is the header."""
        if self.header is None and not self.too_large:
            self.header = b"".join(self._parts)
        self._parts = []

    def _keep(self, octets: bytes) -> bool:
        self._size += len(octets)
        if self._size > self._limit:
            self.too_large = True
            self._parts = []
        else:
            self._parts.append(octets)
        return not self.too_large


def with_crlf(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A message from a file, in any cut: lines that end in a bare LF end in CRLF."""
    after_cr = False
    for chunk in chunks:
        text = chunk
        if after_cr and text.startswith(b"\n"):
            yield b"\n"
            text = text[1:]
        if b"\n" in text:
            text = _BARE_LF.sub(b"\r\n", text)
        if chunk:
            after_cr = chunk.endswith(b"\r")
        yield text


def unfolded_body(field: Field) -> bytes:
    """A field's body on one line, without the white space around it."""
    return unfold(field.body).strip()
