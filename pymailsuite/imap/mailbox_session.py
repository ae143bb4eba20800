"""The part of a session that follows the selected mailbox, and reports its changes to the client.

Notices only mark the view as out of date; the store returns the changes, and they are sent at the end of a command, or
during IDLE (RFC 3501 §5.2), or at any time to a client that asked for it (RFC 5465).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from pymailsuite.errors import MailError, NoSuchMailbox, StorageFull
from pymailsuite.imap import replies
from pymailsuite.imap.changes import changes_of
from pymailsuite.imap.context import Unsolicited
from pymailsuite.imap.languages import Language
from pymailsuite.imap.places import MailboxPlace, Places
from pymailsuite.imap.selected import View
from pymailsuite.imap.shared import Connection, Log, Shared
from pymailsuite.imap.snapshots import Snapshot
from pymailsuite.imap.states import State
from pymailsuite.imap.unsolicited import MESSAGE_EVENTS, Event, SelectedEvents
from pymailsuite.imap.values import GrammarLimits
from pymailsuite.interfaces import IImapAvatar, StoreResult
from pymailsuite.values import AccountId, ModSeq, UidSet

_NEWEST: Final = ModSeq(2**63 - 1)
_ASK_AGAIN_S: Final = 5.0
"""Seconds until the next attempt to report changes to a client that sends no command after the store failed."""

_BY_DEFAULT: Final = SelectedEvents(MESSAGE_EVENTS)
"""Of the selected mailbox, without NOTIFY. Source: RFC 5465 §1."""


class MailboxSession:
    """The output of a session, and the view of its mailbox. ``connection`` moves its octets, all sessions share
    ``shared``."""

    __slots__ = (
        "_asks_later",
        "_noticed",
        "_stop_notices",
        "avatar",
        "condstore",
        "connection",
        "is_idle",
        "language",
        "mid_response",
        "out",
        "places",
        "qresync",
        "rev2",
        "settings",
        "shared",
        "state",
        "uid_only",
        "unsolicited",
        "utf8",
        "view",
    )

    def __init__(self, shared: Shared, connection: Connection) -> None:
        self.shared = shared
        self.settings = shared.settings
        self.connection = connection
        self.state = State.NOT_AUTHENTICATED
        self.out: list[bytes] = []
        self.avatar: IImapAvatar | None = None
        self.places: Places
        """Resolves names of mailboxes; only after login."""
        self.view: View | None = None
        self._noticed = ModSeq(0)
        """The last announced modseq of the account; the view may have reached it already."""
        self._stop_notices: Callable[[], None] | None = None
        self._asks_later = False
        """The store failed to return the changes for a client that sends no command: it is asked again later."""
        self.unsolicited: Unsolicited | None = None
        """What the client is told unasked, once it has sent NOTIFY SET."""
        self.condstore = False
        """True once the client has shown that it knows of modseqs (RFC 7162 §3.1)."""
        self.qresync = False
        """True once the client has enabled QRESYNC (RFC 7162 §3.2.3)."""
        self.uid_only = False
        """True once the client has enabled UIDONLY (RFC 9586)."""
        self.utf8 = False
        """True once the client has enabled UTF-8 (RFC 6855 §3)."""
        self.rev2 = False
        """True once the client has enabled IMAP4rev2 (RFC 9051 §6.3.1)."""
        self.is_idle = False
        self.language: Language | None = None
        """The language that the client has chosen (RFC 5255 §3)."""
        self.mid_response = False
        """A response is being sent in pieces: the client would take any other octets for a part of it."""

    @property
    def log(self) -> Log:
        """The logger of the session."""
        return self.connection.log

    @property
    def mail(self) -> Any:
        """The user's own IAccountMail."""
        assert self.avatar is not None, "not logged in"
        return self.avatar.mail

    @property
    def grammar(self) -> GrammarLimits:
        """The limits of the next command."""
        return self.shared.grammar_of_uids if self.uid_only else self.shared.grammar

    @property
    def login_name(self) -> str:
        """The login name of the account."""
        assert self.avatar is not None, "not logged in"
        name: str = self.avatar.account.login_name
        return name

    @property
    def selected(self) -> View:
        """The view of the selected mailbox."""
        assert self.view is not None, "nothing is selected"
        return self.view

    # --- output

    def answer(self, status: bytes) -> None:
        """Add a status response to the replies, in the language of the client."""
        self.out.append(status if self.language is None else self.language.status(status))

    def flush(self) -> None:
        """Pass the replies so far to the protocol."""
        if self.out:
            self.connection.send_all(self.out)
            self.out.clear()

    async def drain(self) -> None:
        """Send the replies so far, and wait while the client does not read."""
        self.flush()
        waiting = self.connection.drained()
        if waiting is not None:
            self.connection.set_timeout(self.settings.write_timeout)
            await waiting

    async def let_others_in(self) -> None:
        """As :meth:`drain`, and continue after other connections have had their turn."""
        await self.drain()
        await self.connection.next_turn()

    def send_now(self, octets: bytes) -> Deferred[None] | None:
        """Send these after the replies so far; a Deferred: nothing more until the client has read."""
        self.flush()
        self.connection.send(octets)
        waiting = self.connection.drained()
        if waiting is not None:
            self.connection.set_timeout(self.settings.write_timeout)
        return waiting

    def send_part(self, octets: bytes) -> Deferred[None] | None:
        """As :meth:`send_now`, for a piece of a response: nothing else can be sent before its last piece."""
        self.mid_response = True
        return self.send_now(octets)

    def fall_silent(self) -> None:
        """Close without a further reply."""
        self.state = State.LOGOUT
        self.out.clear()
        self.connection.close()

    def end(self, words: str) -> None:
        """Send BYE and close. Source: RFC 3501 §7.1.5."""
        if self.mid_response:
            self.fall_silent()
            return
        if self.state is not State.LOGOUT:
            self.answer(replies.bye(words))
        self.state = State.LOGOUT
        self.flush()
        self.connection.close()

    # --- the selected mailbox

    def use_condstore(self) -> None:
        """The client knows of modseqs: FETCH includes them from now on. Source: RFC 7162 §3.1.

        The reply to the first command that shows it includes HIGHESTMODSEQ, as that to SELECT does."""
        if not self.condstore and self.view is not None:
            self.out.append(replies.highest_modseq(self.view))
        self.condstore = True

    def use_utf8(self) -> None:
        """The client takes UTF-8: names of mailboxes are no longer in modified UTF-7. Source: RFC 6855 §3."""
        self.utf8 = True
        self.places.form = evolve(self.places.form, utf8=True)

    def use_rev2(self) -> None:
        """Replies are those of IMAP4rev2 from now on. Source: RFC 9051 Appendix E."""
        self.use_utf8()
        self.rev2 = True
        if self.view is not None:
            self.view.forget_recent()

    def place(self, name: str) -> Awaitable[MailboxPlace]:
        """Where the name of a mailbox that is or was there leads, a name as the client wrote it. NoSuchMailbox."""
        return self.places.find(name)

    def watch(self, account_id: AccountId) -> None:
        """A mailbox of this account is about to be read: changes to the account from now on are noticed."""
        self._noticed = ModSeq(0)
        stop = self.shared.notices.subscribe(account_id, self.take_notice)
        self._stop_notices = stop
        assert self.avatar is not None
        own_id = self.avatar.account.account_id
        if account_id != own_id:
            # In a mailbox of another the user's own \Seen is announced with the user's account.
            stop_own = self.shared.notices.subscribe(own_id, self._take_own_notice)
            self._stop_notices = partial(_stop_both, stop, stop_own)

    def select(self, view: View) -> None:
        """This mailbox is selected from now on. It was read after :meth:`watch`, so that nothing is missed between."""
        view.uid_only = self.uid_only
        self.view = view
        self.state = State.SELECTED

    def deselect(self) -> None:
        """No mailbox is selected from now on; harmless if none was."""
        stop, self._stop_notices = self._stop_notices, None
        if stop is not None:
            stop()
        self._asks_later = False
        view, self.view = self.view, None
        if view is not None:
            shared = self.shared
            snapshot = view.snapshot()
            if snapshot is not None and self.avatar is not None:
                key = (self.avatar.account.account_id, view.mail.account_id, view.name)
                shared.snapshots.keep(key, snapshot)
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def snapshot_of(self, place: MailboxPlace) -> Snapshot | None:
        """The snapshot kept when a session of this user closed the mailbox."""
        assert self.avatar is not None
        return self.shared.snapshots.find((self.avatar.account.account_id, place.account_id, place.name))

    async def catch_up(self, *, claims: bool) -> None:
        """Bring a view that began with a snapshot up to date, before any of it is sent to the client."""
        view = self.selected
        changes = await changes_of(view)
        if not changes.exists:
            raise NoSuchMailbox()
        if claims or view.has_arrivals(changes):
            await self._take_recent(view)
        view.take_changes(changes)
        view.tell_expunged()

    async def arrived_in(self, place: MailboxPlace) -> None:
        """Our own command put messages into a mailbox; if it is the selected one they are reported at once.

        RFC 3501 §6.3.11. The notice of the command's own commit may come only after its result.
        """
        if self.view is not None and self.view.is_at(place.account_id, place.name):
            await self.sync_behind(expunges=True, ask=True)

    def take_result(self, result: StoreResult) -> list[int]:
        """Take the own command's changes to messages into the view; returns their places. A new keyword is reported."""
        view = self.selected
        places, new_keyword = view.take_result(result)
        if new_keyword:
            self.out.append(replies.flags_lines(view))
        return places

    def note_keywords(self, combinations: Collection[str]) -> None:
        """FLAGS is about to include these keywords, which another session may have made, and which were not reported
        yet."""
        view = self.selected
        if combinations and view.note_words(combinations):
            self.out.append(replies.flags_lines(view))

    async def sync(self, *, expunges: bool, ask: bool = False, unasked: bool = False) -> None:
        """Bring the view up to date and report the changes; ``ask`` the store even without a notice.

        Without ``expunges`` nothing is sent that would change sequence numbers; with ``unasked`` no flags that the
        client does not want to be told of.
        """
        view = self.view
        if view is None:
            return
        if not (self.stale or ask):
            self._tell(view, expunges, [], 0, False)
            await self._tell_found(view)
            return
        noticed, self._noticed = self._noticed, ModSeq(0)
        try:
            changes = await changes_of(view)
            if view.has_arrivals(changes):
                # Before the changes are taken: after that nothing may fail before they are sent.
                await self._take_recent(view)
        except BaseException:
            # After any error the changes are requested again.
            self._noticed = max(noticed, self._noticed, ModSeq(view.modseq + 1))
            raise
        if not changes.exists:
            is_own = view.mail.user_id == view.mail.account_id
            self.end("The selected mailbox was deleted" + ("" if is_own else ", or is no longer shared with you"))
            return
        places, fresh, new_keyword = view.take_changes(changes)
        if unasked and Event.FLAG_CHANGE not in self._selected_events.events:
            places = []
        self._tell(view, expunges, places, fresh, new_keyword)
        if fresh and self.unsolicited is not None:
            await self.unsolicited.tell_new(fresh)
        await self._tell_found(view)

    async def sync_unasked(self, *, expunges: bool) -> bool:
        """As :meth:`sync_behind`, for what the client has not asked for with a command."""
        return await self._done_behind(self.sync(expunges=expunges, unasked=True), expunges)

    async def sync_behind(self, *, expunges: bool, ask: bool = False) -> bool:
        """As :meth:`sync`, after a command that is done and stays done; False if the store did not return the changes.

        A client that gets NO repeats the command, so changes of other sessions are reported with a later command. Those
        of the command itself are reported all the same.
        """
        return await self._done_behind(self.sync(expunges=expunges, ask=ask), expunges)

    async def _done_behind(self, sync: Awaitable[None], expunges: bool) -> bool:
        view = self.view
        if await self._done(sync):
            return True
        if view is not None:
            self._tell(view, expunges, [], 0, False)
        return False

    async def _done(self, work: Awaitable[None]) -> bool:
        """Whether the work was done; if not, the reason is in the log."""
        try:
            await work
        except Exception as error:
            if self.connection.closing:
                raise
            if isinstance(error, (MailError, CancelledError)):
                self.log.warn("{event}: {reason}", event="imap.changes_unread", reason=str(error))
            else:
                self.log.failure(
                    "{event}: {log_failure.value}", event="imap.changes_failed", peer_ip=self.connection.peer_ip
                )
            return False
        return True

    def _tell(self, view: View, expunges: bool, places: list[int], fresh: int, new_keyword: bool) -> None:
        """Report the view's changes: places that changed, the number of new messages, and whether a keyword is new."""
        shrunk = False
        if expunges and view.owes_expunges:
            uids = view.uids
            changed = [uids[place] for place in places]
            # RFC 7162 §3.2.10, RFC 9586 §3.1
            tells_uids = self.qresync or self.uid_only
            gone_uids = view.gone_uids() if tells_uids or view.updated else UidSet()
            # RFC 5267 §4.3.4: as long as they have their numbers.
            self.out += [search.forget(view, gone_uids) for search in view.updated]
            numbers = view.tell_expunged()
            self.out += replies.vanished(gone_uids) if tells_uids else [replies.expunged(numbers)]
            places = [number - 1 for number in map(view.number_of, changed) if number]
            shrunk = bool(numbers)
        if fresh:
            self.out.append(replies.exists(view))
        elif shrunk and view.recent:
            self.out.append(b"* %d RECENT\r\n" % view.recent_count())
        if new_keyword:
            self.out.append(replies.flags_lines(view))
        if places:
            spans = [(place, place + 1) for place in places]
            uid = self.qresync and not self.uid_only
            self.out.append(replies.fetched_flags(view, spans, uid=uid, modseq=self.condstore))

    async def _tell_found(self, view: View) -> None:
        """Report what searches find, that are kept up to date, among messages that have changed. Source: RFC 5267
        §4.3."""
        for search in view.updated:
            await search.refresh(self, view)

    async def _take_recent(self, view: View) -> None:
        # RFC 3501 §2.3.2: \Recent is for one read-write session only; a read-only session does not claim it.
        if view.read_only or not view.tells_recent:
            return
        try:
            claimed: UidSet = await view.mail.claim_recent(view.mailbox_id)
        except StorageFull:
            # A full disk must not prevent reports of new messages.
            return
        view.recent = UidSet((*view.recent.ranges, *claimed.ranges))

    # --- what is told unasked

    def watch_account(self, account_id: AccountId, noticed: Callable[[ModSeq], None]) -> Callable[[], None]:
        """Have ``noticed`` called with each announced modseq of an account; returns how to stop."""
        stop: Callable[[], None] = self.shared.notices.subscribe(account_id, noticed)
        return stop

    def tell_unasked(self, unsolicited: Unsolicited | None) -> None:
        """From now on the client is told this unasked; None: what it is told without NOTIFY."""
        before, self.unsolicited = self.unsolicited, unsolicited
        if before is not None:
            before.end()

    @property
    def _selected_events(self) -> SelectedEvents:
        return _BY_DEFAULT if self.unsolicited is None else self.unsolicited.selected

    @property
    def _tells_selected(self) -> bool:
        """Whether the client wants to be told unasked of messages that come to the selected mailbox, and go."""
        return Event.MESSAGE_NEW in self._selected_events.events

    @property
    def owes_completion(self) -> bool:
        """Whether changes of the selected mailbox are to be told before the completion of a command."""
        view = self.view
        return view is not None and (self.stale or view.owes_expunges or view.owes_searches) and self._tells_selected

    def take_notice(self, modseq: ModSeq) -> None:
        """The account has changed."""
        self._noticed = max(self._noticed, modseq)
        if self.owes_news:
            self.connection.wake()

    def _take_own_notice(self, _: ModSeq) -> None:
        """The user's account has changed while a mailbox of another is selected: the store is asked what it was."""
        self.take_notice(_NEWEST)

    @property
    def stale(self) -> bool:
        """True if the account has changed since the view was brought up to date."""
        return self.view is not None and self._noticed > self.view.modseq

    @property
    def _has_changed(self) -> bool:
        """As :attr:`stale`, or changes were reported and searches that are kept up to date not asked for them."""
        return self.stale or (self.view is not None and self.view.owes_searches)

    @property
    def owes_news(self) -> bool:
        """True if there are changes to send to a client that may be told of them now: it is in IDLE, or has said by
        NOTIFY what it wants to be told at any time."""
        if self._asks_later:
            return False
        unsolicited = self.unsolicited
        if unsolicited is None:
            return self.is_idle and self._has_changed
        return (self._has_changed and self._tells_selected) or unsolicited.owes_news

    async def tell_news(self) -> None:
        """Send the changes. Source: RFC 2177 §3, RFC 5465 §3.1."""
        told = True
        if self._has_changed and self._tells_selected:
            told = await self.sync_unasked(expunges=self.is_idle or self._selected_events.at_once)
        if told and self.unsolicited is not None and self.unsolicited.owes_news:
            told = await self._done(self.unsolicited.tell())
        if not told:
            self._asks_later = True
            self.connection.wake_later(_ASK_AGAIN_S)
        self.flush()

    def woken(self) -> None:
        """The time of ``wake_later`` has passed."""
        self._asks_later = False


def _stop_both(one: Callable[[], None], other: Callable[[], None]) -> None:
    one()
    other()
