"""Header text as people read it: encoded words undone. Source: RFC 2047, RFC 2231 §5, RFC 6532."""

from __future__ import annotations

import re

from pymailsuite.message.charsets import decode_charset, decode_undeclared
from pymailsuite.message.fields import unfold
from pymailsuite.message.transfer import decode_base64

_ENCODED_WORD = re.compile(rb"=\?([^?\s*]{1,80})(?:\*[^?\s]{0,80})?\?([BbQq])\?([^?]*+)\?=")
_QUOTED_OCTET = re.compile(rb"=([0-9A-Fa-f]{2})")


def _decode_q(coded: bytes) -> bytes:
    coded = coded.replace(b"_", b" ")
    return _QUOTED_OCTET.sub(lambda match: bytes((int(match[1], 16),)), coded) if b"=" in coded else coded


def decode_text(value: bytes) -> str:
    """An unstructured field body (Subject), or a phrase, as text: unfolded, encoded words decoded.

    Raw octets above ASCII are UTF-8 where they can be, else Windows-1252. Never raises.
    """
    if b"\n" in value:
        value = unfold(value)
    value = value.strip(b" \t\r\n")
    if b"=?" not in value:
        return decode_undeclared(value)
    pieces: list[str] = []
    position = 0
    charset = ""
    pending: list[bytes] = []  # of neighbouring words in one charset: some senders cut characters in two
    for word in _ENCODED_WORD.finditer(value):
        between = value[position : word.start()]
        # RFC 2047 §6.2: white space between two encoded words is not shown
        joined = position > 0 and not between.strip(b" \t\r\n")
        word_charset = word[1].decode("latin-1").lower()
        if pending and not (joined and word_charset == charset):
            pieces.append(decode_charset(b"".join(pending), charset))
            pending = []
        if not joined:
            pieces.append(decode_undeclared(between))
        charset = word_charset
        pending.append(decode_base64(word[3]) if word[2] in b"Bb" else _decode_q(word[3]))
        position = word.end()
    if pending:
        pieces.append(decode_charset(b"".join(pending), charset))
    pieces.append(decode_undeclared(value[position:]))
    return "".join(pieces)


_NOT_STORABLE = re.compile("[\0\ud800-\udfff]+")


def storable(text: str) -> str:
    """``text`` without characters that databases do not accept as text: NUL, and surrogates, which UTF-7 can
    produce."""
    return text if text.isprintable() else _NOT_STORABLE.sub("", text)
