"""MULTISEARCH: ESEARCH looks into several mailboxes, one after the other. Source: RFC 7377.

A mailbox that is not selected is opened as EXAMINE opens it, for the time of its search. So one command holds the view
of one mailbox more, however many it names, and each read of the store is a turn of its own.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final

from attrs import field, frozen

from pymailsuite.errors import LimitReached, NoPermission, NoSuchMailbox, PeerError
from pymailsuite.imap.commands.listing import listed_mailboxes, subscribed_names
from pymailsuite.imap.commands.searching import (
    begin_search,
    check_charset,
    find,
    names_numbers,
    saving,
    searched_within_limit,
    tell_found,
    updates_of,
)
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.search import search_program, search_returns
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.message_limit import tell_limit
from pymailsuite.imap.patterns import Patterns
from pymailsuite.imap.progress import Progress
from pymailsuite.imap.selected import View
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.values import SAVE, Command, SearchProgram
from pymailsuite.interfaces import Mailbox, Selection


class Scope(enum.Enum):
    """Which mailboxes are searched. Source: RFC 7377 §2.2, RFC 5465 §6."""

    SELECTED = "SELECTED"
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    SUBTREE_ONE = "SUBTREE-ONE"
    MAILBOXES = "MAILBOXES"


_SCOPES: Final[Mapping[str, Scope]] = {scope.value: scope for scope in Scope}
_NAMED: Final = frozenset({Scope.SUBTREE, Scope.SUBTREE_ONE, Scope.MAILBOXES})
_IN: Final = re.compile(rb"IN ++(?=\()", re.IGNORECASE)
_SELECTED: Final = ((Scope.SELECTED, ""),)


@frozen
class MultiSearch(Command):
    """RFC 7377 §2. ``sources`` are scopes, each with the name of a mailbox, as the client wrote it, or nothing."""

    sources: tuple[tuple[Scope, str], ...]
    program: SearchProgram
    returns: Mapping[str, Any] = field(factory=lambda: {"ALL": None})
    charset: str | None = None
    uid: bool = True


def _parse(cursor: Cursor, tag: str) -> MultiSearch:
    # esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program   ; RFC 7377 §4
    # esearch-source-opts = "IN" SP "(" source-mbox [SP "(" scope-options ")"] ")"
    cursor.space()
    sources: tuple[tuple[Scope, str], ...] = _SELECTED
    if cursor.try_match(_IN):
        sources = tuple(dict.fromkeys(_sources(cursor)))
        if not sources:
            raise PeerError("Expected which mailboxes")
        cursor.space()
    returns = search_returns(cursor) or {"ALL": None}
    program, charset = search_program(cursor)
    return MultiSearch(tag, sources, program, returns, charset)


def _sources(cursor: Cursor) -> Iterator[tuple[Scope, str]]:
    # source-mbox = filter-mailboxes *(SP filter-mailboxes)
    for _ in cursor.listed(cursor.limits.search_mailboxes, "mailboxes"):
        scope = _SCOPES.get(cursor.word("which mailboxes"))
        if scope is None:
            raise PeerError("Expected which mailboxes")
        if scope not in _NAMED:
            yield scope, ""
            continue
        cursor.space()
        # one-or-more-mailbox = mailbox / many-mailboxes   ; RFC 5465 §8
        if cursor.sees(b"("):
            for _ in cursor.listed(cursor.limits.search_mailboxes, "mailboxes"):
                yield scope, cursor.mailbox()
        else:
            yield scope, cursor.mailbox()


async def _search(context: Context, command: MultiSearch) -> bytes:
    check_charset(context, command.charset)
    if command.sources == _SELECTED:
        if context.view is None:
            raise PeerError("No mailbox is selected")
        await saving(context, command, _search_selected(context, command, context.view))
        return b"OK ESEARCH completed"
    known = context.shared.vocabulary.search_returns
    for name in command.returns:
        if name == SAVE or known[name].after is not None:
            raise PeerError(f"{name} is for the selected mailbox")
    if names_numbers(command.program):
        raise PeerError("Sequence numbers are those of the selected mailbox")
    mailboxes = await _mailboxes(context, command)
    if len(mailboxes) > context.settings.multisearch_mailboxes:
        raise LimitReached("Too many mailboxes for one search")
    progress = Progress(context, command.tag, sum(mailbox.messages for mailbox in mailboxes.values()))
    for wire, mailbox in mailboxes.items():
        view = context.view
        if view is None or not view.is_of(mailbox):
            try:
                view = await _opened(context, wire)
            except (NoSuchMailbox, NoPermission):
                # RFC 7377 §2.2: passed over. It may have gone since it was listed, too.
                continue
        await _search_in(context, command, view, wire, progress)
        progress.before += mailbox.messages
        await context.drain()
    return b"OK ESEARCH completed"


async def _search_selected(context: Context, command: MultiSearch, view: View) -> None:
    names = [wire for wire, mailbox in (await _mailboxes(context, command)).items() if view.is_of(mailbox)]
    wire = names[0] if names else context.places.naming.profile.wire(view.name)
    await _search_in(context, command, view, wire, Progress(context, command.tag, len(view)), says_nothing=True)


async def _opened(context: Context, wire: str) -> View:
    place = await context.place(wire)
    selection: Selection = await place.mail.select(place.name, True)
    return View(place.mail, selection.mailbox, True, selection.rows)


async def _search_in(
    context: Context, command: MultiSearch, view: View, wire: str, progress: Progress, *, says_nothing: bool = False
) -> None:
    """Search one mailbox. ``says_nothing``: it is answered, too, if nothing is found."""
    begin_search(context, command)
    among, limited = searched_within_limit(context, view, command.program)
    tell_limit(context, limited)
    uids = await find(context, view, command.program, progress, among)
    if uids or says_nothing:
        name = context.places.form.mailbox(wire).decode("utf-8")
        where = f" MAILBOX {name} UIDVALIDITY {view.uid_validity}"
        await tell_found(context, view, command, uids, b"", partial(updates_of, view, command, uids), where)


async def _mailboxes(context: Context, command: MultiSearch) -> dict[str, Mailbox]:
    """Those that are meant and can hold messages, by the names that the client has for them."""
    places = context.places
    delimiter = places.form.delimiter
    listed = await listed_mailboxes(context, Patterns("", ("*",), delimiter))
    subscribed: Collection[str] = ()
    if any(scope is Scope.SUBSCRIBED for scope, _ in command.sources):
        subscribed = await subscribed_names(context)
    own = context.mail.account_id
    view = context.view
    found: dict[str, Mailbox] = {}
    for scope, name in command.sources:
        matches = _matcher(scope, name, delimiter, subscribed)
        for wire, mailbox in listed.items():
            is_meant = (
                view is not None and view.is_of(mailbox)
                if scope is Scope.SELECTED
                else matches(wire) and (scope not in _OWN or mailbox.account_id == own)
            )
            if is_meant and mailbox.selectable:
                found[wire] = mailbox
    return found


_OWN: Final = frozenset({Scope.INBOXES, Scope.PERSONAL})


def _matcher(scope: Scope, name: str, delimiter: str, subscribed: Collection[str]) -> Callable[[str], bool]:
    match scope:
        case Scope.INBOXES:
            return lambda wire: wire == "INBOX"
        case Scope.SUBSCRIBED:
            return subscribed.__contains__
        case Scope.MAILBOXES:
            return lambda wire: wire == name
        case Scope.SUBTREE | Scope.SUBTREE_ONE:
            below = name + delimiter if name else ""
            depth = 1 if scope is Scope.SUBTREE_ONE else None
            return lambda wire: (
                wire == name or (wire.startswith(below) and (depth is None or delimiter not in wire[len(below) :]))
            )
    return lambda _: True


MULTISEARCH = ImapExtension(
    "MULTISEARCH",
    after_login("MULTISEARCH"),
    commands=(ImapCommand("ESEARCH", AFTER_LOGIN, _search, _parse),),
    position=26,
)
