"""An IMAP extension, declared once: values that declare its elements, the states in which they are legal, and their
effect.

All of IMAP's syntax is declared this way, including the commands of RFC 3501. The built-in extensions are in
:mod:`pymailsuite.imap.extensions` and are found as plugins, like those of other packages.
:mod:`pymailsuite.imap.vocabulary` builds from all of them the tables by which the server parses commands, runs them and
lists its capabilities.
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
from pymailsuite.imap.values import Command, Fetch, FetchItem, SearchProgram
from pymailsuite.interfaces import Column, Mailbox

# Functions that take a context, a pymailsuite.imap.context.Context, are declared to take Any: contexts import the
# vocabulary, so that declarations cannot import contexts.


@frozen(eq=False)
class ImapCommand:
    """A command. ``UID FETCH`` is a command of its own, beside ``FETCH``.

    ``parse`` reads the text after the name, beginning with a space, and takes the tag. ``run`` takes the context and
    the parsed command, in one of ``states``. It puts untagged replies into ``context.out`` and returns the completion
    without its tag (``OK ...``), or None if the command goes on; or it raises a :class:`~pymailsuite.errors.MailError`,
    which becomes NO or BAD.
    """

    name: str
    states: frozenset[State]
    run: Callable[[Any, Any], Awaitable[bytes | None]]
    parse: Callable[[Cursor, str], Command] = field(default=lambda _, tag: Command(tag))
    """As it is: nothing follows the name."""
    holds_numbers: bool = False
    """It uses sequence numbers, so no EXPUNGE may be sent with its replies. Source: RFC 3501 §7.4.1."""
    after: Callable[[Any], None] | None = None
    """Called with the context after the completion was sent: begins TLS, or ends the session for LOGOUT."""
    message_reader: Callable[[bytes], Any] | None = None
    """Returns, for a tag, the ``MessageReader`` of a command whose literals may be messages, which are streamed. A
    command in which no message came as a literal is parsed and run like any other."""


def no_argument(_: Cursor) -> None:
    """The parser of a command without arguments."""


@frozen(eq=False)
class FetchAttribute:
    """A FETCH attribute: its values are rendered for many messages at once, in a reader thread.

    ``part`` takes the value that ``parse`` read after the name (a section, a list of options), and returns how it is
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
    """A modifier of FETCH (RFC 4466 §2.4). ``parse`` reads the text after its name, beginning with a space.

    ``narrow`` takes the context, the places of the messages in the set and the parsed value, and returns the selected
    places.
    """

    name: str
    parse: Callable[[Cursor], Any] = no_argument
    narrow: Callable[[Any, Spans, Any], Spans] | None = None
    adds: tuple[FetchItem, ...] = ()
    """Data items that it adds, as if the client had requested them."""
    before: Callable[[Any, Fetch], Awaitable[None]] | None = None
    """Awaited with the context and the command, before the messages are chosen. PeerError if the modifier is not
    allowed there; its replies precede the FETCH responses."""
    is_last: bool = False
    """It narrows what all others have left over."""


@frozen(eq=False)
class SelectParameter:
    """A parameter of SELECT and EXAMINE (RFC 4466 §2.1). ``use`` is called with the context and the value that
    ``parse`` read after the name, before the mailbox is opened."""

    name: str
    use: Callable[[Any, Any], None]
    parse: Callable[[Cursor], Any] = no_argument
    answer: Callable[[Any, Any], Awaitable[None]] | None = None
    """Awaited with the same arguments after the mailbox was opened: its replies follow those of SELECT."""


@frozen(eq=False)
class SearchKey:
    """A key of SEARCH. ``parse`` reads its arguments, the space before them already read; ``bare`` is the meaning of a
    key without any, in place of it."""

    name: str
    parse: Callable[[KeyReader], SearchProgram] | None = None
    bare: SearchProgram | None = None


@frozen(eq=False)
class SearchReturn:
    """A word of ``RETURN`` of SEARCH (RFC 4731) and SORT (RFC 5267), and what reads the argument behind it, beginning
    with a space."""

    name: str
    parse: Callable[[Cursor], Any] = no_argument
    is_told: bool = True
    """The ESEARCH response has an item of that name."""
    before: Callable[[Any, Any], None] | None = None
    """Called with the context and the command, before the search. PeerError if the word is not allowed there."""
    after: Callable[[Any, Any, Callable[[], Any]], None] | None = None
    """Called with the context, the command and what makes a :class:`~pymailsuite.imap.updates.SearchUpdates` of what
    it found, behind its ESEARCH response."""


@frozen(eq=False)
class StatusItem:
    """An item of STATUS. ``value`` takes the context and the mailbox; for LIST it is called in a reader thread."""

    name: str
    value: Callable[[Any, Mailbox], int | str]
    asked: Callable[[Any], None] | None = None
    """Called with the context when a client has asked for it."""
    first: Callable[[Any, Mailbox], Awaitable[Mailbox]] | None = None
    """Awaited by STATUS with the mail that the mailbox is in, and the mailbox: the mailbox with what the value needs.
    LIST makes the value without it."""


@frozen(eq=False)
class ListSelection:
    """A selection option of LIST (RFC 5258 §3.1). ``meets`` takes a name, its mailbox if it exists, and whether it is
    subscribed; None: the option selects nothing by itself."""

    name: str
    meets: Callable[[str, Mailbox | None, bool], bool] | None = None


@frozen(eq=False)
class ListReturn:
    """A return option of LIST (RFC 5258 §3.2). ``line`` takes the context, the name that a client has for a listed
    mailbox, the mailbox, and the value that ``parse`` read after the option; its result is sent after the mailbox's own
    line. None: the data of the option are sent in any case."""

    name: str
    parse: Callable[[Cursor], Any] = no_argument
    line: Callable[[Any, str, Mailbox, Any], bytes] | None = None
    asked: Callable[[Any, Any], None] | None = None
    """Called with the context and the argument when a client has asked for it."""
    before: Callable[[Any, Any], Awaitable[Any]] | None = None
    """Awaited with the same before the mailboxes are listed; its result is what ``line`` takes for the value."""


@frozen
class Standing:
    """The state of a connection that its capabilities depend on."""

    settings: ImapSettings
    offers_tls: bool
    secure: bool
    plaintext: bool
    """A password may be sent in plain text."""
    logged_in: bool
    compressed: bool = False
    """COMPRESS has been used on the connection (RFC 4978)."""
    annotates: bool = True
    """The store keeps annotations."""
    shares: bool = True
    """The store lets users share mailboxes."""
    mechanisms: tuple[str, ...] = ()
    """Names of the SASL mechanisms for logins, best first."""


Capabilities = Callable[[Standing], Iterable[str]]


def always(*words: str) -> Capabilities:
    """Capabilities in every state."""
    return lambda _: words


def after_login(*words: str) -> Capabilities:
    """Capabilities that are listed only after login."""
    return lambda standing: words if standing.logged_in else ()


class IImapExtension(Interface):
    """See :class:`ImapExtension`."""

    name = Attribute("What it is called in the log.")


@implementer(IPlugin, IImapExtension)
@frozen(eq=False)
class ImapExtension:
    """All elements of one extension; a plugin is one of these. Of two elements with the same name the first counts.

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
    search_returns: tuple[SearchReturn, ...] = ()
    status_items: tuple[StatusItem, ...] = ()
    list_selections: tuple[ListSelection, ...] = ()
    list_returns: tuple[ListReturn, ...] = ()
    enables: Mapping[str, Callable[[Any], None]] = field(factory=dict)
    """The effect of ENABLE of a capability (RFC 5161); called with the context."""
    opened: Callable[[Any, Mailbox], bytes] | None = None
    """Additional lines of SELECT and EXAMINE, made from the context and the mailbox; such as ``* OK [CODE] ...``."""
    created: Callable[[Any, Mailbox], str] | None = None
    """A response code, with its brackets, for the OK of CREATE; made from the context and the mailbox."""
