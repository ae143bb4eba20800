"""Tells a client unasked what happens to mailboxes that it has not selected, from the change logs of their accounts.

A notice says that the account has moved on; the log says what happened since the client was last told. What happened
between two answers is told once, as the state in which the mailbox is now. Source: RFC 5465 §5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from attrs import define, field

from pymailsuite.errors import LimitReached, NoSuchAccount, NoSuchMailbox
from pymailsuite.imap.commands.fetching import fetch
from pymailsuite.imap.commands.mailboxes import status_reply, uses_of
from pymailsuite.imap.context import Context
from pymailsuite.imap.render import list_line
from pymailsuite.imap.unsolicited import MESSAGE_EVENTS, Event, SelectedEvents, Wishes
from pymailsuite.imap.values import Fetch, SequenceSet
from pymailsuite.interfaces import AccountChanges, ChangedMailbox, Mailbox
from pymailsuite.interfaces.rights import Right
from pymailsuite.values import AccountId, MailboxId, ModSeq

_OVERFLOW: Final = b"* OK [NOTIFICATIONOVERFLOW] Too much has happened to tell of it\r\n"

_MAILBOXES_A_TURN: Final = 200
"""Of each it is found out which of the client's groups mean it."""

# Names of mailboxes are here those under which subscriptions are kept (imap.naming): one form for whosever mailboxes.


@define
class _Followed:
    """A mailbox as the client was told of it last."""

    name: str
    uid_next: int
    messages: int
    modseq: int


@define(eq=False)
class _Watched:
    """An account, whose IAccountMail for the user is ``mail``. ``above`` is what the names of its mailboxes begin with.

    The client has been told of all that happened up to ``told``; up to ``noticed`` something has happened.
    """

    mail: Any
    above: str = ""
    told: int = 0
    noticed: int = 0
    followed: dict[MailboxId, _Followed] = field(factory=dict)
    stop: Callable[[], None] = lambda: None

    @property
    def is_own(self) -> bool:
        """Whether it is the user's own account."""
        return not self.above

    @property
    def is_behind(self) -> bool:
        """Whether something may have happened of which the client was not told."""
        return self.noticed > self.told


class Notifier:
    """What one client is told unasked, after :meth:`begin`. Accounts are watched until :meth:`end`."""

    def __init__(self, context: Context, wishes: Wishes) -> None:
        self.wishes = wishes
        self._context = context
        self._subscribed: set[str] = set()
        self._watched: dict[AccountId, _Watched] = {}

    async def begin(self, with_status: bool) -> None:
        """Learn how all mailboxes stand now; ``with_status``: tell it, too (RFC 5465 §3.1).

        LimitReached if these are mailboxes of too many accounts.
        """
        if not self.wishes.groups:
            return
        mail = self._context.mail
        if self.wishes.needs_subscriptions:
            self._subscribed = set(await mail.subscriptions())
        self._context.out += await self._watch(_Watched(mail), with_status)
        self._context.out += await self._watch_others(with_status)

    async def _watch_others(self, with_status: bool) -> list[bytes]:
        """Watch the accounts of others whose mailboxes are meant; the lines that tell how these stand."""
        if not self.wishes.may_mean_others:
            return []
        lines: list[bytes] = []
        places = self._context.places
        for shared in await places.visible():
            account_id = shared.owner.account_id
            above, name = places.kept_of_others(shared.owner, shared.mailbox.name)
            if account_id not in self._watched and self._events_of(name):
                if len(self._watched) > self._context.settings.notify_accounts:
                    raise LimitReached("Mailboxes of too many accounts")
                lines += await self._watch(_Watched(places.mail_of(shared.owner), above), with_status)
        return lines

    async def _watch(self, account: _Watched, with_status: bool) -> list[bytes]:
        context, account_id = self._context, account.mail.account_id
        self._watched[account_id] = account

        def take_notice(modseq: ModSeq) -> None:
            account.noticed = max(account.noticed, modseq)
            if self.owes_news:
                context.connection.wake()

        account.stop = context.watch_account(account_id, take_notice)
        try:
            modseqs = await context.shared.store.modseqs([account_id])
            mailboxes: Sequence[Mailbox] = await account.mail.mailboxes()
        except BaseException:
            # Watched without knowing how it stands, it would be told of from its beginning.
            account.stop()
            self._watched.pop(account_id, None)
            raise
        account.told = modseqs.get(account_id, 0)
        lines: list[bytes] = []
        for place, mailbox in enumerate(mailboxes, 1):
            if place % _MAILBOXES_A_TURN == 0:
                await context.connection.next_turn()
            name = account.above + mailbox.name
            if self._follow(account, mailbox) and with_status and not self._is_selected(mailbox):
                lines.append(self._status(name, mailbox))
        return lines

    def _follow(self, account: _Watched, mailbox: Mailbox) -> bool:
        """Note how a mailbox stands that events are asked of. True if events of its messages are, and may be told."""
        events = self._events_of(account.above + mailbox.name)
        if events:
            account.followed[mailbox.mailbox_id] = _Followed(
                account.above + mailbox.name, mailbox.uid_next, mailbox.messages, mailbox.highest_modseq
            )
        return bool(events & MESSAGE_EVENTS) and mailbox.selectable and Right.READ in mailbox.rights

    def end(self) -> None:
        """The client is told nothing more; harmless afterwards."""
        for account in self._watched.values():
            account.stop()
        self._watched.clear()

    @property
    def selected(self) -> SelectedEvents:
        """What the client is told of the selected mailbox."""
        return self.wishes.selected

    @property
    def owes_news(self) -> bool:
        """Whether something may have happened that the client is to be told of."""
        return any(account.is_behind for account in self._watched.values())

    async def tell(self) -> None:
        """Put the next answer of a change log into the replies; more may follow."""
        account = next((account for account in self._watched.values() if account.is_behind), None)
        if account is None:
            return
        try:
            changes: AccountChanges = await account.mail.account_changes(ModSeq(account.told))
        except NoSuchAccount:
            # Another's, which has been removed.
            changes = AccountChanges(ModSeq(account.noticed), is_complete=False)
        try:
            if changes.is_complete:
                lines = await self._lines(account, changes)
            elif account.is_own:
                lines = self._overflow()
            else:
                lines = await self._compared(account)
        except LimitReached:
            # A subscription was added, and with it one account too many: asked again it would be the same.
            lines = self._overflow()
        account.told = changes.modseq
        if changes.has_more:
            account.noticed = max(account.noticed, changes.modseq + 1)
        self._context.out += lines

    def _overflow(self) -> list[bytes]:
        """RFC 5465 §5.8: from here on it is as after NOTIFY NONE."""
        self.wishes = Wishes()
        self.end()
        return [_OVERFLOW]

    async def _lines(self, account: _Watched, changes: AccountChanges) -> list[bytes]:
        lines: list[bytes] = []
        for mailbox_id, name in changes.gone.items():
            account.followed.pop(mailbox_id, None)
            lines += self._of_gone(account.above + name)
        for changed in changes.mailboxes:
            lines += self._of_name(account, changed)
        for name, is_subscribed in changes.subscriptions.items():
            lines += await self._of_subscription(name, is_subscribed)
        for mailbox in changes.messages_in:
            lines += self._of_messages(account, mailbox)
        return lines

    async def _compared(self, account: _Watched) -> list[bytes]:
        """For an account of another where mailboxes have gone, or rights have changed: what differs from what the
        client was told."""
        lines: list[bytes] = []
        try:
            mailboxes: Sequence[Mailbox] = await account.mail.mailboxes()
        except NoSuchAccount:
            mailboxes = ()
        before, account.followed = account.followed, {}
        for mailbox in mailboxes:
            known = before.pop(mailbox.mailbox_id, None)
            if known is None or known.name != account.above + mailbox.name:
                old_name = None if known is None else known.name.removeprefix(account.above)
                lines += self._of_name(account, ChangedMailbox(mailbox, known is None, old_name))
            if known is not None:
                account.followed[mailbox.mailbox_id] = known
            if known is None or known.modseq != mailbox.highest_modseq:
                lines += self._of_messages(account, mailbox)
        for known in before.values():
            lines += self._of_gone(known.name)
        return lines

    def _of_gone(self, name: str) -> Iterable[bytes]:
        """RFC 5465 §5.4."""
        if Event.MAILBOX_NAME in self._events_of(name):
            yield self._list_line(name, ["\\NonExistent"])

    def _of_name(self, account: _Watched, changed: ChangedMailbox) -> Iterable[bytes]:
        """RFC 5465 §5.4."""
        mailbox, name = changed.mailbox, account.above + changed.mailbox.name
        old_name = None if changed.old_name is None else account.above + changed.old_name
        events = self._events_of(name) | (self._events_of(old_name) if old_name else frozenset())
        if Event.MAILBOX_NAME in events:
            attributes = [] if mailbox.selectable else ["\\Noselect"]
            attributes += uses_of(mailbox)
            yield self._list_line(name, attributes, old_name)

    async def _of_subscription(self, name: str, is_subscribed: bool) -> list[bytes]:
        """RFC 5465 §5.5; a subscribed name need not exist."""
        # Before and after: a mailbox may be meant because it is subscribed.
        events = self._events_of(name)
        (self._subscribed.add if is_subscribed else self._subscribed.discard)(name)
        lines: list[bytes] = []
        if Event.SUBSCRIPTION_CHANGE in events | self._events_of(name):
            attributes = ["\\Subscribed"] if is_subscribed else []
            try:
                place = await self._context.places.find(self._wire(name))
                await place.mail.mailbox(place.name)
            except NoSuchMailbox:
                attributes.append("\\NonExistent")
            lines.append(self._list_line(name, attributes))
        return lines + await self._watch_others(with_status=False)

    def _of_messages(self, account: _Watched, mailbox: Mailbox) -> Iterable[bytes]:
        """RFC 5465 §5.1 to §5.3."""
        known = account.followed.get(mailbox.mailbox_id)
        if not self._follow(account, mailbox) or self._is_selected(mailbox):
            return
        name = account.above + mailbox.name
        has_other_messages = known is None or (known.uid_next, known.messages) != (mailbox.uid_next, mailbox.messages)
        if has_other_messages or Event.FLAG_CHANGE in self._events_of(name):
            yield self._status(name, mailbox)

    def _status(self, name: str, mailbox: Mailbox) -> bytes:
        items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY"]
        if Event.FLAG_CHANGE in self._events_of(name):
            items.append("UNSEEN")
        if self._context.condstore:
            items.append("HIGHESTMODSEQ")
        return status_reply(self._context, self._wire(name), mailbox, items)

    def _events_of(self, name: str) -> frozenset[Event]:
        return self.wishes.events_of(name, self._subscribed)

    def _wire(self, name: str) -> str:
        return self._context.places.wire_of_subscription(name)

    def _list_line(self, name: str, attributes: Collection[str], old_name: str | None = None) -> bytes:
        old = None if old_name is None else self._wire(old_name)
        return list_line(self._context.places.form, self._wire(name), attributes, old_name=old)

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
