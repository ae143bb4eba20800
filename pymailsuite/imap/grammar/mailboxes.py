"""Commands about mailboxes. Source: RFC 3501 §6.3, and the extensions named below."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Final

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import (
    Command,
    Create,
    Examine,
    List,
    Lsub,
    Rename,
    Select,
    Status,
    UnsupportedUse,
)
from pymailsuite.values import SpecialUse

_USES: Final = {use.value.upper().encode("ascii"): use for use in SpecialUse}
_USE_ATTRIBUTE = re.compile(rb'\\[^\x00-\x20\x7f-\xff(){%*"\\\]]++')


def one_mailbox(kind: Callable[[str, str], Command]) -> Callable[[Cursor, str], Command]:
    """The parser of a command whose only argument is a mailbox: DELETE, SUBSCRIBE, UNSUBSCRIBE."""

    def parse(cursor: Cursor, tag: str) -> Command:
        cursor.space()
        return kind(tag, cursor.mailbox())

    return parse


def opening(kind: type[Select] | type[Examine]) -> Callable[[Cursor, str], Command]:
    """select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]   ; RFC 4466 §2.4; also EXAMINE."""

    def parse(cursor: Cursor, tag: str) -> Command:
        cursor.space()
        mailbox = cursor.mailbox()
        if not cursor.try_space():
            return kind(tag, mailbox)
        return kind(tag, mailbox, cursor.named(cursor.words.select_parameters, "parameter"))

    return parse


def parse_create(cursor: Cursor, tag: str) -> Command:
    """create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]   ; RFC 6154 §6."""
    cursor.space()
    mailbox = cursor.mailbox()
    uses: list[bytes] = []
    if cursor.try_space():
        cursor.take(b"(", "a parameter list")
        if cursor.word("a parameter") != "USE":
            raise PeerError("Unknown parameter")
        cursor.space()
        for _ in cursor.listed(len(_USES), "special uses"):
            uses.append(cursor.match(_USE_ATTRIBUTE, "a special use")[0].upper())
        if not cursor.try_close():
            raise PeerError("Expected the end of the parameter list")
    if not _USES.keys() >= set(uses):
        raise UnsupportedUse()
    return Create(tag, mailbox, tuple(dict.fromkeys(_USES[use] for use in uses)))


def parse_rename(cursor: Cursor, tag: str) -> Command:
    """rename = "RENAME" SP mailbox SP mailbox."""
    cursor.space()
    old = cursor.mailbox()
    cursor.space()
    return Rename(tag, old, cursor.mailbox())


def parse_list(cursor: Cursor, tag: str) -> Command:
    """list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]   ; RFC 5258 §6."""
    cursor.space()
    selection = frozenset[str]()
    if cursor.sees(b"("):
        options = cursor.words.list_selections
        selection = frozenset(_words(cursor, options, "selection options"))
        # RFC 5258 §3.1: RECURSIVEMATCH only together with an option that selects by itself.
        if "RECURSIVEMATCH" in selection and not any(options[name].meets for name in selection):
            raise PeerError("RECURSIVEMATCH needs an option to modify")
        cursor.space()
    reference = cursor.list_reference()
    cursor.space()
    if cursor.sees(b"("):
        # patterns = "(" list-mailbox *(SP list-mailbox) ")"
        patterns = tuple(cursor.list_mailbox() for _ in cursor.listed(cursor.limits.list_patterns, "patterns"))
        if not patterns:
            raise PeerError("Expected a mailbox pattern")
    else:
        patterns = (cursor.list_mailbox(),)
    returns: dict[str, Any] = {}
    if cursor.try_space():
        # list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
        if cursor.word("RETURN") != "RETURN":
            raise PeerError("Expected RETURN")
        cursor.space()
        returns = cursor.named(cursor.words.list_returns, "return option", least=0)
    return List(tag, selection, reference, patterns, returns)


def parse_lsub(cursor: Cursor, tag: str) -> Command:
    """lsub = "LSUB" SP mailbox SP list-mailbox."""
    cursor.space()
    reference = cursor.list_reference()
    cursor.space()
    return Lsub(tag, reference, cursor.list_mailbox())


def parse_status(cursor: Cursor, tag: str) -> Command:
    """status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"."""
    cursor.space()
    mailbox = cursor.mailbox()
    cursor.space()
    return Status(tag, mailbox, parse_status_items(cursor))


def parse_status_items(cursor: Cursor) -> tuple[str, ...]:
    """A list of status-att: "(" status-att *(SP status-att) ")"."""
    items = tuple(dict.fromkeys(_words(cursor, cursor.words.status_items, "status items")))
    if not items:
        raise PeerError("Expected a status item")
    return items


def _words(cursor: Cursor, known: Collection[str], what: str) -> list[str]:
    words = []
    for _ in cursor.listed(2 * len(known), what):
        word = cursor.word("an option")
        if word not in known:
            raise PeerError(f"Unknown word among {what}")
        words.append(word)
    return words
