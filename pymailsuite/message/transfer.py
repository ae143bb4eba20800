"""Decodes Content-Transfer-Encoding in pieces of any size, and encodes the server's own parts. Source: RFC 2045 §6, RFC
3516 (BINARY).

There is one decoder for each encoding, and it holds a bounded number of octets. A body decoded at once is a body
decoded in one piece, so that short and long parts have the same result wherever they are read. Damage is never an
error: valid octets are decoded, the rest is skipped or kept as it is.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Final, Protocol

IDENTITY: Final = frozenset(("", "7bit", "8bit", "binary"))
_LINE_MAX: Final = 998
"""Octets of a line without its end. Source: RFC 5322 §2.1.1."""


class TransferDecoder(Protocol):
    """Takes encoded octets in pieces of any size, gives decoded ones; the whole result does not depend on the
    pieces."""

    def feed(self, octets: bytes) -> bytes:
        """The output that is now complete."""

    def finish(self) -> bytes:
        """The output that was held back. Nothing may be fed afterwards."""


class _Identity:
    def feed(self, octets: bytes) -> bytes:
        return octets

    def finish(self) -> bytes:
        return b""


_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


class _Base64:
    """Foreign octets are skipped; the first ``=`` is the end of the data (RFC 2045 §6.8): text that gateways and lists
    append is no part of it."""

    def __init__(self) -> None:
        self._held = b""
        self._ended = False

    def feed(self, octets: bytes) -> bytes:
        if self._ended:
            return b""
        padding = octets.find(b"=")
        if padding >= 0:
            self._ended = True
            octets = octets[:padding]
        digits = self._held + octets.translate(None, _NOT_BASE64)
        whole = len(digits) & ~3
        self._held = digits[whole:]
        return binascii.a2b_base64(digits[:whole])

    def finish(self) -> bytes:
        # A last digit alone holds six bits, which are no octet.
        held = self._held if len(self._held) > 1 else b""
        return binascii.a2b_base64(held + b"=" * (-len(held) % 4))


_SPACE_MAX: Final = 4096
"""A longer run of white space at the end of a line is content: shorter runs may have to be deleted, and are held
back."""
_LINE_HELD_MAX: Final = 4 * _SPACE_MAX
# Each begins at the beginning of a run, so that no run is gone through twice.
_SPACE_BEFORE_LINE_END = re.compile(rb"(?<![ \t])[ \t]{1,%d}+(?=\r?\n)" % _SPACE_MAX)
_SPACE_AT_END = re.compile(rb"(?<![ \t])[ \t]{1,%d}+\Z" % _SPACE_MAX)
_STRAY_EQUALS = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")


class _QuotedPrintable:
    """White space at the end of a line is deleted, behind the ``=`` of a soft line break too (RFC 2045 §6.7, rule 3);
    an ``=`` that begins nothing stands for itself."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        cut = octets.rfind(b"\n") + 1
        if len(octets) - cut > _LINE_HELD_MAX:
            cut = self._cut_in_line(octets)
        self._held = octets[cut:]
        return _decoded_lines(octets[:cut])

    def finish(self) -> bytes:
        # The end of the data is the end of a line: its line end belongs to the delimiter behind it.
        last = _SPACE_AT_END.sub(b"", self._held)
        return _decoded_lines(last.removesuffix(b"="))

    @staticmethod
    def _cut_in_line(octets: bytes) -> int:
        """The number of decided octets of an incomplete line: all but white space that may be at its end, and an
        incomplete escape or soft line break."""
        end = len(octets) - octets.endswith(b"\r")
        text_end = len(octets[:end].rstrip(b" \t"))
        if end - text_end > _SPACE_MAX:
            # Too long to be deleted; one more than may be is kept, so that it is known to be when the line goes on.
            return end - _SPACE_MAX - 1
        if octets.endswith(b"=", 0, text_end):
            return text_end - 1
        return text_end - 2 * (text_end == len(octets) and octets.endswith(b"=", 0, text_end - 1))


def _decoded_lines(octets: bytes) -> bytes:
    # Each test of all octets for a rare character costs a fraction of the expression.
    if b" \r\n" in octets or b" \n" in octets or b"\t\r\n" in octets or b"\t\n" in octets:
        octets = _SPACE_BEFORE_LINE_END.sub(b"", octets)
    # The function of the standard library drops one of two equals signs, one at the end, and text behind "=" and a
    # bare CR.
    if b"==" in octets or octets.endswith(b"=") or octets.count(b"=\r") != octets.count(b"=\r\n"):
        octets = _STRAY_EQUALS.sub(b"=3D", octets)
    return binascii.a2b_qp(octets)


_UU_LINE_MAX: Final = 100
"""Octets of a line that are kept; at most 85 of a line of uuencoded data count."""
_UU_BEGIN = re.compile(rb"begin [0-7]{3,6}(?: |\Z)").match


class _Uuencoded:
    """The first file in the text; octets before ``begin`` and after ``end`` are skipped."""

    def __init__(self) -> None:
        self._held = b""
        self._inside = False
        self._ended = False

    def feed(self, octets: bytes) -> bytes:
        if self._ended:
            return b""
        *lines, rest = octets.split(b"\n")
        decoded: list[bytes] = []
        for line in lines:
            data = self._line((self._held + line)[:_UU_LINE_MAX])
            self._held = b""
            if data is None:
                self._ended = True
                return b"".join(decoded)
            decoded.append(data)
        self._held = (self._held + rest)[:_UU_LINE_MAX]
        return b"".join(decoded)

    def finish(self) -> bytes:
        return b"" if self._ended else self._line(self._held) or b""

    def _line(self, line: bytes) -> bytes | None:
        """The octets of a line; None for the last one."""
        line = line.removesuffix(b"\r")
        if not self._inside:
            self._inside = _UU_BEGIN(line) is not None
            return b""
        if line.strip() == b"end":
            return None
        if not line:
            return b""
        # Some encoders write a wrong last character or none: the number of octets in the length octet is taken.
        digits = (((line[0] - 32) & 63) * 4 + 2) // 3
        try:
            return binascii.a2b_uu(line[: digits + 1])
        except binascii.Error:
            return None


_DECODERS: Final[dict[str, Callable[[], TransferDecoder]]] = {
    **dict.fromkeys(IDENTITY, _Identity),
    "base64": _Base64,
    "quoted-printable": _QuotedPrintable,
    **dict.fromkeys(("x-uuencode", "uuencode", "x-uue", "uue"), _Uuencoded),
}


def transfer_decoder(encoding: str) -> TransferDecoder | None:
    """A decoder for that encoding (lower case); None if it is not known: BINARY then answers UNKNOWN-CTE (RFC 3516
    §4.3), and SEARCH searches the body as it stands."""
    make = _DECODERS.get(encoding)
    return None if make is None else make()


def decode_transfer(octets: bytes, encoding: str) -> bytes | None:
    """A whole body without its transfer encoding (lower case); None if that encoding is not known."""
    if encoding in IDENTITY:
        return octets
    decoder = transfer_decoder(encoding)
    return None if decoder is None else decoder.feed(octets) + decoder.finish()


def decode_base64(coded: bytes) -> bytes:
    """Base64 undone as far as it goes, as in a body: the coded text of an encoded word, say."""
    decoder = _Base64()
    return decoder.feed(coded) + decoder.finish()


def is_seven_bit(octets: bytes) -> bool:
    """Whether every host takes the octets as they are: ASCII in lines that are not too long and end in CRLF.

    Source: RFC 2045 §2.7."""
    if not octets.isascii() or b"\0" in octets:
        return False
    lines = octets.split(b"\r\n")
    return len(max(lines, key=len)) <= _LINE_MAX and not any(b"\r" in line or b"\n" in line for line in lines)


def encode_text(octets: bytes) -> tuple[str, bytes]:
    """Text for every host, and its encoding: ``7bit`` if it can be sent unchanged, else ``quoted-printable``."""
    if is_seven_bit(octets):
        return "7bit", octets
    return "quoted-printable", encode_quoted_printable(octets)


def encode_quoted_printable(octets: bytes) -> bytes:
    """Text of which the lines end in CRLF. Source: RFC 2045 §6.7."""
    # Line by line, or a CR or LF that stands alone would pass for the end of a line.
    encoded = [binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n") for line in octets.split(b"\r\n")]
    return b"\r\n".join(encoded)
