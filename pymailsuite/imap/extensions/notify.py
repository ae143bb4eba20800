"""NOTIFY: a client says what it wants to be told unasked, of which mailboxes. Source: RFC 5465.

Of messages in mailboxes that are not selected, STATUS tells; of mailboxes and subscriptions, LIST. Annotations of
messages do not exist here.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pymailsuite.errors import PeerError, Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.fetch import fetch_items
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.notifier import Notifier
from pymailsuite.imap.states import AFTER_LOGIN
from pymailsuite.imap.unsolicited import MESSAGE_EVENTS, Event, EventGroup, Scope, SelectedEvents, Wishes
from pymailsuite.imap.values import Command, FetchItem

_EVENTS: Final = {event.value.upper(): event for event in Event}
_NOT_KNOWN: Final = frozenset({"ANNOTATIONCHANGE", "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"})
_NAMED: Final = frozenset({Scope.SUBTREE, Scope.MAILBOXES})
_BOTH: Final = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE})


class UnknownEvent(Refusal):
    """An event of the RFC that does not happen here. Source: RFC 5465 §5."""

    imap_code = f"BADEVENT ({' '.join(event.value for event in Event)})"
    text = "There are no such events"


@frozen
class Notify(Command):
    """RFC 5465 §3; NOTIFY NONE has empty wishes. ``has_unknown``: an event was named that does not happen here."""

    wishes: Wishes
    with_status: bool = False
    has_unknown: bool = False


class _Reader:
    """Reads the groups of a NOTIFY SET."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._groups: list[EventGroup] = []
        self._selected: SelectedEvents | None = None
        self._items: tuple[FetchItem, ...] = ()
        self._names = 0
        self.has_unknown = False

    def wishes(self) -> Wishes:
        """What was read."""
        return Wishes(self._selected or SelectedEvents(), tuple(self._groups))

    def read_group(self) -> None:
        """Read the next one."""
        # event-group = "(" filter-mailboxes SP events ")"   ; RFC 5465 §8
        cursor = self._cursor
        cursor.take(b"(", "a group of events")
        word = cursor.word("which mailboxes")
        if word in {"SELECTED", "SELECTED-DELAYED"}:
            if self._selected is not None:
                raise PeerError("The selected mailbox is named twice")
            cursor.space()
            events = self._events(of_selected=True)
            self._selected = SelectedEvents(events, word == "SELECTED", self._items)
        else:
            scope = next((scope for scope in Scope if scope.value == word), None)
            if scope is None:
                raise PeerError("Expected which mailboxes")
            if len(self._groups) >= cursor.limits.event_groups:
                raise PeerError("Too many groups of events")
            cursor.space()
            names = self._mailboxes() if scope in _NAMED else frozenset()
            self._groups.append(EventGroup(scope, self._events(of_selected=False), names))
        if not cursor.try_close():
            raise PeerError("Expected the end of the group")

    def _mailboxes(self) -> frozenset[str]:
        # one-or-more-mailbox = mailbox / many-mailboxes
        # many-mailboxes = "(" mailbox *(SP mailbox) ")"
        cursor = self._cursor
        names = []
        if cursor.sees(b"("):
            names = [cursor.mailbox() for _ in cursor.listed(cursor.limits.event_mailboxes, "mailboxes")]
        else:
            names.append(cursor.mailbox())
        if not names:
            raise PeerError("Expected a mailbox")
        self._names += len(names)
        if self._names > cursor.limits.event_mailboxes:
            raise PeerError("Too many mailboxes")
        cursor.space()
        return frozenset(names)

    def _events(self, *, of_selected: bool) -> frozenset[Event]:
        # events = ("(" event *(SP event) ")") / "NONE"
        cursor = self._cursor
        if not cursor.sees(b"("):
            if cursor.word("events") != "NONE":
                raise PeerError("Expected events")
            return frozenset()
        found: set[Event] = set()
        for _ in cursor.listed(len(_EVENTS) + len(_NOT_KNOWN), "events"):
            word = cursor.word("an event")
            event = _EVENTS.get(word)
            if event is None and word not in _NOT_KNOWN:
                raise PeerError("Unknown event")
            if event is None:
                self.has_unknown = True
                continue
            if of_selected and event not in MESSAGE_EVENTS:
                raise PeerError("That is no event of messages")
            found.add(event)
            if event is Event.MESSAGE_NEW and of_selected and cursor.sees(b" ("):
                # message-event = ("MessageNew" [SP "(" fetch-att *(SP fetch-att) ")" ])
                cursor.space()
                self._items = fetch_items(cursor)
        # RFC 5465 §5: who is told of one must be told of the other, and flags are of no use without both.
        if found & MESSAGE_EVENTS and not found >= _BOTH:
            raise PeerError("MessageNew and MessageExpunge must both be asked for")
        if not found and not self.has_unknown:
            raise PeerError("Expected an event")
        return frozenset(found)


def _parse(cursor: Cursor, tag: str) -> Notify:
    # notify = "NOTIFY" SP ("SET" [SP "STATUS"] 1*(SP event-group) / "NONE")   ; RFC 5465 §8
    cursor.space()
    word = cursor.word("SET or NONE")
    if word == "NONE":
        return Notify(tag, Wishes())
    if word != "SET":
        raise PeerError("Expected SET or NONE")
    cursor.space()
    with_status = not cursor.sees(b"(")
    if with_status:
        if cursor.word("STATUS") != "STATUS":
            raise PeerError("Expected STATUS")
        cursor.space()
    reader = _Reader(cursor)
    reader.read_group()
    # Clients leave the space out, since examples of drafts did.
    while cursor.try_space() or cursor.sees(b"("):
        reader.read_group()
    return Notify(tag, reader.wishes(), with_status, reader.has_unknown)


async def _notify(context: Context, command: Notify) -> bytes:
    if command.has_unknown:
        raise UnknownEvent()
    notifier = Notifier(context, command.wishes.with_names(context.places.kept_above))
    try:
        await notifier.begin(command.with_status)
    except BaseException:
        notifier.end()
        raise
    context.tell_unasked(notifier)
    return b"OK NOTIFY completed"


NOTIFY = ImapExtension(
    "NOTIFY", after_login("NOTIFY"), commands=(ImapCommand("NOTIFY", AFTER_LOGIN, _notify, _parse),), position=27
)
