"""Structured MIME field bodies: a value with parameters. Source: RFC 2045 §5.1, RFC 2183, RFC 2231."""

from __future__ import annotations

import re
from typing import Final

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


def joined_parameter(found: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of one parameter, RFC 2231 pieces joined and percent-decoded, still octets; None if not there."""
    pieces: dict[int, tuple[bytes, bool]] = {}
    for key, value in found:
        lowered = key.lower()
        if lowered == name:
            return value
        if lowered.startswith(name + b"*"):
            number = lowered[len(name) + 1 :]
            extended = number.endswith(b"*") or not number
            digits = number.rstrip(b"*")
            if not digits or (digits.isdigit() and len(digits) < 6):
                pieces.setdefault(int(digits or b"0"), (value, extended))
    if not pieces:
        return None
    joined = []
    for index in range(len(pieces)):
        if index not in pieces:
            break
        value, extended = pieces[index]
        if extended:
            if index == 0 and value.count(b"'") >= 2:
                value = value.split(b"'", 2)[2]
            value = percent_decoded(value)
        joined.append(value)
    return b"".join(joined)


_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def percent_decoded(value: bytes) -> bytes:
    """``%XX`` undone. Source: RFC 2231 §4."""
    return _PERCENT.sub(lambda match: bytes((int(match[1], 16),)), value)
