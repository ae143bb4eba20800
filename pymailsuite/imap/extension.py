"""An extension of IMAP, declared once: values that say what there is, where it is allowed and what it does.

Everything a client can say is declared so, the commands of RFC 3501 too. Ours are in :mod:`pymailsuite.imap.extensions`
and are found as plugins, like those of other packages. :mod:`pymailsuite.imap.vocabulary` makes of all of them the
tables by which the server reads commands, obeys them and lists its capabilities.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Any

from attrs import field, frozen
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.fetch import SectionItem, Text
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.selected import Spans
from pymailsuite.imap.states import State
from pymailsuite.imap.values import Command, FetchItem, SearchProgram
from pymailsuite.interfaces import Column, Mailbox

# What is called with a context, a pymailsuite.imap.context.Context, is declared to take Any: contexts know the
# vocabulary, so that declarations cannot know contexts.


@frozen(eq=False)
class ImapCommand:
    """A command. ``UID FETCH`` is one of its own, beside ``FETCH``.

    ``parse`` reads what stands behind the name, beginning with a space, and is given the tag. ``run`` is given the
    context and what was read, in one of ``states``. It puts untagged replies into ``context.out`` and answers with what
    follows the tag of the completion (``OK ...``), or with None if the command goes on; or it raises a
    :class:`~pymailsuite.errors.MailError`, which becomes NO or BAD.
    """

    name: str
    states: frozenset[State]
    run: Callable[[Any, Any], Awaitable[bytes | None]]
    parse: Callable[[Cursor, str], Command] = field(default=lambda _, tag: Command(tag))
    """As it is: nothing follows the name."""
    holds_numbers: bool = False
    """It names messages by number, so no EXPUNGE may be told with its replies. Source: RFC 3501 §7.4.1."""
    after: Callable[[Any], None] | None = None
    """Called with the context when the completion is on its way: what TLS begins with, or LOGOUT ends with."""
    message_reader: Callable[[bytes], Any] | None = None
    """Given the tag, the ``MessageReader`` of a command whose literals are messages that pass through."""


def no_argument(_: Cursor) -> None:
    """Nothing stands behind the name."""


@frozen(eq=False)
class FetchAttribute:
    """A FETCH attribute: its answer is made for many messages at once, in a reader thread.

    ``part`` is given what ``parse`` read behind the name (a section, a list of options), and answers how that is
    rendered: a :class:`~pymailsuite.imap.fetch.Text` of columns of the store, or a section of the message's octets.
    """

    name: str
    part: Callable[[Any], Text | SectionItem]
    parse: Callable[[Cursor], Hashable] = no_argument


def column_attribute(name: str, template: bytes, column: Column) -> FetchAttribute:
    """An attribute that is one column of the store, put into a ``%`` template."""
    return FetchAttribute(name, lambda _: Text(template, (column,), lambda batch: (batch[column],)))


@frozen(eq=False)
class FetchModifier:
    """A modifier of FETCH (RFC 4466 §2.4). ``parse`` reads what stands behind its name, beginning with a space.

    ``narrow`` is given the context, the places of the messages that were named and what was read, and answers those
    that are wanted.
    """

    name: str
    parse: Callable[[Cursor], Any] = no_argument
    narrow: Callable[[Any, Spans, Any], Spans] | None = None
    adds: tuple[FetchItem, ...] = ()
    """Data items that are told with it as if the client had named them."""


@frozen(eq=False)
class SelectParameter:
    """A parameter of SELECT and EXAMINE (RFC 4466 §2.1). ``use`` is given the context and what ``parse`` read behind
    the name, before the mailbox is opened."""

    name: str
    use: Callable[[Any, Any], None]
    parse: Callable[[Cursor], Any] = no_argument


@frozen(eq=False)
class SearchKey:
    """A key of SEARCH. ``parse`` reads its arguments, the space before them already read; ``bare`` is the meaning of a
    key without any, in place of it."""

    name: str
    parse: Callable[[KeyReader], SearchProgram] | None = None
    bare: SearchProgram | None = None


@frozen(eq=False)
class StatusItem:
    """An item of STATUS. ``value`` is given the context and the mailbox; for LIST it is called in a reader thread."""

    name: str
    value: Callable[[Any, Mailbox], int | str]
    asked: Callable[[Any], None] | None = None
    """Called with the context when a client has asked for it."""


@frozen(eq=False)
class ListSelection:
    """A selection option of LIST (RFC 5258 §3.1). ``meets`` is given a name, its mailbox if it exists, and whether it
    is subscribed; None: the option selects nothing by itself."""

    name: str
    meets: Callable[[str, Mailbox | None, bool], bool] | None = None


@frozen(eq=False)
class ListReturn:
    """A return option of LIST (RFC 5258 §3.2). ``line`` is given the context, a mailbox that was asked for and what
    ``parse`` read behind the option; what it answers is said behind the mailbox's own line. None: all that the option
    asks for is told in any case."""

    name: str
    parse: Callable[[Cursor], Any] = no_argument
    line: Callable[[Any, Mailbox, Any], bytes] | None = None
    asked: Callable[[Any, Any], None] | None = None
    """Called with the context and the argument when a client has asked for it."""


@frozen
class Standing:
    """What a client is told its capabilities by."""

    settings: ImapSettings
    offers_tls: bool
    secure: bool
    plaintext: bool
    """A password may be sent as it is."""
    logged_in: bool


Capabilities = Callable[[Standing], Iterable[str]]


def always(*words: str) -> Capabilities:
    """Capabilities in every state."""
    return lambda _: words


def after_login(*words: str) -> Capabilities:
    """Capabilities of what makes no sense before login."""
    return lambda standing: words if standing.logged_in else ()


class IImapExtension(Interface):
    """See :class:`ImapExtension`."""

    name = Attribute("What it is called in the log.")


@implementer(IPlugin, IImapExtension)
@frozen(eq=False)
class ImapExtension:
    """Everything one extension brings; a plugin is one of these. Of two things of one name the first counts.

    ``position`` orders the capabilities of all extensions.
    """

    name: str
    capabilities: Capabilities = field(default=always())
    position: int = field(default=100, kw_only=True)
    commands: tuple[ImapCommand, ...] = ()
    fetch_attributes: tuple[FetchAttribute, ...] = ()
    fetch_modifiers: tuple[FetchModifier, ...] = ()
    select_parameters: tuple[SelectParameter, ...] = ()
    search_keys: tuple[SearchKey, ...] = ()
    search_returns: tuple[str, ...] = ()
    """Words of ``RETURN`` of SEARCH (RFC 4731)."""
    status_items: tuple[StatusItem, ...] = ()
    list_selections: tuple[ListSelection, ...] = ()
    list_returns: tuple[ListReturn, ...] = ()
    enables: Mapping[str, Callable[[Any], None]] = field(factory=dict)
    """What ENABLE of a capability does (RFC 5161); called with the context."""
    opened: Callable[[Any, Mailbox], bytes] | None = None
    """Lines of SELECT and EXAMINE beside ours, made of the context and the mailbox; such as ``* OK [CODE] ...``."""
    created: Callable[[Mailbox], str] | None = None
    """A response code, with its brackets, for the OK of CREATE."""
