"""Octets in a declared character set as text. Never raises: mail declares charsets wrongly, or ones nobody knows."""

from __future__ import annotations

from typing import Final

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


def decode_undeclared(octets: bytes) -> str:
    """UTF-8 if it is that (RFC 6532), else Windows-1252 with every octet shown somehow."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return _western(octets)


def _western(octets: bytes) -> str:
    try:
        return octets.decode("cp1252")
    except UnicodeDecodeError:  # five octets have no character there
        return octets.decode("latin-1")


def decode_charset(octets: bytes, charset: str) -> str:
    """``octets`` in ``charset``, octets that make no sense in it replaced; an unknown charset is guessed."""
    name = charset.strip().strip("\"'").lower()
    if name in _UNDECLARED or name in _NOT_FOR_MAIL or not name.isascii() or "\0" in name:
        return decode_undeclared(octets)
    name = _ALIASES.get(name, name)
    if name == "cp1252":
        return _western(octets)
    try:
        return octets.decode(name, "replace")
    except LookupError:
        pass
    if name.startswith("cp-") or name.startswith("x-"):
        return decode_charset(octets, "cp" + name[3:] if name.startswith("cp-") else name[2:])
    return decode_undeclared(octets)
