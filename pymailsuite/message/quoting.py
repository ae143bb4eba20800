"""Octets as IMAP strings: quoted where that is safe, else a literal. Source: RFC 3501 §4.3 and §9 (``string``)."""

from __future__ import annotations

import re
from typing import Final

QUOTED_MAX: Final = 1000
"""Longer strings go out as literals: clients bound the length of a line, hardly ever of a literal."""

_special = re.compile(rb'[\x00\r\n"\\\x80-\xff]').search
_not_quotable = re.compile(rb"[\x00\r\n\x80-\xff]").search


def string(value: bytes) -> bytes:
    """``value`` as a quoted string or literal. A NUL, which no IMAP string can hold, becomes ``?``."""
    if len(value) <= QUOTED_MAX:
        if not _special(value):
            return b'"%b"' % value
        if not _not_quotable(value):
            return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(value), value.replace(b"\0", b"?"))


def utf8_string(value: bytes) -> bytes:
    """UTF-8 without control characters as a quoted string, for clients that take it there (RFC 6855 §3, RFC 9051 §4.3);
    what is very long is a literal."""
    if len(value) > QUOTED_MAX:
        return string(value)
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def nstring(value: bytes | None) -> bytes:
    """``value`` as :func:`string`, or NIL for None."""
    return b"NIL" if value is None else string(value)
