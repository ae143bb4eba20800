"""From the pieces of a command to a :class:`~pymailsuite.imap.values.Command`: a parser for each kind of arguments.

Pieces alternate text and literals: even ones are text of the command line, odd ones the octets of a literal, whose
``{n}`` is left out. ``a1 LOGIN {4}`` ``user`` `` pass`` is ``[b"a1 LOGIN ", b"user", b" pass"]``.

For any octets, parsers return a value, or raise :class:`~pymailsuite.errors.PeerError` (BAD); two kinds of well-formed
requests that cannot be met raise Refusals of :mod:`pymailsuite.imap.values` (NO): UnknownCharset and UnsupportedUse.
"""

from __future__ import annotations

import re

__all__ = ["command_name", "parse_tag"]

_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]++)(?= |$)')
_NAME = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]++ ++(UID ++)?([A-Za-z0-9-]++)(?= |$)', re.IGNORECASE)


def parse_tag(line: bytes) -> str | None:
    """The tag a command line begins with, for the BAD of a command that cannot be read; None: answer ``* BAD``."""
    match = _TAG.match(line)
    return None if match is None else match[1].decode("ascii")


def command_name(line: bytes) -> str:
    """The name of the command that a line begins, in upper case, such as ``UID FETCH``; empty if it begins none."""
    match = _NAME.match(line)
    if match is None:
        return ""
    name = match[2].decode("ascii").upper()
    return f"UID {name}" if match[1] else name
