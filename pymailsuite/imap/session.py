"""One client's conversation: events in, replies out, commands strictly one after the other.

The session knows nothing of sockets. The protocol asks it to take an event; where the answer needs the store, the
session gives back a coroutine (or a Deferred) and is given no further event until that has ended. Replies gather in
``out`` and leave together, the completion last. What others do to the selected mailbox is told at the end of a command,
or during IDLE (RFC 3501 §5.2): notices only mark the view as out of date, and the store says what happened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed

from pymailsuite.errors import LoginRefused, MailError, NoSuchMailbox, PeerError, StorageFull
from pymailsuite.imap import replies, values
from pymailsuite.imap.blame import ExtensionTooSlow
from pymailsuite.imap.changes import changes_of
from pymailsuite.imap.context import LineReader, MessageReader
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.grammar import parse_tag
from pymailsuite.imap.receiver import (
    CommandReceived,
    ContinuationNeeded,
    Event,
    ImapReceiver,
    LineReceived,
    LineRefused,
    LiteralRefused,
    MessageEnded,
    MessageOctets,
    MessageOffered,
)
from pymailsuite.imap.selected import View
from pymailsuite.imap.shared import Connection, Log, Shared
from pymailsuite.imap.snapshots import Snapshot
from pymailsuite.imap.states import AFTER_LOGIN, State
from pymailsuite.interfaces import IImapAvatar, StoreResult
from pymailsuite.values import ModSeq, UidSet

Doing = Coroutine[Deferred[Any], Any, None] | Deferred[None]
"""An answer that takes time."""


_ASK_AGAIN_S: Final = 5.0
"""How long a client in IDLE waits for what it is owed when the store did not answer."""


class Session:
    """One client. ``connection`` moves its octets, ``receiver`` reads them, ``shared`` is common to all clients."""

    __slots__ = (
        "_asks_later",
        "_bad_commands",
        "_line_reader",
        "_message_reader",
        "_noticed",
        "_stop_notices",
        "avatar",
        "condstore",
        "connection",
        "failed_logins",
        "is_idle",
        "log_out",
        "mid_response",
        "out",
        "receiver",
        "settings",
        "shared",
        "state",
        "view",
    )

    def __init__(self, shared: Shared, connection: Connection) -> None:
        self.shared = shared
        self.settings = shared.settings
        self.connection = connection
        self.receiver = ImapReceiver(shared.before_login)
        self.state = State.NOT_AUTHENTICATED
        self.out: list[bytes] = []
        self.avatar: IImapAvatar | None = None
        self.log_out: Callable[[], object] | None = None
        self.view: View | None = None
        self._noticed = ModSeq(0)
        """Where the account was last announced to be; the view may be there already."""
        self._stop_notices: Callable[[], None] | None = None
        self._asks_later = False
        """The store did not answer what a client in IDLE is owed: it is asked again in a while."""
        self.condstore = False
        """True once the client has shown that it knows of modseqs (RFC 7162 §3.1)."""
        self.is_idle = False
        self._line_reader: LineReader | None = None
        self._message_reader: MessageReader | None = None
        self.mid_response = False
        """A response has begun that is sent in pieces: the client takes whatever comes now for the rest of it."""
        self.failed_logins = 0
        self._bad_commands = 0

    # --- what the protocol calls

    def greet(self) -> None:
        """The first line. Source: RFC 3501 §7.1.1."""
        greeting = replies.text(self.settings.greeting)
        self.connection.send(b"* OK [CAPABILITY " + self.capabilities() + b"] " + greeting + replies.CRLF)

    def take(self, event: Event) -> Doing | None:
        """Answer an event: at once (None), or when what comes back is done."""
        match event:
            case CommandReceived(pieces):
                return self._obey(pieces)
            case MessageOctets(octets):
                assert self._message_reader is not None
                return self._message_reader.write(octets)
            case LineReceived(line):
                return self._take_line(line)
            case ContinuationNeeded():
                self.connection.send(replies.CONTINUE)
            case MessageOffered():
                return self._guard(self._tag_of(event.pieces), self._offered(event))
            case MessageEnded(rest):
                reader, self._message_reader = self._message_reader, None
                assert reader is not None
                self.connection.set_deadline(None)
                return self._guard(reader.tag, self._message_read(reader, rest))
            case LineRefused(pieces, beginning):
                self._refuse(self._tag_of_line(pieces or (beginning,)), PeerError("Command line too long"))
                self.flush()
            case LiteralRefused(pieces, skipped):
                if pieces:
                    # Without any it is a further literal of a command that was refused already.
                    self._refuse(self._tag_of(pieces), PeerError("Literal too big"))
                    self.flush()
                if not skipped:
                    self.end("Literal too big")
        return None

    def take_notice(self, modseq: ModSeq) -> None:
        """The account has moved on."""
        self._noticed = max(self._noticed, modseq)
        if self.is_idle:
            self.connection.wake()

    @property
    def stale(self) -> bool:
        """True if the account has changed since the view was brought up to date."""
        return self.view is not None and self._noticed > self.view.modseq

    @property
    def owes_news(self) -> bool:
        """True if a client in IDLE is to be told something."""
        return self.is_idle and self.stale and not self._asks_later

    async def tell_news(self) -> None:
        """Tell a client in IDLE what happened. Source: RFC 2177 §3."""
        if not await self.sync_behind(expunges=True):
            self._asks_later = True
            self.connection.wake_later(_ASK_AGAIN_S)
        self.flush()

    def woken(self) -> None:
        """The time of ``wake_later`` has passed."""
        self._asks_later = False

    def patience_s(self) -> float:
        """How long the client may be silent now. Source: RFC 3501 §5.4."""
        settings = self.settings
        if self.is_idle:
            return settings.idle_timeout
        return settings.login_timeout if self.avatar is None else settings.autologout

    def end(self, words: str) -> None:
        """Say BYE and close. Source: RFC 3501 §7.1.5."""
        if self.mid_response:
            self.fall_silent()
            return
        if self.state is not State.LOGOUT:
            self.out.append(replies.bye(words))
        self.state = State.LOGOUT
        self.flush()
        self.connection.close()

    def closed(self) -> None:
        """The connection is gone: give back what was taken."""
        self.state = State.LOGOUT
        self.deselect()
        self._abandon_message()
        if self.avatar is not None:
            self.shared.forget_login(self.avatar.account.account_id)
            self.avatar = None
        log_out, self.log_out = self.log_out, None
        if log_out is not None:
            log_out()

    def forget(self) -> int:
        """Everything from before TLS is void; answers how many octets were thrown away. Source: RFC 3501 §6.2.1."""
        self._line_reader = None
        self._bad_commands = 0
        return self.receiver.drop_unread()

    # --- what commands call

    @property
    def log(self) -> Log:
        """Where the session writes to the log."""
        return self.connection.log

    @property
    def mail(self) -> Any:
        """The account's IAccountMail."""
        assert self.avatar is not None, "not logged in"
        return self.avatar.mail

    @property
    def selected(self) -> View:
        """The view of the selected mailbox."""
        assert self.view is not None, "nothing is selected"
        return self.view

    def capabilities(self) -> bytes:
        """As they stand now."""
        return self.shared.capabilities(self.connection, logged_in=self.avatar is not None)

    def logged_in(self, avatar: IImapAvatar, log_out: Callable[[], object]) -> None:
        """The portal has let the client in."""
        self.avatar = avatar
        self.log_out = log_out
        self.state = State.AUTHENTICATED
        self.receiver.limits = self.shared.after_login
        self.connection.set_deadline(None)
        avatar.on_ended(self.connection.withdraw)

    def use_condstore(self) -> None:
        """The client knows of modseqs: FETCH tells them from now on. Source: RFC 7162 §3.1.

        The first command that shows it is answered with HIGHESTMODSEQ, as SELECT is."""
        if not self.condstore and self.view is not None:
            self.out.append(replies.highest_modseq(self.view))
        self.condstore = True

    def expect_line(self, reader: LineReader, *, idle: bool = False) -> None:
        """The next line of the client is for ``reader``; until then it is in IDLE, or owes a response."""
        self._line_reader = reader
        self.is_idle = idle
        self.receiver.expect_line()

    def end_after_reply(self) -> None:
        """LOGOUT was answered."""
        self.state = State.LOGOUT
        self.flush()
        self.connection.close()

    def flush(self) -> None:
        """Hand what was said so far to the protocol."""
        if self.out:
            self.connection.send_all(self.out)
            self.out.clear()

    async def drain(self) -> None:
        """Send what was said so far, and wait while the client does not read it."""
        self.flush()
        waiting = self.connection.drained()
        if waiting is not None:
            self.connection.set_timeout(self.settings.write_timeout)
            await waiting

    async def let_others_in(self) -> None:
        """As :meth:`drain`, and go on when other connections have had their turn."""
        await self.drain()
        await self.connection.next_turn()

    def send_now(self, octets: bytes) -> Deferred[None] | None:
        """Send these after what was said so far; a Deferred: nothing more until the client has read."""
        self.flush()
        self.connection.send(octets)
        waiting = self.connection.drained()
        if waiting is not None:
            self.connection.set_timeout(self.settings.write_timeout)
        return waiting

    def send_part(self, octets: bytes) -> Deferred[None] | None:
        """As :meth:`send_now`, for a piece of a response: until the last of it nothing else can be said."""
        self.mid_response = True
        return self.send_now(octets)

    def fall_silent(self) -> None:
        """Close without another word."""
        self.state = State.LOGOUT
        self.out.clear()
        self.connection.close()

    def watch(self) -> None:
        """A mailbox is about to be read: what happens to the account from now on is noticed."""
        assert self.avatar is not None
        self._noticed = ModSeq(0)
        self._stop_notices = self.shared.notices.subscribe(self.avatar.account.account_id, self.take_notice)

    def select(self, view: View) -> None:
        """This mailbox is selected from now on. It was read after :meth:`watch`, so that nothing is missed between."""
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
            snapshot = view.snapshot(self.connection.seconds())
            if snapshot is not None and self.avatar is not None:
                shared.snapshots.keep(self.avatar.account.account_id, view.name, snapshot)
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def snapshot_of(self, name: str) -> Snapshot | None:
        """What a session that closed this mailbox has left behind."""
        assert self.avatar is not None
        shared = self.shared
        return shared.snapshots.find(self.avatar.account.account_id, name, self.connection.seconds())

    async def catch_up(self, *, claims: bool) -> None:
        """Bring a view that began with a snapshot up to date, before the client is told anything of it."""
        view = self.selected
        changes = await changes_of(self.mail, view)
        if not changes.exists:
            raise NoSuchMailbox()
        if claims or view.has_arrivals(changes):
            await self._take_recent(view)
        view.take_changes(changes)
        view.tell_expunged()

    async def arrived_in(self, name: str) -> None:
        """Our own command put messages into a mailbox; if it is the selected one the client hears of them at once.

        RFC 3501 §6.3.11. The notice of our own commit may come only after its answer.
        """
        if self.view is not None and self.view.name == name:
            await self.sync_behind(expunges=True, ask=True)

    def take_result(self, result: StoreResult) -> list[int]:
        """What became of messages by our own command: their places. A new keyword is told."""
        view = self.selected
        places, new_keyword = view.take_result(result)
        if new_keyword:
            self.out.append(replies.flags_lines(view))
        return places

    def note_keywords(self, combinations: Collection[str]) -> None:
        """FLAGS is about to tell of these, which another session may have made and nobody told of yet."""
        view = self.selected
        if combinations and view.note_words(combinations):
            self.out.append(replies.flags_lines(view))

    async def sync(self, *, expunges: bool, ask: bool = False) -> None:
        """Bring the view up to date and say what is new; ``ask`` the store even if nothing was announced.

        Without ``expunges`` nothing is said that would move a message's number.
        """
        view = self.view
        if view is None:
            return
        if not (self.stale or ask):
            self._tell(view, expunges, [], 0, False)
            return
        noticed, self._noticed = self._noticed, ModSeq(0)
        try:
            changes = await changes_of(self.mail, view)
            if view.has_arrivals(changes):
                # Before they are taken: once they are, nothing may come between them and the client.
                await self._take_recent(view)
        except BaseException:
            # Whatever it was, it is asked for again.
            self._noticed = max(noticed, self._noticed, ModSeq(view.modseq + 1))
            raise
        if not changes.exists:
            self.end("The selected mailbox was deleted")
            return
        self._tell(view, expunges, *view.take_changes(changes))

    async def sync_behind(self, *, expunges: bool, ask: bool = False) -> bool:
        """As :meth:`sync`, behind what is done and stays done; False if the store did not say what is new.

        A client that is told NO does it again, so what others did is told with a later command. What the command itself
        brought about is told all the same.
        """
        view = self.view
        try:
            await self.sync(expunges=expunges, ask=ask)
        except Exception as error:
            if self.connection.closing:
                raise
            if isinstance(error, (MailError, CancelledError)):
                self.log.warn("{event}: {error}", event="imap.news_unanswered", error=str(error))
            else:
                self.log.failure(
                    "{event}: {log_failure.value}", event="imap.news_failed", peer_ip=self.connection.peer_ip
                )
            if view is not None:
                self._tell(view, expunges, [], 0, False)
            return False
        return True

    def _tell(self, view: View, expunges: bool, places: list[int], fresh: int, new_keyword: bool) -> None:
        """Say what the view has learnt: places that changed, how many messages are new, and if a keyword is."""
        shrunk = False
        if expunges and view.owes_expunges:
            uids = view.uids
            changed = [uids[place] for place in places]
            numbers = view.tell_expunged()
            self.out.append(replies.expunged(numbers))
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
            self.out.append(replies.fetched_flags(view, spans, uid=False, modseq=self.condstore))

    async def _take_recent(self, view: View) -> None:
        # RFC 3501 §2.3.2: \Recent is for one read-write session alone; one that only looks on takes nothing.
        if view.read_only:
            return
        try:
            claimed: UidSet = await self.mail.claim_recent(view.mailbox_id)
        except StorageFull:
            # A full disk shall not keep anybody from hearing of new messages.
            return
        view.recent = UidSet((*view.recent.ranges, *claimed.ranges))

    # --- events

    def _tag_of(self, pieces: tuple[bytes, ...]) -> bytes:
        tag = parse_tag(pieces[0]) if pieces else None
        return b"*" if tag is None else tag.encode("ascii")

    def _tag_of_line(self, pieces: tuple[bytes, ...]) -> bytes:
        """Whose line it is that is refused: of AUTHENTICATE, IDLE or APPEND, which end by that, or a new command."""
        reader = self._end_line_reader()
        self._abandon_message()
        return self._tag_of(pieces) if reader is None else reader.tag

    def _end_line_reader(self) -> LineReader | None:
        reader, self._line_reader = self._line_reader, None
        self.is_idle = False
        return reader

    async def _obey(self, pieces: tuple[bytes, ...]) -> None:
        tag = b"*"
        try:
            vocabulary = self.shared.vocabulary
            declared, command = vocabulary.parse(pieces)
            tag = command.tag.encode("ascii")
            if self.state not in declared.states:
                raise PeerError("Command not allowed in this state")
            if declared in vocabulary.foreign:
                result = await self._run_foreign(declared, command)
            else:
                result = await declared.run(self, command)
            self._bad_commands = 0
            if self.view is not None and (self.stale or self.view.owes_expunges):
                # IDLE goes on until DONE, and what it has to tell may be told at once.
                await self.sync_behind(expunges=not declared.holds_numbers)
            if result is not None and self.state is not State.LOGOUT:
                self.out.append(replies.completed(tag, result))
                if declared.after is not None:
                    declared.after(self)
        except (CancelledError, GeneratorExit):
            raise
        except Exception as error:
            self._failed(self._tag_of(pieces) if tag == b"*" else tag, error)
        self.flush()

    async def _run_foreign(self, declared: ImapCommand, command: values.Command) -> bytes | None:
        """A command of an extension of another package: its time is limited."""
        extension = self.shared.vocabulary.foreign[declared]
        too_slow = ExtensionTooSlow(cause=f"extension {extension}")
        try:
            return await self.connection.within(self.settings.extension_timeout, declared.run(self, command), too_slow)
        except ExtensionTooSlow:
            self.log.error(
                "{event}: {command} of {extension} was called off",
                event="imap.extension_too_slow",
                command=declared.name,
                extension=extension,
            )
            raise

    async def _guard(self, tag: bytes, doing: Awaitable[bytes | None]) -> None:
        """Await ``doing`` and say how it ended, if it has."""
        try:
            result = await doing
            if result is not None:
                self._bad_commands = 0
                if self.view is not None and (self.stale or self.view.owes_expunges):
                    await self.sync_behind(expunges=True)
                if self.state is not State.LOGOUT:
                    self.out.append(replies.completed(tag, result))
        except (CancelledError, GeneratorExit):
            raise
        except Exception as error:
            self._failed(tag, error)
        self.flush()

    def _take_line(self, line: bytes) -> Doing:
        """An authentication response, or the end of IDLE."""
        reader = self._end_line_reader()
        assert reader is not None, "a line was expected by nobody"
        return self._guard(reader.tag, reader.take_line(self, line))

    async def _offered(self, event: MessageOffered) -> None:
        """A message of an APPEND: take it or refuse it before its octets come."""
        reader = self._message_reader
        if reader is None:
            make = self.shared.vocabulary.commands["APPEND"].message_reader
            assert make is not None
            reader = self._message_reader = make(self._tag_of(event.pieces))
        try:
            if self.state not in AFTER_LOGIN:
                raise PeerError("Command not allowed in this state")
            await reader.offer(self, event)
        except BaseException:
            self._abandon_message()
            if not self.receiver.refuse_message():
                self.end("Literal too big")
            raise
        self.receiver.accept_message()
        self.connection.set_deadline(self.settings.append_timeout)
        if event.waits:
            self.out.append(replies.CONTINUE)

    async def _message_read(self, reader: MessageReader, rest: bytes) -> bytes:
        try:
            return await reader.store(self, rest)
        finally:
            reader.abort()

    def _abandon_message(self) -> None:
        reader, self._message_reader = self._message_reader, None
        if reader is not None:
            reader.abort()
            if self.avatar is not None:
                # One that was refused before login leaves the deadline of that.
                self.connection.set_deadline(None)

    # --- what went wrong

    def _failed(self, tag: bytes, error: Exception) -> None:
        if self.state is State.LOGOUT:
            # The client is gone or can be told nothing; a defect is still worth a line in the log.
            if not isinstance(error, (MailError, ConnectionClosed)):
                self.log.failure("{event}: {log_failure.value}", event="imap.command_failed")
            return
        if self.mid_response:
            # A tagged line would become a part of the message that the client then keeps.
            if isinstance(error, MailError):
                self.log.error(
                    "{event}: {error}", event="imap.response_cut", error=error, peer_ip=self.connection.peer_ip
                )
            else:
                self.log.failure(
                    "{event}: {log_failure.value}", event="imap.response_cut", peer_ip=self.connection.peer_ip
                )
            self.fall_silent()
            return
        if isinstance(error, MailError):
            if error.cause:
                self.log.info(
                    "{event}: {public} ({cause})", event="imap.refused", public=error.public, cause=error.cause
                )
            self._refuse(tag, error)
            return
        self.log.failure("{event}: {log_failure.value}", event="imap.command_failed", peer_ip=self.connection.peer_ip)
        self.out.append(replies.refused(tag, replies.ServerBug()))

    def _refuse(self, tag: bytes, error: MailError) -> None:
        """Say NO or BAD; a client that errs on and on is sent away."""
        self.out.append(replies.refused(tag, error))
        if isinstance(error, LoginRefused) and self.failed_logins >= self.settings.failed_logins:
            self.end("Too many failed logins")
        elif isinstance(error, PeerError):
            self._bad_commands += 1
            if self._bad_commands >= self.settings.bad_commands:
                self.end("Too many errors")
