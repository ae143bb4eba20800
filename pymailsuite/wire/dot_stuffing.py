"""Text that ends in a line holding only a dot: decoding and encoding, in bulk (RFC 5321 §4.5.2, RFC 1939 §3).

Only CRLF.CRLF ends the text. A server that takes LF.LF or CR.CR for an end lets a message smuggle another one past a
server that does not, so those are ordinary octets here, and the decoder reports that it has seen them. Both directions
work on whole pieces with ``find``, ``count`` and ``replace``, never line by line, and give the same result however the
octets are cut.
"""

from __future__ import annotations

import re
from io import IncrementalNewlineDecoder

from pymailsuite.errors import PeerError

_END = b"\r\n.\r\n"
_STUFFED = b"\r\n."
_DOT = ord(".")
_CR = 0x0D
_LF = 0x0A
_DOT = 0x2E
_NOT_BARE = (None, "\r\n")
_LINE_ENDS = re.compile(rb"\r{0,2}\n")


class BareLineEnd(PeerError):
    """A CR or LF that is not part of a CRLF. Source: RFC 5321 §2.3.8."""

    smtp_code = 550
    enhanced_code = "5.5.2"
    text = "bare CR/LF not allowed"


def has_bare_line_end(octets: bytes) -> bool:
    """True if a CR or LF in ``octets`` is not part of a CRLF within them."""
    # It tells the kinds of line ends it has seen: one pass, four times as fast as to count them with ``bytes.count``.
    seen = IncrementalNewlineDecoder(None, translate=False)
    seen.decode(octets.decode("latin-1"), final=True)
    return seen.newlines not in _NOT_BARE


class DotDecoder:
    """Undoes dot-stuffing of one text and finds its end.

    ``bare_line_end`` becomes True once a bare CR or LF has gone by. NUL and octets above 127 pass.

    With ``repair`` LF alone and CR CR LF come out as CRLF. They are line ends of the text and no more: what ends it,
    and which dots are stuffing, is decided by the octets as they came. A CR that no LF follows stays, and is bare.
    """

    __slots__ = ("_begun", "_held", "_repair", "bare_line_end", "ended")

    def __init__(self, repair: bool = False) -> None:
        # A text begins at the beginning of a line: as if it came after a CRLF, which is not given out.
        self._held = b"\r\n"
        self._begun = False
        self._repair = repair
        self.bare_line_end = False
        self.ended = False

    def decode(self, octets: bytes) -> tuple[bytes, bytes]:
        """The text in ``octets`` and what follows the end of the text.

        Once ``ended`` is True the second part is what the peer said after the text; until then it is empty. At most
        five octets are held back until it is known what they are.
        """
        work = self._held + octets
        # Encoded attachments have no dot, and one octet is found many times as fast as three.
        stuffed = work.find(_STUFFED) if _DOT in work else -1
        end = -1 if stuffed < 0 else work.find(_END, stuffed)
        if end >= 0:
            text, rest = work[: end + 2], work[end + 5 :]
            self._held = b""
            self.ended = True
        else:
            cut = _undecided(work)
            if self._repair and cut and work[cut - 1] == _CR:
                cut -= 1
            text, rest = work[:cut], b""
            self._held = work[cut:]
            if not text:
                return b"", b""
        bare = not self.bare_line_end and has_bare_line_end(text)
        if stuffed >= 0:
            text = text.replace(_STUFFED, b"\r\n")
        if bare and self._repair:
            text = _LINE_ENDS.sub(b"\r\n", text)
            bare = has_bare_line_end(text)
        if bare:
            self.bare_line_end = True
        if not self._begun:
            self._begun = True
            text = text[2:]
        return text, rest


def _undecided(work: bytes) -> int:
    """Where the longest tail of ``work`` begins that may be the beginning of the end of the text."""
    size = len(work)
    last = work[-1] if size else 0
    if last == _LF:
        return size - 2 if work.endswith(b"\r\n") else size
    if last == _CR:
        return size - 4 if work.endswith(b"\r\n.\r") else size - 1
    if last == _DOT and work.endswith(b"\r\n."):
        return size - 3
    return size


class DotEncoder:
    """Dot-stuffs one text as it is sent.

    With ``refuse_bare`` a bare CR or LF raises :class:`BareLineEnd` (what an SMTP client must never send); nothing of
    the piece it was found in is then given out.
    """

    __slots__ = ("_refuse_bare", "_tail")

    def __init__(self, refuse_bare: bool = False) -> None:
        self._refuse_bare = refuse_bare
        self._tail = b"\r\n"

    def encode(self, octets: bytes) -> bytes:
        """The wire form of the next piece of the text."""
        if not octets:
            return b""
        tail = self._tail
        work = tail + octets
        if self._refuse_bare:
            # A CR at the end of a piece is settled by the piece after it.
            checked = b"\r" + octets if tail.endswith(b"\r") else octets
            if has_bare_line_end(checked[:-1] if checked.endswith(b"\r") else checked):
                raise BareLineEnd
        self._tail = work[-2:]
        if _DOT in octets and work.find(_STUFFED) >= 0:
            work = work.replace(_STUFFED, b"\r\n..")
        return work[len(tail) :]

    def finish(self) -> bytes:
        """What ends the text: its last CRLF if that is missing, and the dot. Raises BareLineEnd as ``encode`` does."""
        if self._refuse_bare and self._tail.endswith(b"\r"):
            raise BareLineEnd
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


def dot_stuff(octets: bytes) -> bytes:
    """A whole text in wire form, its end included."""
    encoder = DotEncoder()
    return encoder.encode(octets) + encoder.finish()
