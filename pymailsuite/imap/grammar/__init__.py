"""From the pieces of a command to a :class:`~pymailsuite.imap.values.Command`: a parser for each kind of arguments.

Pieces alternate text and literals: even ones are text of the command line, odd ones the octets of a literal, whose
``{n}`` is left out. ``a1 LOGIN {4}`` ``user`` `` pass`` is ``[b"a1 LOGIN ", b"user", b" pass"]``.

For any octets, parsers return a value, or raise :class:`~pymailsuite.errors.PeerError` (BAD); two kinds of well-formed
requests that cannot be met raise Refusals of :mod:`pymailsuite.imap.values` (NO): UnknownCharset and UnsupportedUse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["awaits_message", "parse_tag"]

_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]++)(?= |$)')
_APPEND = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]++ ++APPEND ++(?P<more>.?)', re.IGNORECASE | re.DOTALL)


def parse_tag(line: bytes) -> str | None:
    """The tag a command line begins with, for the BAD of a command that cannot be read; None: answer ``* BAD``."""
    match = _TAG.match(line)
    return None if match is None else match[1].decode("ascii")


def awaits_message(pieces: Sequence[bytes]) -> bool:
    """True if the literal announced after ``pieces`` is the message of an APPEND, which is streamed, not collected.

    False too for the first literal of ``a1 APPEND {5}``: that is the mailbox's name.
    """
    match = _APPEND.match(pieces[0])
    return match is not None and (bool(match["more"]) or len(pieces) > 1)
