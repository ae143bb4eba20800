"""CONTEXT=SEARCH and CONTEXT=SORT: the client is told what a search finds from then on. Source: RFC 5267 §4.

``imap.updates`` keeps the results. PARTIAL is that of RFC 9394, which has all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from pymailsuite.errors import PeerError, Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, SearchReturn, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.updates import SearchUpdates, SortedUpdates
from pymailsuite.imap.values import Command

_MOST_TAGS = 100


@frozen
class CancelUpdate(Command):
    """RFC 5267 §4.3.5; ``tags`` are those of searches."""

    tags: tuple[str, ...]


def _parse(cursor: Cursor, tag: str) -> CancelUpdate:
    # command-select =/ "CANCELUPDATE" 1*(SP quoted)   ; RFC 5267 §5
    tags: list[str] = []
    while not tags or not cursor.is_at_end():
        cursor.space()
        if len(tags) == _MOST_TAGS:
            raise PeerError("Too many tags")
        tags.append(cursor.string("a tag").decode("ascii", "replace"))
    return CancelUpdate(tag, tuple(tags))


async def _cancel(context: Context, command: CancelUpdate) -> bytes:
    view = context.selected
    unknown = set(command.tags) - {search.tag for search in view.updated}
    view.updated = [search for search in view.updated if search.tag not in command.tags]
    if unknown:
        raise Refusal("No search with this tag is kept up to date")
    return b"OK CANCELUPDATE completed"


def _check_tag(context: Context, command: Any) -> None:
    # RFC 5267 §4.3: the tag names the search in all that is told of it later.
    if any(search.tag == command.tag for search in context.selected.updated):
        raise PeerError("The tag of a search that is kept up to date")


def _keep_up_to_date(context: Context, command: Any, make: Callable[[], SearchUpdates]) -> None:
    view, settings = context.selected, context.settings
    if len(view.updated) < settings.search_contexts:
        search = make()
        most = settings.search_context_messages - sum(map(len, view.updated))
        if isinstance(search, SortedUpdates):
            most = min(most, settings.sort_context_messages)
        if len(search) <= most:
            view.updated.append(search)
            return
    # RFC 5267 §4.3.1
    context.out.append(f'* NO [NOUPDATE "{command.tag}"] Too many searches or messages\r\n'.encode("ascii"))


SEARCH_CONTEXT = ImapExtension(
    "CONTEXT",
    after_login("CONTEXT=SEARCH", "CONTEXT=SORT"),
    commands=(ImapCommand("CANCELUPDATE", SELECTED, _cancel, _parse),),
    # search-return-opt =/ modifier-context / modifier-update;  CONTEXT is a hint (RFC 5267 §4.2)
    search_returns=(
        SearchReturn("CONTEXT", is_told=False),
        SearchReturn("UPDATE", is_told=False, before=_check_tag, after=_keep_up_to_date),
    ),
    position=26,
)
