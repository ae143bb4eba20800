"""Rewrites header fields with raw octets above ASCII in the forms that every host accepts.

Text becomes encoded words (RFC 2047), parameters the form of RFC 2231, domains A-labels. An element without such a
form, for example a local part or a message identifier, is refused: the field would name another. Raw octets that are
not UTF-8 are taken for Windows-1252, as everywhere in this package.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final
from urllib.parse import quote

from pymailsuite.message.a_labels import a_labels
from pymailsuite.message.addresses import RawAddress, unambiguous_addresses
from pymailsuite.message.charsets import decode_undeclared
from pymailsuite.message.fields import unfold
from pymailsuite.message.parameters import media_type, parameters, token
from pymailsuite.message.text import decode_text
from pymailsuite.values import Address

_ADDRESS_FIELDS: Final = frozenset(
    (
        *(b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"disposition-notification-to"),
        *(b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-bcc", b"resent-reply-to"),
    )
)
_NOT_ENCODABLE: Final = frozenset(
    (
        *(b"message-id", b"in-reply-to", b"references", b"resent-message-id", b"content-id", b"return-path"),
        *(b"date", b"resent-date", b"mime-version", b"content-transfer-encoding", b"delivered-to"),
    )
)
_WORD_OCTETS: Final = 45
"""Octets of UTF-8 in one encoded word: 75 characters with all that is around them (RFC 2047 §2)."""
_SAFE_PHRASE: Final = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*")
_TOKEN_VALUE: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_ENDS: Final = re.compile(rb"[\r\n]+")


class NotEncodable(Exception):
    """A field that cannot be written in ASCII; the text says which."""


def encoded_field(name: bytes, body: bytes) -> bytes:
    """A whole field in ASCII, its CRLF included. ``body`` is raw, from after the colon on. NotEncodable."""
    key = name.lower()
    if not name.isascii() or key in _NOT_ENCODABLE:
        raise NotEncodable(f"8-bit octets in its {_shown(name)} field")
    try:
        if key in _ADDRESS_FIELDS:
            encoded = _addresses(body)
        elif key in (b"content-type", b"content-disposition"):
            encoded = _with_parameters(key, unfold(body).strip())
        else:
            encoded = _unstructured(decode_text(body))
    except ValueError:
        raise NotEncodable(f"8-bit octets in its {_shown(name)} field") from None
    return b"%b: %b\r\n" % (name, encoded)


def _shown(name: bytes) -> str:
    return name[:60].decode("ascii", "backslashreplace")


def encoded_words(text: str) -> bytes:
    """Text as encoded words, a line each."""
    pieces: list[bytes] = []
    piece = b""
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(piece) + len(octets) > _WORD_OCTETS:
            pieces.append(piece)
            piece = b""
        piece += octets
    pieces.append(piece)
    return b"\r\n ".join(b"=?utf-8?B?%b?=" % b64encode(piece) for piece in pieces)


def _unstructured(text: str) -> bytes:
    """Text with its non-ASCII words encoded, and all between the first and the last of them: readers do not show white
    space between two encoded words."""
    words = text.split(" ")
    odd = [number for number, word in enumerate(words) if not _is_plain(word)]
    first, last = odd[0], odd[-1] + 1
    lines = [
        " ".join(words[:first]).encode(),
        encoded_words(" ".join(words[first:last])),
        " ".join(words[last:]).encode(),
    ]
    return b"\r\n ".join(filter(None, lines))


def _is_plain(word: str) -> bool:
    return word.isascii() and (word.isprintable() or not word) and "=?" not in word and len(word) < 900


def _addresses(body: bytes) -> bytes:
    """ValueError if they can be read in several ways, or one cannot be in ASCII."""
    found = unambiguous_addresses(body)
    if found is None:
        raise ValueError("ambiguous")
    lines: list[bytes] = []
    opened = b""
    for entry in found:
        if entry.domain is None and entry.local_part is not None:
            opened = _phrase(entry.local_part) + b":"
        elif entry.domain is None:
            # A group without members has a line of its own; else it ends with its last member.
            lines.append(opened + b";") if opened else lines.append(lines.pop() + b";")
            opened = b""
        else:
            lines.append((opened + b" " if opened else b"") + _mailbox(entry))
            opened = b""
    # No comma stands behind the name of a group or in front of its end: both are within their lines.
    return b",\r\n ".join(lines)


def _mailbox(entry: RawAddress) -> bytes:
    local_part = (entry.local_part or b"").decode("ascii")  # UnicodeDecodeError is a ValueError
    domain = a_labels((entry.domain or b"").decode("utf-8"))
    address = str(Address(local_part, domain)).encode("ascii")
    if any(octet < 0x20 for octet in address):
        raise ValueError("control characters")
    return address if entry.name is None else b"%b <%b>" % (_phrase(entry.name), address)


def _phrase(name: bytes) -> bytes:
    text = decode_text(name)
    if text and _SAFE_PHRASE.fullmatch(text) and "=?" not in text and len(text) < 200:
        return text.encode()
    if text.isascii() and text.isprintable() and "=?" not in text and len(text) < 200:
        return b'"%b"' % text.replace("\\", "\\\\").replace('"', '\\"').encode()
    return encoded_words(text)


def _with_parameters(key: bytes, body: bytes) -> bytes:
    """ValueError if the value itself cannot be read, or a boundary is not ASCII."""
    if key == b"content-type":
        found = media_type(body)
        if found is None:
            raise ValueError("no media type")
        value, start = found[0] + b"/" + found[1], found[2]
    else:
        name = token(body)
        if name is None:
            raise ValueError("no disposition")
        value, start = name, body.find(b";") if b";" in body else len(body)
    if not value.isascii():
        raise ValueError("not ASCII")
    return b";\r\n ".join([value, *(_parameter(name, text) for name, text in parameters(body, start))])


def _parameter(name: bytes, value: bytes) -> bytes:
    if not name.isascii() or (not value.isascii() and name.lower() == b"boundary"):
        raise ValueError("not ASCII")
    value = _ENDS.sub(b" ", value)
    if value.isascii():
        if _TOKEN_VALUE.fullmatch(value):
            return b"%b=%b" % (name, value)
        return b'%b="%b"' % (name, value.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
    if b"*" in name:
        return b"%b=%b" % (name, quote(value).encode("ascii"))
    return b"%b*=utf-8''%b" % (name, quote(decode_undeclared(value), safe="").encode("ascii"))
