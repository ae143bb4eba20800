"""Tells a client unasked what happens to mailboxes that it has not selected, from the account's change log.

A notice says that the account has moved on; the log says what happened since the client was last told. What happened
between two answers is told once, as the state in which the mailbox is now. Source: RFC 5465 §5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from pymailsuite.errors import NoSuchMailbox
from pymailsuite.imap.commands.fetching import fetch
from pymailsuite.imap.commands.mailboxes import status_reply
from pymailsuite.imap.context import Context
from pymailsuite.imap.render import list_line
from pymailsuite.imap.unsolicited import MESSAGE_EVENTS, Event, SelectedEvents, Wishes
from pymailsuite.imap.values import Fetch, SequenceSet
from pymailsuite.interfaces import AccountChanges, ChangedMailbox, Mailbox
from pymailsuite.values import MailboxId, ModSeq

_OVERFLOW: Final = b"* OK [NOTIFICATIONOVERFLOW] Too much has happened to tell of it\r\n"


class Notifier:
    """What one client is told unasked, after :meth:`begin`. The account is watched until :meth:`end`."""

    def __init__(self, context: Context, wishes: Wishes) -> None:
        self.wishes = wishes
        self._context = context
        self._noticed = ModSeq(0)
        self._told = ModSeq(0)
        """The client has been told of all that happened up to this."""
        self._known: dict[MailboxId, tuple[int, int]] = {}
        """UIDNEXT and the number of messages, as they were then, of mailboxes whose messages the client follows."""
        self._subscribed: set[str] = set()
        self._stop: Callable[[], None] = context.watch_account(self._take_notice)

    async def begin(self, with_status: bool) -> None:
        """Learn how all mailboxes stand now; ``with_status``: tell it, too (RFC 5465 §3.1)."""
        context = self._context
        mail = context.mail
        modseqs = await context.shared.store.modseqs([mail.account_id])
        self._told = modseqs.get(mail.account_id, ModSeq(0))
        if self.wishes.needs_subscriptions:
            self._subscribed = set(await mail.subscriptions())
        mailboxes: list[Mailbox] = await mail.mailboxes()
        for mailbox in mailboxes:
            events = self._events_of(mailbox.name) & MESSAGE_EVENTS
            if events and mailbox.selectable:
                self._known[mailbox.mailbox_id] = (mailbox.uid_next, mailbox.messages)
                if with_status and not self._is_selected(mailbox):
                    context.out.append(self._status(mailbox, events))

    def end(self) -> None:
        """The client is told nothing more; harmless afterwards."""
        self._stop()

    def _take_notice(self, modseq: ModSeq) -> None:
        self._noticed = max(self._noticed, modseq)
        if self.owes_news:
            self._context.connection.wake()

    @property
    def selected(self) -> SelectedEvents:
        """What the client is told of the selected mailbox."""
        return self.wishes.selected

    @property
    def owes_news(self) -> bool:
        """Whether something may have happened that the client is to be told of."""
        return self._noticed > self._told and bool(self.wishes.groups)

    async def tell(self) -> None:
        """Put the next answer of the change log into the replies; more may follow."""
        context = self._context
        changes: AccountChanges = await context.mail.account_changes(self._told)
        if not changes.is_complete:
            # RFC 5465 §5.8: from here on it is as after NOTIFY NONE.
            self.wishes = Wishes()
            context.out.append(_OVERFLOW)
            return
        self._told = changes.modseq
        if changes.has_more:
            self._noticed = max(self._noticed, ModSeq(changes.modseq + 1))
        context.out += await self._lines(changes)

    async def _lines(self, changes: AccountChanges) -> list[bytes]:
        lines: list[bytes] = []
        for mailbox_id, name in changes.gone.items():
            self._known.pop(mailbox_id, None)
            if Event.MAILBOX_NAME in self._events_of(name):
                lines.append(self._list_line(name, ["\\NonExistent"]))
        for changed in changes.mailboxes:
            lines += self._of_name(changed)
        for name, is_subscribed in changes.subscriptions.items():
            # Before and after: a mailbox may be meant because it is subscribed.
            events = self._events_of(name)
            (self._subscribed.add if is_subscribed else self._subscribed.discard)(name)
            if Event.SUBSCRIPTION_CHANGE in events | self._events_of(name):
                lines.append(self._list_line(name, await self._attributes(name, is_subscribed)))
        for mailbox in changes.messages_in:
            lines += self._of_messages(mailbox)
        return lines

    def _of_name(self, changed: ChangedMailbox) -> Iterable[bytes]:
        """RFC 5465 §5.4."""
        mailbox, old_name = changed.mailbox, changed.old_name
        if Event.MAILBOX_NAME not in self._events_of(mailbox.name) | (self._events_of(old_name) if old_name else set()):
            return
        attributes = [] if mailbox.selectable else ["\\Noselect"]
        if mailbox.special_use is not None:
            attributes.append(mailbox.special_use.value)
        yield self._list_line(mailbox.name, attributes, old_name)

    async def _attributes(self, name: str, is_subscribed: bool) -> Collection[str]:
        """RFC 5465 §5.5; a subscribed name need not exist."""
        attributes = ["\\Subscribed"] if is_subscribed else []
        try:
            await self._context.mail.mailbox(name)
        except NoSuchMailbox:
            attributes.append("\\NonExistent")
        return attributes

    def _of_messages(self, mailbox: Mailbox) -> Iterable[bytes]:
        """RFC 5465 §5.1 to §5.3."""
        events = self._events_of(mailbox.name) & MESSAGE_EVENTS
        if not events or not mailbox.selectable:
            return
        known = self._known.get(mailbox.mailbox_id)
        now = self._known[mailbox.mailbox_id] = (mailbox.uid_next, mailbox.messages)
        if (known != now or Event.FLAG_CHANGE in events) and not self._is_selected(mailbox):
            yield self._status(mailbox, events)

    def _status(self, mailbox: Mailbox, events: Collection[Event]) -> bytes:
        items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY"]
        if Event.FLAG_CHANGE in events:
            items.append("UNSEEN")
        if self._context.condstore:
            items.append("HIGHESTMODSEQ")
        return status_reply(self._context, self._context.places.wire_of_subscription(mailbox.name), mailbox, items)

    def _events_of(self, name: str) -> frozenset[Event]:
        return self.wishes.events_of(name, self._subscribed)

    def _list_line(self, name: str, attributes: Collection[str], old_name: str | None = None) -> bytes:
        places = self._context.places
        wire = places.wire_of_subscription
        old = None if old_name is None else wire(old_name)
        return list_line(places.form, wire(name), attributes, old_name=old)

    def _is_selected(self, mailbox: Mailbox) -> bool:
        view = self._context.view
        return view is not None and view.is_of(mailbox)

    async def tell_new(self, count: int) -> None:
        """Tell the data items that were asked for of the last ``count`` messages of the view. Source: RFC 5465 §5.2."""
        items = self.wishes.selected.items
        if items:
            view = self._context.selected
            numbers = SequenceSet(((view.uids[-count], view.uids[-1]),), uid=True)
            await fetch(self._context, Fetch("", numbers, items, uid=True))
