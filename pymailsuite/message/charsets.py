"""Octets in a declared character set as text. Never raises: mail declares wrong charsets, and unknown ones.

Header text is decoded whole; the body of a part by :func:`charset_decoder`, in pieces of any size.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, Protocol

_ALIASES: Final = {
    # Names that mean a superset in mail as it is, as the WHATWG encoding standard has it, and other spellings.
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso-8859-1-windows-3.1-latin-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "big5": "big5hkscs",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "iso-8859-6-e": "iso-8859-6",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "iso-8859-11": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "x-utf-8": "utf-8",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
}
_UNDECLARED: Final = frozenset(("", "us-ascii", "ascii", "ansi_x3.4-1968", "x-unknown", "unknown-8bit", "8bit", "7bit"))
_NOT_FOR_MAIL: Final = frozenset(
    ("idna", "punycode", "unicode_escape", "unicode-escape", "raw_unicode_escape", "raw-unicode-escape", "undefined")
)
"""Codecs of Python that are no charsets; some of them take time quadratic in their input."""


def _western_table() -> str:
    octets = [bytes((octet,)) for octet in range(256)]
    # Five octets have no character in Windows-1252; browsers show the control characters of ISO 8859-1.
    return "".join([octet.decode("cp1252", "ignore") or octet.decode("latin-1") for octet in octets])


_WESTERN: Final = _western_table()


def _western(octets: bytes) -> str:
    return codecs.charmap_decode(octets, "strict", _WESTERN)[0]


def decode_undeclared(octets: bytes) -> str:
    """UTF-8 if it is valid (RFC 6532), else Windows-1252 with a character for every octet."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return _western(octets)


def _codec(charset: str) -> str:
    """The name of Python's codec for a charset, ``cp1252`` or ``""`` (to be guessed)."""
    name = charset.strip().strip("\"'").lower()
    while True:
        if name in _UNDECLARED or name in _NOT_FOR_MAIL or not name.isascii() or "\0" in name:
            return ""
        name = _ALIASES.get(name, name)
        try:
            # This refuses Python's codecs from octets to octets, or from text to text. With an empty string it would
            # not.
            b"a".decode(name, "replace")
        except LookupError:
            if name.startswith("cp-"):
                name = "cp" + name[3:]
            elif name.startswith("x-"):
                name = name[2:]
            else:
                return ""
        else:
            return name


def decode_charset(octets: bytes, charset: str) -> str:
    """``octets`` in ``charset``, with invalid octets replaced; an unknown charset is guessed."""
    name = _codec(charset)
    if not name:
        return decode_undeclared(octets)
    return _western(octets) if name == "cp1252" else octets.decode(name, "replace")


class CharsetDecoder(Protocol):
    """Takes octets in pieces of any size, gives text; the whole text does not depend on the pieces."""

    def decode(self, octets: bytes, final: bool = False, /) -> str: ...


class _Western:
    def decode(self, octets: bytes, final: bool = False) -> str:
        return _western(octets)


class _Utf8:
    """As the decoder of the library, with one call less: nearly all mail goes through it."""

    def __init__(self) -> None:
        self._held = b""

    def decode(self, octets: bytes, final: bool = False) -> str:
        if self._held:
            octets = self._held + octets
        text, used = codecs.utf_8_decode(octets, "replace", final)
        self._held = octets[used:]
        return text


_ERRORS_MAX: Final = 200


class _Guessing:
    """UTF-8, and Windows-1252 for octets that are invalid in it; after many of these, Windows-1252 for all that
    follow."""

    def __init__(self) -> None:
        self._held = b""
        self._errors = 0

    def decode(self, octets: bytes, final: bool = False) -> str:
        if self._held:
            octets = self._held + octets
        found: list[str] = []
        while self._errors < _ERRORS_MAX:
            try:
                text, used = codecs.utf_8_decode(octets, "strict", final)
            except UnicodeDecodeError as error:
                self._errors += 1
                found.append(octets[: error.start].decode("utf-8") + _western(octets[error.start : error.end]))
                octets = octets[error.end :]
            else:
                self._held = octets[used:]
                found.append(text)
                return "".join(found)
        self._held = b""
        found.append(_western(octets))
        return "".join(found)


_SAMPLE: Final = 64


class _WithMark:
    """UTF-16 or UTF-32 (``width`` octets) in the byte order of its byte order mark.

    Without one the zeros among the first octets tell it, as some of any text is Latin; else it is the order that RFC
    2781 §4.3 has.
    """

    def __init__(self, name: str, width: int) -> None:
        self._name = name
        self._width = width
        self._held = b""
        self._decoder: CharsetDecoder | None = None

    def decode(self, octets: bytes, final: bool = False) -> str:
        if self._decoder is None:
            octets = self._held + octets
            if len(octets) < _SAMPLE and not final:
                self._held = octets
                return ""
            width, mark = self._width, b"\xff\xfe".ljust(self._width, b"\0")
            first, sample = octets[:width], octets[:_SAMPLE]
            if first in (mark, mark[::-1]):
                octets = octets[width:]
                is_little = first == mark
            else:
                is_little = sample[width - 1 :: width].count(0) > sample[::width].count(0)
            self._decoder = _incremental(f"{self._name}-{'le' if is_little else 'be'}")
        return self._decoder.decode(octets, final)


_SHIFTED_MAX: Final = 65536


class _Utf7:
    """UTF-7, of which Python's decoder holds a shifted piece until it ends: one without end is cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-7")("replace")

    def decode(self, octets: bytes, final: bool = False) -> str:
        found: list[str] = []
        for start in range(0, max(1, len(octets)), _SHIFTED_MAX):
            piece = octets[start : start + _SHIFTED_MAX]
            found.append(self._decoder.decode(piece, final and start + _SHIFTED_MAX >= len(octets)))
            if len(self._decoder.getstate()[0]) > _SHIFTED_MAX:
                found.append(self._decoder.decode(b"", True))
                self._decoder.reset()
        return "".join(found)


def _incremental(name: str) -> CharsetDecoder:
    return codecs.getincrementaldecoder(name)("replace")


_OWN: Final[dict[str, Callable[[], CharsetDecoder]]] = {
    "": _Guessing,
    "cp1252": _Western,
    "utf-8": _Utf8,
    "utf-7": _Utf7,
    "utf-16": lambda: _WithMark("utf-16", 2),
    "utf-32": lambda: _WithMark("utf-32", 4),
}


_NAME_MAX: Final = 60


@lru_cache(maxsize=256)
def _decoder_maker(charset: str) -> Callable[[], CharsetDecoder]:
    name = _codec(charset)
    make = _OWN.get(name) or _OWN.get(codecs.lookup(name).name)
    return partial(codecs.getincrementaldecoder(name), "replace") if make is None else make


def charset_decoder(charset: str) -> CharsetDecoder:
    """A decoder for the body of a part; invalid octets are replaced, an unknown charset is guessed."""
    return _decoder_maker(charset if len(charset) <= _NAME_MAX else "")()
