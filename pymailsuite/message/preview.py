"""The beginning of a message's text, for lists of messages. Source: RFC 8970.

The first text that is no attachment is taken, plain before HTML. From HTML the text between the tags is taken in one
bounded pass; the page is not rendered.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from pymailsuite.message.charsets import charset_decoder
from pymailsuite.message.transfer import IDENTITY, transfer_decoder

PREVIEW_MAX: Final = 200
"""The greatest number of characters. Source: RFC 8970 §3.1."""
_LOOKS: Final = (256, 1600, 8192)
"""Octets of plain text that are read; more only if these have too little text."""
_ENOUGH: Final = PREVIEW_MAX - 20
"""Characters that are enough: the last word may have been cut off."""
_HTML_OCTETS: Final = 32 * 1024
"""Octets of HTML that are read: often a style sheet comes first."""
_HTML_TEXT: Final = 4 * PREVIEW_MAX
"""Characters of text between tags after which the search ends."""

_ASCII_CHARSETS: Final = frozenset(
    form
    for name in (b"us-ascii", b"utf-8", b"iso-8859-1", b"iso-8859-15", b"windows-1252")
    for form in (b"", name, name.upper())
)
"""The common charsets in which ASCII octets are ASCII characters."""
_IDENTITY: Final = frozenset(name.encode("ascii") for name in IDENTITY)
# Invisible: control characters, characters that hide text or change its direction, and surrogates.
_UNSEEN = re.compile(
    "[\0-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)
_JOINERS: Final = "\u200c\u200d"
"""Within words these characters are spelling; newsletters use them alone to fill up the preview."""


def _shown(text: str) -> str:
    """The beginning of ``text`` in one line, without invisible characters."""
    begin = " ".join(text.split())
    if not begin[:PREVIEW_MAX].isprintable():
        begin = " ".join([word for word in _UNSEEN.sub("", begin).split() if word.strip(_JOINERS)])
    return begin[:PREVIEW_MAX].rstrip()


# White space is a space, other control characters are nothing: the same as _shown makes of ASCII, in a few steps.
_ASCII_SPACES: Final = bytes.maketrans(b"\t\n\v\f\r\x1c\x1d\x1e\x1f", b" " * 9)
_ASCII_UNSEEN: Final = bytes([*range(9), *range(14, 28), 127])


def _shown_ascii(piece: bytes) -> str:
    shown = piece.translate(_ASCII_SPACES, _ASCII_UNSEEN)
    while shown.find(b"  ") >= 0:
        shown = shown.replace(b"  ", b" ")
    return shown.strip(b" ")[:PREVIEW_MAX].rstrip(b" ").decode("ascii")


def preview(octets: bytes, is_html: bool, encoding: bytes, charset: bytes) -> str:
    """At most PREVIEW_MAX characters of the body of a text part, of which ``octets`` are all or the beginning."""
    if is_html:
        return _shown(html_text(_decoded(octets, _HTML_OCTETS, encoding, charset)))
    may_be_ascii = encoding in _IDENTITY and charset in _ASCII_CHARSETS
    text = ""
    for most in _LOOKS:
        # Most mail has nothing to decode where its text begins.
        if may_be_ascii and (piece := octets[:most]).isascii():
            text = _shown_ascii(piece)
        else:
            text = _shown(_decoded(octets, most, encoding, charset))
        if len(text) >= _ENOUGH or most >= len(octets):
            break
    return text


def _decoded(octets: bytes, most: int, encoding: bytes, charset: bytes) -> str:
    piece = octets[:most]
    is_whole = most >= len(octets)
    if encoding not in _IDENTITY:
        decoder = transfer_decoder(encoding.decode("latin-1"))
        if decoder is not None:
            piece = decoder.feed(piece) + (decoder.finish() if is_whole else b"")
    if charset in _ASCII_CHARSETS and piece.isascii():
        return piece.decode("ascii")
    # A character that is cut in two is held back.
    return charset_decoder(charset.decode("latin-1")).decode(piece, is_whole)


_TAG = re.compile(r"/?([a-z][a-z0-9]*+)|[!?/]", re.IGNORECASE).match
_UNSHOWN: Final = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE).search for name in ("head", "script", "style", "title", "template")
}
_WITHIN_WORDS: Final = frozenset(
    ("a", "abbr", "b", "big", "code", "em", "font", "i", "s", "small", "span", "strong", "sub", "sup", "tt", "u", "wbr")
)


def html_text(html: str) -> str:
    """The text of the beginning of a page: without tags, comments and invisible elements, with entities resolved.

    Each search goes on from where the last one ended, and one that finds nothing is the last: linear.
    """
    found: list[str] = []
    position = length = 0
    while length < _HTML_TEXT:
        start = html.find("<", position)
        piece = html[position : len(html) if start < 0 else start][:_HTML_TEXT]
        if not piece.isspace():
            length += len(piece)
        found.append(piece)
        if start < 0:
            break
        tag = _TAG(html, start + 1)
        if tag is None:
            found.append("<")
            position = start + 1
            continue
        is_comment = html.startswith("<!--", start)
        end = html.find("-->", start + 4) if is_comment else html.find(">", tag.end())
        if end < 0:
            break
        position = end + (3 if is_comment else 1)
        name = (tag[1] or "").lower()
        if name in _UNSHOWN and html[start + 1] != "/":
            closing = _UNSHOWN[name](html, position)
            if closing is None:
                break
            position = closing.start()
        if name not in _WITHIN_WORDS:
            found.append(" ")
    return unescape("".join(found))
