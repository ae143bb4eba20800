"""From the pieces of a command to a :class:`~pymailsuite.imap.values.Command`.

Pieces alternate text and literals: even ones are text of the command line, odd ones the octets of a literal, whose
``{n}`` is left out. ``a1 LOGIN {4}`` ``user`` `` pass`` is ``[b"a1 LOGIN ", b"user", b" pass"]``.

Whatever octets come, the functions here answer, or raise :class:`~pymailsuite.errors.PeerError` (BAD); two requests
that are well said and cannot be met raise Refusals of :mod:`pymailsuite.imap.values` (NO): UnknownCharset and
UnsupportedUse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from pymailsuite.errors import PeerError
from pymailsuite.imap import values
from pymailsuite.imap.grammar import connection, fetch, mailboxes, messages, search
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import DEFAULT_LIMITS, Append, Command, GrammarLimits

__all__ = ["awaits_message", "parse", "parse_append", "parse_tag"]


def _append_without_literal(cursor: Cursor, tag: str) -> Command:
    mailboxes.parse_append(cursor, tag)
    raise PeerError("Expected the message as a literal")


# command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF   ; RFC 3501 §9
_COMMANDS: Final[dict[str, Callable[[Cursor, str], Command]]] = {
    "APPEND": _append_without_literal,
    "AUTHENTICATE": connection.parse_authenticate,
    "CAPABILITY": connection.bare(values.Capability),
    "CHECK": connection.bare(values.Check),
    "CLOSE": connection.bare(values.Close),
    "COPY": messages.parse_copy,
    "CREATE": mailboxes.parse_create,
    "DELETE": mailboxes.one_mailbox(values.Delete),
    "ENABLE": connection.parse_enable,
    "EXAMINE": mailboxes.opening(values.Examine),
    "EXPUNGE": connection.bare(values.Expunge),
    "FETCH": fetch.parse_fetch,
    "ID": connection.parse_id,
    "IDLE": connection.bare(values.Idle),
    "LIST": mailboxes.parse_list,
    "LOGIN": connection.parse_login,
    "LOGOUT": connection.bare(values.Logout),
    "LSUB": mailboxes.parse_lsub,
    "MOVE": messages.parse_move,
    "NAMESPACE": connection.bare(values.Namespace),
    "NOOP": connection.bare(values.Noop),
    "RENAME": mailboxes.parse_rename,
    "SEARCH": search.parse_search,
    "SELECT": mailboxes.opening(values.Select),
    "STARTTLS": connection.bare(values.StartTls),
    "STATUS": mailboxes.parse_status,
    "STORE": messages.parse_store,
    "SUBSCRIBE": mailboxes.one_mailbox(values.Subscribe),
    "UNSELECT": connection.bare(values.Unselect),
    "UNSUBSCRIBE": mailboxes.one_mailbox(values.Unsubscribe),
}

# uid = "UID" SP (copy / fetch / search / store)   ; RFC 3501 §9; MOVE: RFC 6851 §5; EXPUNGE: RFC 4315 §4
_UID_COMMANDS: Final[dict[str, Callable[[Cursor, str], Command]]] = {
    "COPY": lambda cursor, tag: messages.parse_copy(cursor, tag, uid=True),
    "EXPUNGE": messages.parse_uid_expunge,
    "FETCH": lambda cursor, tag: fetch.parse_fetch(cursor, tag, uid=True),
    "MOVE": lambda cursor, tag: messages.parse_move(cursor, tag, uid=True),
    "SEARCH": lambda cursor, tag: search.parse_search(cursor, tag, uid=True),
    "STORE": lambda cursor, tag: messages.parse_store(cursor, tag, uid=True),
}

_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]++)(?= |$)')
_APPEND = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]++ ++APPEND ++(?P<more>.?)', re.IGNORECASE | re.DOTALL)


def parse_tag(line: bytes) -> str | None:
    """The tag a command line begins with, for the BAD of a command that cannot be read; None: answer ``* BAD``."""
    match = _TAG.match(line)
    return None if match is None else match[1].decode("ascii")


def parse(pieces: Sequence[bytes], limits: GrammarLimits = DEFAULT_LIMITS) -> Command:
    """The command that ``pieces`` say, APPEND apart.

    PeerError: not a command, or more than ``limits`` allow; UnknownCharset; UnsupportedUse.
    """
    cursor = Cursor(pieces, limits)
    tag = cursor.tag()
    cursor.space()
    commands = _COMMANDS
    name = cursor.word("a command")
    if name == "UID":
        cursor.space()
        commands = _UID_COMMANDS
        name = cursor.word("a command")
    parser = commands.get(name)
    if parser is None:
        raise PeerError("Unknown command")
    command = parser(cursor, tag)
    cursor.end()
    return command


def awaits_message(pieces: Sequence[bytes]) -> bool:
    """True if the literal announced after ``pieces`` is the message of an APPEND, which is streamed, not collected.

    False too for the first literal of ``a1 APPEND {5}``: that is the mailbox's name.
    """
    match = _APPEND.match(pieces[0])
    return match is not None and (bool(match["more"]) or len(pieces) > 1)


def parse_append(pieces: Sequence[bytes], limits: GrammarLimits = DEFAULT_LIMITS) -> Append:
    """The APPEND whose message literal comes after ``pieces``, which end with the space before its ``{n}``.

    PeerError: not an APPEND, or more than ``limits`` allow.
    """
    cursor = Cursor(pieces, limits)
    tag = cursor.tag()
    cursor.space()
    if cursor.word("a command") != "APPEND":
        raise PeerError("Unexpected literal")
    return mailboxes.parse_append(cursor, tag)
