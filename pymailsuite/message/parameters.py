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

    Names as they stand (RFC 2231 pieces such as ``filename*0*`` are not joined); quoting undone.
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
