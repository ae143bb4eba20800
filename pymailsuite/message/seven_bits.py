"""Converts a message for hosts without 8BITMIME: 8-bit parts in quoted-printable or base64. Source: RFC 6152 §3.

The decoded content stays the same; the octets do not, so a message signed by its sender is not converted. A pure
transform of a whole message; its caller bounds the size, and calls it in a thread.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterator
from itertools import chain
from typing import Final

from pymailsuite.message.encoded_fields import NotEncodable, encoded_field
from pymailsuite.message.fields import first_fields
from pymailsuite.message.parameters import media_type, token
from pymailsuite.message.parts import Part, PartKind, decode_parts
from pymailsuite.message.scan import StructureScanner
from pymailsuite.message.transfer import IDENTITY, encode_quoted_printable, is_seven_bit

_SIGNATURES: Final = (
    *(b"dkim-signature", b"domainkey-signature"),
    *(b"arc-seal", b"arc-message-signature", b"arc-authentication-results"),
)
_FIELD: Final = re.compile(rb"([^\s:]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)|[^\n]*+(?:\n|\Z)")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_HIGH_OCTETS: Final = bytes(range(0x80, 0x100))
_PIECE: Final = 256 * 1024
_BASE64_LINE: Final = 57
"""Octets that make a line of 76 characters. Source: RFC 2045 §6.8."""


class NotConvertible(Exception):
    """The message stays as it is; the text says why."""


def without_signatures(header: bytes) -> bytes:
    """Header lines without the signatures and seals in them: the server's own, which a conversion would break."""
    return b"".join(field[0] for field in _FIELD.finditer(header) if (field[1] or b"").lower() not in _SIGNATURES)


def has_signature(header: bytes) -> bool:
    """Whether there is a DKIM signature among these header lines."""
    return any((field[1] or b"").lower() == b"dkim-signature" for field in _FIELD.finditer(header))


def to_seven_bits(message: bytes) -> bytes:
    """The message in ASCII. NotConvertible."""
    scanner = StructureScanner()
    for piece in _pieces(message):
        scanner.feed(piece)
    structure = scanner.finish()
    root = decode_parts(structure.parts).root
    _refuse_signed(message, root)
    pieces: list[bytes] = []
    position = 0
    messages = {id(root)}
    try:
        for part in root.walk():
            # Delimiter lines, preamble and epilogue: no reader shows them.
            pieces.append(_HIGH.sub(b"?", message[position : part.header_start]))
            position = part.body_start
            if part.kind is PartKind.LEAF:
                position = part.end
                pieces += _leaf(message, part, id(part) in messages)
            else:
                label = "7bit" if part.encoding in ("8bit", "binary") else ""
                pieces.append(_header(message, part, id(part) in messages, label))
                if part.kind is PartKind.MESSAGE:
                    messages.add(id(part.children[0]))
    except NotEncodable as reason:
        raise NotConvertible(str(reason)) from None
    pieces.append(_HIGH.sub(b"?", message[position:]))
    converted = b"".join(pieces)
    if not converted.isascii():
        raise NotConvertible("it is not built as MIME is")
    return converted


def _refuse_signed(message: bytes, root: Part) -> None:
    for found in _FIELD.finditer(message[: root.body_start]):
        if found[1] is not None and found[1].lower() in _SIGNATURES:
            raise NotConvertible(f"its {found[1].decode('latin-1')} would break")
    looked_until = 0
    for part in root.walk():
        # One within another has been looked at with it.
        if part.content_type != "multipart/signed" or part.end <= looked_until:
            continue
        if not message[part.body_start : part.end].isascii():
            raise NotConvertible("the signature of its multipart/signed would break")
        looked_until = part.end


def _leaf(message: bytes, part: Part, is_message: bool) -> list[bytes]:
    """Header and body of a part without parts."""
    body = message[part.body_start : part.end]
    if body.isascii():
        relabelled = part.encoding in ("8bit", "binary") and is_seven_bit(body)
        return [_header(message, part, is_message, "7bit" if relabelled else ""), body]
    declared = _declared_type(message, part)
    encoding = token(first_fields(message[part.header_start : part.body_start]).get(b"content-transfer-encoding", b""))
    name = (encoding or b"").decode("latin-1").lower()
    if name == "quoted-printable":
        return [_header(message, part, is_message, ""), _HIGH.sub(lambda octet: b"=%02X" % octet[0][0], body)]
    if name == "base64":
        # Readers skip octets that are no base64.
        return [_header(message, part, is_message, ""), body.translate(None, _HIGH_OCTETS)]
    if name not in IDENTITY:
        raise NotConvertible(f"8-bit octets in a part whose encoding is {name[:40]}")
    if declared.startswith(("multipart/", "message/")) and declared != "message/global":
        raise NotConvertible(f"8-bit octets in a part of type {declared[:60]} that cannot be encoded")
    new, encoded = _encoded(body)
    if part.end == len(message) and not encoded.endswith(b"\r\n"):
        encoded += b"\r\n"
    return [_header(message, part, is_message, new, body if not declared else b""), encoded]


def _encoded(body: bytes) -> tuple[str, bytes]:
    """Quoted-printable, which people can read, where that is not longer."""
    high = sum(len(piece) - len(piece.translate(None, _HIGH_OCTETS)) for piece in _pieces(body))
    if high * 6 <= len(body) and b"\0" not in body:
        return "quoted-printable", b"".join(_quoted_printable(body))
    return "base64", b"\r\n".join(map(_base64_lines, _pieces(body, _BASE64_LINE * 4096)))


def _base64_lines(octets: bytes) -> bytes:
    lines = [b2a_base64(octets[at : at + _BASE64_LINE], newline=False) for at in range(0, len(octets), _BASE64_LINE)]
    return b"\r\n".join(lines)


def _quoted_printable(body: bytes) -> Iterator[bytes]:
    held, in_line = b"", False
    for piece in chain(_pieces(body), [b""]):
        whole = held + piece
        # A possible first half of a line end goes with the next piece.
        held = b"\r" if piece and whole.endswith(b"\r") else b""
        whole = whole[: len(whole) - len(held)]
        if whole:
            if in_line:
                yield b"=\r\n"
            yield encode_quoted_printable(whole)
            in_line = not whole.endswith(b"\r\n")


def _pieces(octets: bytes, size: int = 0) -> Iterator[bytes]:
    """One after the other: a call that works on all of a long text at once lets no other thread run meanwhile."""
    size = size or _PIECE
    return (octets[at : at + size] for at in range(0, len(octets), size))


def _declared_type(message: bytes, part: Part) -> str:
    """The media type that the header of a part tells, in lower case; empty if it tells none."""
    field = first_fields(message[part.header_start : part.body_start]).get(b"content-type")
    found = media_type(field) if field is not None else None
    return b"/".join(found[:2]).decode("latin-1").lower() if found is not None else ""


def _header(message: bytes, part: Part, is_message: bool, encoding: str, untyped: bytes = b"") -> bytes:
    """The header of a part in ASCII, its empty line included.

    ``is_message``: the part is a message, not one of its parts.
    ``encoding``: the transfer encoding that it is to tell of; empty: the one it has. ``untyped``: the body of a part
    without a type, which gets one."""
    block = message[part.header_start : part.body_start]
    end = b""
    for line_end in (b"\r\n", b"\n"):
        if block == line_end or block.endswith(b"\n" + line_end):
            block, end = block[: -len(line_end)], b"\r\n"
            break
    written: list[bytes] = []
    names: set[bytes] = set()
    for found in _FIELD.finditer(block):
        text, name = found[0], found[1]
        if not text:
            continue
        key = name.lower() if name is not None else b""
        names.add(key)
        if key == b"content-transfer-encoding" and encoding:
            continue
        if text.isascii():
            written.append(text)
        elif name is None:
            raise NotEncodable("8-bit octets in a line of its header that is no field")
        else:
            written.append(encoded_field(name, found[2].removesuffix(b"\r")))
    if encoding:
        if written and not written[-1].endswith(b"\n"):
            written.append(b"\r\n")
        if is_message and b"mime-version" not in names:
            written.append(b"MIME-Version: 1.0\r\n")
        if untyped and b"content-type" not in names:
            written.append(b"Content-Type: text/plain; charset=%b\r\n" % _charset(untyped))
        written.append(b"Content-Transfer-Encoding: %b\r\n" % encoding.encode("ascii"))
    return b"".join(written) + (end or (b"\r\n" if encoding else b""))


def _charset(body: bytes) -> bytes:
    """The charset for text that declares none. Source: RFC 1428 for an unknown one."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"
