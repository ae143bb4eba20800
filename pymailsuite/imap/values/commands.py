"""One class for each command that has arguments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from attrs import field, frozen

from pymailsuite.imap.values.errors import UnknownCharset
from pymailsuite.imap.values.fetch import FetchItem
from pymailsuite.imap.values.numbers import SequenceSet
from pymailsuite.imap.values.search import SearchProgram
from pymailsuite.values import FlagChange, Flags, SpecialUse

MATCHES_NOTHING: Final = "\0"
"""A pattern of LIST that no mailbox name matches: none has a control character."""

SAVE: Final = "SAVE"
"""The return option of SEARCH by which what it finds becomes ``$``. Source: RFC 5182."""
PARTIAL: Final = "PARTIAL"
RELEVANCY: Final = "RELEVANCY"
"""The return option of SEARCH that tells a page of what it finds. Source: RFC 9394."""

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@frozen
class Command:
    """The base of all commands: the tag, echoed in the completion. A command without arguments has nothing else."""

    tag: str


@frozen
class Authenticate(Command):
    """RFC 3501 §6.2.2; ``initial`` is the decoded initial response of RFC 4959 (``=`` is b""), None if not given."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@frozen
class Login(Command):
    """RFC 3501 §6.2.3."""

    user: str
    password: bytes = field(repr=False)


@frozen
class Select(Command):
    """RFC 3501 §6.3.1; ``parameters`` (RFC 4466 §2.4) with what stood behind each."""

    mailbox: str
    parameters: Mapping[str, Any] = _NONE


@frozen
class Examine(Command):
    """RFC 3501 §6.3.2."""

    mailbox: str
    parameters: Mapping[str, Any] = _NONE


@frozen
class Create(Command):
    """RFC 3501 §6.3.3; a delimiter at the end is still there. ``special_uses`` are USE of RFC 6154 §3."""

    mailbox: str
    special_uses: tuple[SpecialUse, ...] = ()


@frozen
class Delete(Command):
    """RFC 3501 §6.3.4."""

    mailbox: str


@frozen
class Rename(Command):
    """RFC 3501 §6.3.5."""

    old: str
    new: str


@frozen
class Subscribe(Command):
    """RFC 3501 §6.3.6."""

    mailbox: str


@frozen
class Unsubscribe(Command):
    """RFC 3501 §6.3.7."""

    mailbox: str


@frozen
class List(Command):
    """RFC 3501 §6.3.8 and RFC 5258. Options are upper case; ``returns`` are the return options with what stood behind
    each. Patterns keep ``*`` and ``%``."""

    selection: frozenset[str]
    reference: str
    patterns: tuple[str, ...]
    returns: Mapping[str, Any] = field(factory=dict)


@frozen
class Lsub(Command):
    """RFC 3501 §6.3.9."""

    reference: str
    pattern: str


@frozen
class Status(Command):
    """RFC 3501 §6.3.10; items in upper case, in the order asked for."""

    mailbox: str
    items: tuple[str, ...]


@frozen
class Search(Command):
    """RFC 3501 §6.4.4. ``returns`` None: plain ``* SEARCH``; else the options of RFC 4731 with what stood behind each
    (``RETURN ()`` is ALL).

    ``refusal`` is why a search with SAVE cannot be read: it is answered NO, and that empties what was saved (RFC 5182
    §2.1).
    """

    program: SearchProgram
    returns: Mapping[str, Any] | None = None
    charset: str | None = None
    uid: bool = False
    refusal: UnknownCharset | None = None


@frozen
class Fetch(Command):
    """RFC 3501 §6.4.5, macros expanded; ``modifiers`` (RFC 4466 §2.4) with what stood behind each."""

    numbers: SequenceSet
    items: tuple[FetchItem, ...]
    modifiers: Mapping[str, Any] = _NONE
    uid: bool = False


@frozen
class Store(Command):
    """RFC 3501 §6.4.6; ``unchanged_since`` is the modifier of RFC 7162 §3.1.3 (0 is a value, None is none)."""

    numbers: SequenceSet
    change: FlagChange
    flags: Flags
    silent: bool = False
    unchanged_since: int | None = None
    uid: bool = False


@frozen
class Copy(Command):
    """RFC 3501 §6.4.7; MOVE of RFC 6851 says the same."""

    numbers: SequenceSet
    mailbox: str
    uid: bool = False
