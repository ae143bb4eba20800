"""Structured MIME field bodies: a value with parameters. Source: RFC 2045 §5.1, RFC 2183, RFC 2231."""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from pymailsuite.message.charsets import decode_charset
from pymailsuite.message.text import decode_text

PARAMETERS_MAX: Final = 100

_TYPE = re.compile(rb"([^][\x00-\x20()<>@,;:\\\"/?=\x7f]++)\s*+/\s*+([^][\x00-\x20()<>@,;:\\\"/?=\x7f]++)").match
_TOKEN = re.compile(rb"[^][\x00-\x20()<>@,;:\\\"/?=\x7f]++").match

_PARAMETER = re.compile(
    rb"""
    ; \s*+ ([^\s=;"]++) \s*+ = \s*+
    (?: " ( (?: [^"\\]++ | \\. )*+ ) (?: " | \\?\Z )
      | ( [^;"][^;]*+ )
      | (?= ; | \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
).finditer
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_LEADING_COMMENTS = re.compile(rb"(?:\([^()]*+\)\s*+)*+").match
_COMMENT = re.compile(rb"\s\(.*+", re.DOTALL)


def media_type(body: bytes) -> tuple[bytes, bytes, int] | None:
    """(type, subtype, offset of the parameters) of an unfolded Content-Type; None if it is not of that form."""
    match = _TYPE(body, _after_comments(body))
    return None if match is None else (match[1], match[2], match.end())


def _after_comments(body: bytes) -> int:
    match = _LEADING_COMMENTS(body) if body[:1] == b"(" else None
    return 0 if match is None else match.end()


def token(body: bytes) -> bytes | None:
    """The token an unfolded field body begins with (Content-Transfer-Encoding, a disposition), or None."""
    match = _TOKEN(body, _after_comments(body))
    return None if match is None else match[0]


def parameters(body: bytes, start: int, limit: int = PARAMETERS_MAX) -> list[tuple[bytes, bytes]]:
    """(name, value) of the parameters from offset ``start`` of an unfolded body on, at most ``limit`` of them.

    Names as they stand (RFC 2231 pieces such as ``filename*0*`` are not joined: see :func:`with_pieces_joined`);
    quoting undone.
    """
    found: list[tuple[bytes, bytes]] = []
    if body.find(b";", start) < 0:
        return found
    for match in _PARAMETER(body, start):
        name, quoted, bare = match.groups()
        if quoted is not None:
            value = _ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        elif bare is not None:
            value = _COMMENT.sub(b"", bare).rstrip() if b"(" in bare else bare.rstrip()
        else:
            value = b""
        found.append((name, value))
        if len(found) == limit:
            break
    return found


@frozen
class _Joined:
    value: bytes
    charset: bytes = b""


def _joined(found: list[tuple[bytes, bytes]], name: bytes) -> _Joined | None:
    pieces: dict[int, tuple[bytes, bool]] = {}
    plain: bytes | None = None
    for key, value in found:
        lowered = key.lower()
        if lowered == name:
            plain = value if plain is None else plain
        elif lowered.startswith(name + b"*"):
            number = lowered[len(name) + 1 :]
            digits = number.rstrip(b"*")
            if not digits or (digits.isdigit() and len(digits) < 6):
                pieces.setdefault(int(digits or b"0"), (value, not number or number.endswith(b"*")))
    if 0 not in pieces:
        return None if plain is None else _Joined(plain)
    joined: list[bytes] = []
    charset = b""
    for index in range(len(pieces)):
        if index not in pieces:
            break
        value, extended = pieces[index]
        if extended:
            if index == 0 and value.count(b"'") >= 2:
                charset, _, value = value.split(b"'", 2)
            value = percent_decoded(value)
        joined.append(value)
    return _Joined(b"".join(joined), charset)


_PIECE = re.compile(rb"([^*]++)\*(0|[1-9][0-9]{0,4})(\*?)").fullmatch
_NOT_IN_EXTENDED = re.compile(rb"[^A-Za-z0-9!#$&+.^_`{|}~-]")


def with_pieces_joined(found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Parameters with those that stand in pieces joined, as RFC 2231 §6 wants it where structures are described.

    Pieces with a charset become one in the extended form, ``filename*`` with its charset, language and ``%XX``; others
    one in the plain form. Each stands where its first piece stood. A plain parameter of a name that is joined is left
    out: it is for readers that know no pieces. Pieces without a first one, and behind a gap, stay as they are.
    """
    if not any(b"*" in name for name, _ in found):
        return found
    pieces: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
    places: list[tuple[bytes, int | None, bool]] = []  # name, number if it is a piece, and if its number came first
    for name, value in found:
        match = _PIECE(name) if b"*" in name else None
        if match is None:
            places.append((name, None, True))
            continue
        plain, digits, extended = match.groups()
        number = int(digits)
        others = pieces.setdefault(plain.lower(), {})
        places.append((plain, number, number not in others))
        others.setdefault(number, (value, bool(extended)))
    lengths = {name: _number_joined(numbers) for name, numbers in pieces.items()}
    joined: list[tuple[bytes, bytes]] = []
    for (name, value), (plain, place, is_first) in zip(found, places, strict=True):
        length = lengths.get(plain.lower(), 0)
        if place == 0 and is_first:
            joined.append(_one_parameter(plain, [pieces[plain.lower()][index] for index in range(length)]))
        elif not length or (place is not None and place >= length):
            joined.append((name, value))
    return joined


def _number_joined(pieces: dict[int, tuple[bytes, bool]]) -> int:
    """The number of pieces before the first gap."""
    number = 0
    while number in pieces:
        number += 1
    return number


def _one_parameter(name: bytes, values: list[tuple[bytes, bool]]) -> tuple[bytes, bytes]:
    first, is_extended = values[0]
    if not is_extended or first.count(b"'") < 2:
        return name, b"".join([percent_decoded(value) if extended else value for value, extended in values])
    coded = [
        value if extended else _NOT_IN_EXTENDED.sub(lambda octet: b"%%%02X" % octet[0][0], value)
        for value, extended in values
    ]
    return name + b"*", b"".join(coded)


def joined_parameter(found: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The octets of one parameter, its RFC 2231 pieces joined and percent-decoded; None if it is not there.

    Where a parameter stands both plain and in RFC 2231 form, the latter counts: the plain one is for old readers.
    """
    joined = _joined(found, name)
    return None if joined is None else joined.value


def decoded_parameter(found: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    """One parameter as text (a file name): RFC 2231 charset applied, or encoded words, which RFC 2047 §5 forbids here
    and many write; None if it is not there."""
    joined = _joined(found, name)
    if joined is None:
        return None
    if joined.charset:
        return decode_charset(joined.value, joined.charset.decode("latin-1"))
    return decode_text(joined.value)


_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def percent_decoded(value: bytes) -> bytes:
    """``%XX`` undone. Source: RFC 2231 §4."""
    return _PERCENT.sub(lambda match: bytes((int(match[1], 16),)), value)
