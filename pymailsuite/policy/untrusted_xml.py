"""XML from outside: events out of octets, bounded, and one error for all faults.

No document type is read: that is where entities are declared, and nothing that is read here needs one. What writers get
wrong is mended where its sense is clear: octets in front of the document, an encoding nobody knows or another than is
declared, characters that were not escaped, prefixes that nobody declared.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar
from xml.parsers import expat

from pymailsuite.message.charsets import decode_charset

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
"""The longer ones first where one is the beginning of another. The last four are no marks, but what a document begins
with that has none."""
_MENDED_MAX: Final = 100_000
"""Mistakes of a kind that are put right; a document with more stays one with mistakes."""
_is_long_tag: Final = re.compile(rb"<[^<>]{65536}").search
_WHITE: Final = b" \t\r\n"
_declared_encoding: Final = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']").match
# What writers forget to escape: "<" that begins no tag, such as those around an address, and "&" of no entity that
# every document knows. References to characters by number, which may be none; declarations, which may stand anywhere.
_ODD: Final = re.compile(
    r"<\?xml\b[^>]{0,200}>|<(?!/?[A-Za-z_][\w.:-]*(?:\s|/?>)|[?!])"
    r"|&#(?:x(?P<hex>[0-9A-Fa-f]{1,8})|(?P<number>[0-9]{1,9}));|&(?!(?:amp|lt|gt|quot|apos);)",
    re.ASCII,
)
_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BadXmlError(ValueError):
    """It cannot be read: the text says why."""


class RefusedXmlError(BadXmlError):
    """It is not to be read, however it might be mended. Readers may raise it."""


class XmlReader(Protocol):
    """The receiver of the events of a document. Names are without their prefix."""

    def start(self, name: str) -> None: ...

    def end(self, name: str) -> bool:
        """True: all is known that was wanted, whatever follows."""
        ...

    def text(self, text: str) -> None:
        """Some of the text within the innermost element."""
        ...


R = TypeVar("R", bound=XmlReader)


class _DoneError(Exception):
    """The reader wants no more."""


def is_xml(octets: bytes) -> bool:
    """Whether it begins as a document does, in any of the forms of Unicode."""
    return octets.lstrip(_WHITE)[:1] == b"<" or any(octets.startswith(mark) for mark, _ in _BOMS)


def read_xml(octets: bytes, make: Callable[[], R], *, elements_max: int, depth_max: int) -> R:
    """The reader that ``make`` makes, when it has got the whole document; it may be made twice. BadXmlError."""
    if _is_long_tag(octets):
        # Its attributes are compared with each other before anybody is told of one.
        raise RefusedXmlError("it has a tag that is longer than any")
    try:
        return _Parse(make(), elements_max, depth_max).run(octets.lstrip(_WHITE), None)
    except RefusedXmlError:
        raise
    except BadXmlError as error:
        try:
            return _Parse(make(), elements_max, depth_max).run(_mended(octets), "utf-8")
        except RefusedXmlError:
            raise
        except BadXmlError:
            raise error from None


def _mended(octets: bytes) -> bytes:
    text = _as_text(octets)
    text = _NO_CHARACTER.sub("\ufffd", text[max(text.find("<"), 0) :], count=_MENDED_MAX)
    return _ODD.sub(_put_right, text, count=_MENDED_MAX).encode("utf-8", "replace")


def _put_right(odd: re.Match[str]) -> str:
    if odd["hex"] or odd["number"]:
        number = int(odd["hex"], 16) if odd["hex"] else int(odd["number"])
        is_one = number < 0x110000 and not _NO_CHARACTER.match(chr(number))
        return odd[0] if is_one else "\ufffd"
    if len(odd[0]) > 1:
        return ""
    return "&lt;" if odd[0] == "<" else "&amp;"


def _as_text(octets: bytes) -> str:
    trimmed = octets.lstrip(_WHITE)
    for mark, encoding in _BOMS:
        if trimmed.startswith(mark):
            return trimmed.decode(encoding, "replace").lstrip("\ufeff")
    declared = _declared_encoding(trimmed)
    name = declared[1].decode("ascii") if declared is not None else "utf-8"
    # A document whose first octet is "<" and no zero behind it is in none of these, whatever it says.
    return decode_charset(trimmed, "utf-8" if name.lower().startswith(("utf-16", "utf-32", "ucs-")) else name)


class _Parse(Generic[R]):
    """One document on its way to its reader."""

    def __init__(self, reader: R, elements_max: int, depth_max: int) -> None:
        self._reader = reader
        self._elements_left = elements_max
        self._depth_left = depth_max

    def run(self, octets: bytes, encoding: str | None) -> R:
        parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._reader.text
        try:
            # Whole: cut into pieces a long token would be looked at again with each.
            parser.Parse(octets, True)
        except _DoneError:
            pass
        except BadXmlError:
            raise
        except expat.ExpatError as error:
            raise BadXmlError(f"not XML: {error}") from None
        except (ValueError, LookupError) as error:
            # What Python's codecs say of an encoding that nobody knows, or of one that expat cannot use.
            raise BadXmlError(f"not XML that can be decoded: {error}") from None
        return self._reader

    def _refuse(self, *declaration: object) -> None:
        raise RefusedXmlError("it declares a document type, which is not read")

    def _start(self, name: str, attributes: object) -> None:
        self._elements_left -= 1
        self._depth_left -= 1
        if self._elements_left < 0 or self._depth_left < 0:
            raise RefusedXmlError("it has too many elements, or too many inside one another")
        self._reader.start(name.rpartition(":")[2])

    def _end(self, name: str) -> None:
        self._depth_left += 1
        if self._reader.end(name.rpartition(":")[2]):
            raise _DoneError
