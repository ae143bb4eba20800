"""The elements of IMAP's syntax by name: tables built from declarations, once for all sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeVar

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.extension import (
    Capabilities,
    FetchAttribute,
    FetchModifier,
    ImapCommand,
    ImapExtension,
    ListReturn,
    ListSelection,
    SearchKey,
    SearchReturn,
    SelectParameter,
    Standing,
    StatusItem,
)
from pymailsuite.imap.fetch import FetchCompiler, SectionItem, Text
from pymailsuite.imap.grammar import command_name
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.guard import guarded_extension
from pymailsuite.imap.values import DEFAULT_LIMITS, Command, FetchItem, GrammarLimits
from pymailsuite.interfaces import Mailbox

T = TypeVar("T")

_UID: Final = "UID"


@frozen
class NameTaken:
    """Two declarations of one name: that of ``extension`` is left out."""

    what: str
    name: str
    extension: str
    other: str


class Vocabulary:
    """The tables. ``foreign`` are the commands of other packages, with the names of their extensions; ``taken`` lists
    the declarations that were left out."""

    def __init__(self, extensions: Iterable[ImapExtension], foreign: Iterable[ImapExtension] = ()) -> None:
        """``extensions`` are the built-in ones; ``foreign`` those of other packages, which come after them and may
        fail."""
        self.commands: dict[str, ImapCommand] = {}
        self.fetch_attributes: dict[str, FetchAttribute] = {}
        self.fetch_modifiers: dict[str, FetchModifier] = {}
        self.select_parameters: dict[str, SelectParameter] = {}
        self.search_keys: dict[str, SearchKey] = {}
        self.status_items: dict[str, StatusItem] = {}
        self.list_selections: dict[str, ListSelection] = {}
        self.list_returns: dict[str, ListReturn] = {}
        self.enables: dict[str, Callable[[Any], None]] = {}
        self.search_returns: dict[str, SearchReturn] = {}
        self.opened: list[Callable[[Any, Mailbox], bytes]] = []
        self.created: list[Callable[[Any, Mailbox], str]] = []
        self.foreign: dict[ImapCommand, str] = {}
        self.taken: list[NameTaken] = []
        self._capabilities: list[tuple[int, Capabilities]] = []
        self._declared_by: dict[tuple[str, str], str] = {}
        for extension in extensions:
            self._add(extension)
        for extension in map(guarded_extension, foreign):
            self._add(extension)
            self.foreign |= dict.fromkeys(extension.commands, extension.name)
        self._capabilities.sort(key=itemgetter(0))
        self.compile_fetch = FetchCompiler(self._part_of)

    def _add(self, extension: ImapExtension) -> None:
        self._capabilities.append((extension.position, extension.capabilities))
        self._fill("command", self.commands, extension, extension.commands)
        self._fill("FETCH attribute", self.fetch_attributes, extension, extension.fetch_attributes)
        self._fill("FETCH modifier", self.fetch_modifiers, extension, extension.fetch_modifiers)
        self._fill("SELECT parameter", self.select_parameters, extension, extension.select_parameters)
        self._fill("SEARCH key", self.search_keys, extension, extension.search_keys)
        self._fill("STATUS item", self.status_items, extension, extension.status_items)
        self._fill("LIST selection option", self.list_selections, extension, extension.list_selections)
        self._fill("LIST return option", self.list_returns, extension, extension.list_returns)
        for word, enable in extension.enables.items():
            self._put("capability to ENABLE", self.enables, extension, word, enable)
        self._fill("SEARCH return option", self.search_returns, extension, extension.search_returns)
        self.opened += [extension.opened] if extension.opened is not None else []
        self.created += [extension.created] if extension.created is not None else []

    def _fill(self, what: str, table: dict[str, T], extension: ImapExtension, declared: Sequence[Any]) -> None:
        for one in declared:
            self._put(what, table, extension, one.name.upper(), one)

    def _put(self, what: str, table: dict[str, T], extension: ImapExtension, name: str, declared: T) -> None:
        other = self._declared_by.setdefault((what, name), extension.name)
        if name in table:
            self.taken.append(NameTaken(what, name, extension.name, other))
        else:
            table[name] = declared

    def _part_of(self, item: FetchItem) -> Text | SectionItem:
        return self.fetch_attributes[item.name].part(item.argument)

    def capabilities(self, standing: Standing) -> bytes:
        """The capability list of a connection in this state; a word of several extensions is listed once."""
        words = [word for _, capabilities in self._capabilities for word in capabilities(standing)]
        return " ".join(dict.fromkeys(words)).encode("ascii")

    def streaming(self, line: bytes) -> ImapCommand | None:
        """The command that this line begins, if its literals may be messages; None for all others."""
        declared = self.commands.get(command_name(line))
        return declared if declared is not None and declared.message_reader is not None else None

    def has_messages(self, line: bytes) -> bool:
        """Whether the literals of the command that this line begins may be messages."""
        return self.streaming(line) is not None

    def parse(
        self, pieces: Sequence[bytes], limits: GrammarLimits = DEFAULT_LIMITS, *, utf8: bool = False
    ) -> tuple[ImapCommand, Command]:
        """The command in ``pieces``; ``utf8``: the client has enabled UTF-8.

        PeerError: not a command, or more than ``limits`` allow; UnknownCharset; UnsupportedUse.
        """
        cursor = Cursor(pieces, limits, self, utf8=utf8)
        tag = cursor.tag()
        cursor.space()
        name = cursor.word("a command")
        if name == _UID:
            # uid = "UID" SP (copy / fetch / search / store)   ; RFC 3501 §9
            cursor.space()
            name = f"UID {cursor.word('a command')}"
        declared = self.commands.get(name)
        if declared is None:
            raise PeerError("Unknown command")
        command = declared.parse(cursor, tag)
        cursor.end()
        return declared, command
