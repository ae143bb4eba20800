"""One POP3 session as a pure core: lines in, replies and requests out. Source: RFC 1939.

The session decides what every command means; it has no socket, clock or Deferred. Where it needs something from outside
it returns a request, and goes on when it is given the result; until then it must not be given another line, so that
replies stay in the order of their commands (PIPELINING, RFC 2449 §6.8). Deletions are only marks until QUIT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve
from twisted.cred.credentials import ICredentials
from twisted.python.failure import Failure

from pymailsuite.errors import LoginEnded, LoginRefused, MailError, PeerError
from pymailsuite.pop3 import replies
from pymailsuite.pop3.extension import Command
from pymailsuite.pop3.grammar import no_argument, parse_command, parse_numbers
from pymailsuite.pop3.replies import err, ok
from pymailsuite.pop3.requests import (
    AwaitLogin,
    CloseMaildrop,
    HoldBack,
    Listing,
    LogIn,
    Note,
    ReadMessage,
    Request,
    Service,
)
from pymailsuite.pop3.states import State
from pymailsuite.pop3.top import TopCutter
from pymailsuite.sasl import (
    Challenge,
    ChannelBinding,
    Exchange,
    Offered,
    Outcome,
    Pending,
    SaslPassword,
    ServerMechanism,
    decode_response,
    encode_challenge,
)
from pymailsuite.values import UidSet
from pymailsuite.wire.dot_stuffing import DotEncoder, dot_stuff
from pymailsuite.wire.extension import AwaitReply
from pymailsuite.wire.line_ends import LineEndEncoder, with_crlf

_LONGEST_DELAY: Final = 16
"""The longest delay of a wrong login, in multiples of the delay of the first one."""


class Pop3Session:
    """The conversation of one connection.

    ``outgoing`` collects replies and ``notes`` what to log, for the protocol to take away; ``ended`` is True once the
    connection is to be closed after the replies have been sent.
    """

    def __init__(self, service: Service, secure: bool, plaintext_login: bool = False) -> None:
        """``plaintext_login``: the client may send a password without TLS, because of where it is."""
        self.outgoing: list[bytes] = []
        self.notes: list[Note] = []
        self.ended = False
        self.state = State.AUTHORIZATION
        self.login_name = ""
        self.settings = service.settings
        self._service = service
        self.secure = secure
        self._plaintext_login = plaintext_login
        self.channel: ChannelBinding | None = None
        """The connection's TLS, once there is any, for logins that are bound to it; None: there is none to bind to."""
        self.user: bytes | None = None
        self.utf8 = False
        self._login: Exchange | None = None
        self._held_reply = b""
        self._failed_logins = 0
        self._bad_commands = 0
        self.listing = Listing(0, (), ())
        self._sizes: Sequence[int] = ()
        self._deleted: set[int] = set()
        self._count = 0
        self._octets = 0
        self._retrieved = 0
        self._listings: dict[bytes, bytes] = {}
        self._reading: ReadMessage | None = None
        self._awaiting: Command | None = None
        self._encoder = DotEncoder()
        self._line_ends: LineEndEncoder | None = None
        self._cutter: TopCutter | None = None
        self.mid_message = False
        """A message is being sent in pieces: the client would take any other reply for a part of it."""

    # --- the connection

    def greet(self) -> None:
        """Send the greeting; no timestamp in it, since APOP is not offered."""
        self._say(ok(f"{self._service.hostname} {self.settings.greeting}"))

    def tls_begun(self) -> None:
        """TLS is established: nothing from before it counts. Source: RFC 2595 §4."""
        self.secure = True
        self.user = None

    def shut_down(self) -> None:
        """The server stops: messages marked deleted are not removed."""
        self._close_with(err("server is shutting down", "SYS/TEMP"))

    def login_ended(self) -> None:
        """The password was changed, or the account closed: messages marked deleted are not removed."""
        self._close_with(replies.error_reply(LoginEnded()))

    def failed(self) -> None:
        """An unexpected error came up and the session may be out of step with the client."""
        self._close_with(err("internal error, closing connection", "SYS/TEMP"))

    def lock_lost(self) -> None:
        """The session has lost the lock: end it, and remove nothing."""
        self._close_with(err("lost the lock of the maildrop", "SYS/TEMP"))

    def _close_with(self, octets: bytes) -> None:
        if not self.mid_message:
            self._say(octets)
        self.ended = True

    def _say(self, octets: bytes) -> None:
        self.outgoing.append(octets)

    # --- lines

    def line_received(self, line: bytes) -> Request | None:
        """A command, or a line of the AUTH exchange, without its CRLF."""
        command: Command | None = None
        try:
            if self.state is State.LOGIN:
                return self._login_line(line)
            keyword, argument = parse_command(line)
            command = _COMMANDS.get(keyword) or self._service.extensions.commands.get(keyword)
            if command is None:
                self.refuse(replies.UNKNOWN)
                return None
            if self.state is not command.state and command.state is not None:
                self.refuse(replies.NOT_YET if self.state is State.AUTHORIZATION else replies.NOT_NOW)
                return None
            request: Request | None = command.handle(self, argument)
        except MailError as error:
            self._leave_login()
            self.refuse(replies.error_reply(error))
            return None
        except Exception:
            if command is None or keyword in _COMMANDS:
                raise
            self._extension_failed(command, Failure())
            return None
        if isinstance(request, AwaitReply):
            self._awaiting = command
        return request

    def replied(self, answer: bytes | Failure) -> None:
        """The result that an extension waited for with AwaitReply."""
        command, self._awaiting = self._awaiting, None
        assert command is not None, "no extension was waited for"
        if isinstance(answer, bytes):
            self.good(answer)
        elif isinstance(answer.value, MailError):
            self.refuse(replies.error_reply(answer.value))
        else:
            self._extension_failed(command, answer)

    def _extension_failed(self, command: Command, failure: Failure) -> None:
        """The handler has raised an unexpected error: the client is asked to try again later."""
        self.refuse(err("internal error, try again later", "SYS/TEMP"))
        plugin = self._service.extensions.name_of(command)
        self.notes.append(Note("extension.failed", {"plugin": plugin}, failure))

    def line_refused(self, error: MailError) -> None:
        """A line was longer than the limit."""
        self._leave_login()
        self.refuse(replies.error_reply(error))

    def refuse(self, octets: bytes) -> None:
        """Answer a command that was not in order; too many of those end the connection."""
        self._bad_commands += 1
        if self._bad_commands > self.settings.bad_commands:
            self._close_with(err("too many errors"))
        else:
            self._say(octets)

    # --- any state

    def _capa(self, argument: bytes) -> None:
        """Source: RFC 2449 §5."""
        del argument  # RFC 2449 §5 has none, and a client that gives one wants the list all the same.
        lines = self._service.extensions.offers(self)
        self.good(replies.multi_line(ok("capability list follows"), lines))

    def _quit(self, argument: bytes) -> Request | None:
        no_argument(argument)
        if self.state is State.AUTHORIZATION:
            self._close_with(ok(f"{self._service.hostname} POP3 server signing off"))
            return None
        self.state = State.UPDATE
        return CloseMaildrop(UidSet.of(self.listing.uids[index] for index in self._deleted))

    def maildrop_closed(self) -> None:
        """The marked messages are removed, and the removal is committed. Source: RFC 1939 §6."""
        left = f"{self._count} message{'' if self._count == 1 else 's'} left" if self._count else "maildrop empty"
        self._note_end(len(self._deleted))
        self._close_with(ok(f"{self._service.hostname} POP3 server signing off ({left})"))

    def removal_failed(self, error: MailError) -> None:
        """None of the marked messages was removed."""
        self._note_end(0)
        self._close_with(err("marked messages were not removed", error.pop3_code or "SYS/TEMP"))

    def _note_end(self, deleted: int) -> None:
        fields = {"login_name": self.login_name, "retrieved": self._retrieved, "deleted": deleted, "left": self._count}
        self.notes.append(Note("pop3.signed_off", fields))

    def good(self, octets: bytes) -> None:
        """Answer a command that was in order."""
        self._bad_commands = 0
        self.outgoing.append(octets)

    # --- AUTHORIZATION

    def mechanisms(self) -> Offered:
        """The SASL mechanisms that are offered now; without any there is no login."""
        return self._service.mechanisms(self.secure or self._plaintext_login, self.channel if self.secure else None)

    @property
    def tls_available(self) -> bool:
        """Whether there may be TLS on this connection."""
        return self._service.tls_available

    def begin_login(self, mechanism: ServerMechanism, initial: bytes | None) -> Request | None:
        """AUTH with that mechanism; ``initial`` is the initial response, if the client sent one."""
        self._login = Exchange(mechanism)
        return self.login_goes_on(self._login.begin(initial))

    def _login_line(self, line: bytes) -> Request | None:
        assert self._login is not None, "within AUTH"
        return self.login_goes_on(self._login.go_on(decode_response(line)))

    def login_goes_on(self, outcome: Outcome) -> Request | None:
        """What the exchange has come to."""
        if isinstance(outcome, Challenge):
            self.state = State.LOGIN
            self._say(replies.challenge(encode_challenge(outcome.octets)))
            return None
        if isinstance(outcome, Pending):
            return AwaitLogin(outcome)
        self._leave_login()
        return self.log_in(outcome)

    def _leave_login(self) -> None:
        self._login = None
        if self.state is State.LOGIN:
            self.state = State.AUTHORIZATION

    def log_in(self, credentials: ICredentials) -> LogIn:
        """The request, with the mailbox that the name asks for if the setting lets it."""
        separator = self.settings.folder_separator.encode()
        if separator and isinstance(credentials, SaslPassword):
            local_part, at, domain = credentials.username.partition(b"@")
            user, found, folder = local_part.partition(separator)
            if user and found and folder:
                named = evolve(credentials, username=user + at + domain)
                return LogIn(named, folder.decode("utf-8", "replace"))
        return LogIn(credentials)

    def login_refused(self, error: LoginRefused) -> Request:
        """Name or password is wrong; the reply is delayed, longer each time."""
        self._leave_login()
        self._failed_logins += 1
        self._held_reply = replies.error_reply(error)
        doublings = min(2 ** (self._failed_logins - 1), _LONGEST_DELAY)
        return HoldBack(self.settings.failed_login_delay * doublings)

    def held_back(self) -> None:
        """The delay after a wrong login is over."""
        self._say(self._held_reply)
        if self._failed_logins >= self.settings.failed_logins:
            self.ended = True

    def maildrop_refused(self, error: MailError) -> None:
        """Name and password may be right, but the maildrop cannot be opened now (in use, store unreachable)."""
        self._leave_login()
        self._say(replies.error_reply(error))

    def maildrop_opened(self, login_name: str, listing: Listing) -> None:
        """The user is logged in, and the session has the lock of the maildrop."""
        self.state = State.TRANSACTION
        self.login_name = login_name
        self.listing = listing
        self._sizes = listing.sent_sizes()
        self._reset_marks()
        self.notes.append(Note("pop3.logged_in", {"login_name": login_name, "messages": self._count}))
        self.good(ok(f"maildrop has {replies.messages(self._count, self._octets)}"))

    # --- TRANSACTION

    def _reset_marks(self) -> None:
        self._deleted.clear()
        self._listings.clear()
        self._count = len(self.listing.uids)
        self._octets = sum(self._sizes)

    def index_of(self, number: int) -> int:
        """The message's index in the listing. PeerError if there is none of that number or it is marked deleted."""
        if not 1 <= number <= len(self.listing.uids):
            raise PeerError(f"no such message, only {len(self.listing.uids)} messages in maildrop")
        if number - 1 in self._deleted:
            raise PeerError(f"message {number} already deleted")
        return number - 1

    def _stat(self, argument: bytes) -> None:
        no_argument(argument)
        self.good(ok(f"{self._count} {self._octets}"))

    def _list(self, argument: bytes) -> None:
        numbers = parse_numbers(argument, 0, 1)
        if numbers:
            self.good(ok(f"{numbers[0]} {self._sizes[self.index_of(numbers[0])]}"))
            return
        self.good(self.listing_of(b"LIST"))

    def listing_of(self, keyword: bytes) -> bytes:
        """The whole reply, cached until marks change it."""
        known = self._listings.get(keyword)
        if known is not None:
            return known
        listing, deleted = self.listing, self._deleted
        column = self._sizes if keyword == b"LIST" else listing.uids
        if deleted:
            present = [index for index in range(len(column)) if index not in deleted]
            numbers, values = [index + 1 for index in present], [column[index] for index in present]
        else:
            numbers, values = list(range(1, len(column) + 1)), list(column)
        if keyword == b"LIST":
            body = replies.scan_listing(numbers, values)
        else:
            body = replies.unique_id_listing(numbers, listing.uid_validity, values)
        reply = ok(replies.messages(self._count, self._octets)) + body + replies.END
        self._listings[keyword] = reply
        return reply

    def _dele(self, argument: bytes) -> None:
        (number,) = parse_numbers(argument, 1, 1)
        index = self.index_of(number)
        self._deleted.add(index)
        self._listings.clear()
        self._count -= 1
        self._octets -= self._sizes[index]
        self.good(ok(f"message {number} deleted"))

    def _rset(self, argument: bytes) -> None:
        no_argument(argument)
        self._reset_marks()
        self.good(ok(f"maildrop has {replies.messages(self._count, self._octets)}"))

    def _noop(self, argument: bytes) -> None:
        no_argument(argument)
        self.good(ok())

    def _retr(self, argument: bytes) -> Request:
        (number,) = parse_numbers(argument, 1, 1)
        return self.read_message(self.index_of(number), None)

    def read_message(self, index: int, lines: int | None) -> ReadMessage:
        """The request for a reply that is a message: all of it, or its header and ``lines`` lines of its body."""
        self._reading = ReadMessage(index, lines)
        return self._reading

    def message_read(self, octets: bytes) -> None:
        """The message, whole, with ``octets`` as they are stored."""
        reading = self._reading
        assert reading is not None, "a message was asked for"
        self._bad_commands = 0
        if reading.index in self.listing.extra:
            octets = with_crlf(octets)
        if reading.lines is None:
            self._retrieved += 1
            self.outgoing.append(b"+OK %d octets\r\n" % len(octets))
        else:
            octets = TopCutter(reading.lines).cut(octets)
            self.outgoing.append(b"+OK top of message follows\r\n")
        if b"\r\n." in octets or octets.startswith(b".") or not octets.endswith(b"\r\n"):
            self.outgoing.append(dot_stuff(octets))
        else:
            # Most messages: nothing to stuff, so nothing is copied.
            self.outgoing.append(octets)
            self.outgoing.append(replies.END)

    def message_begun(self) -> None:
        """A message follows in pieces."""
        reading = self._reading
        assert reading is not None, "a message was asked for"
        self._encoder = DotEncoder()
        self._line_ends = LineEndEncoder() if reading.index in self.listing.extra else None
        self._cutter = None if reading.lines is None else TopCutter(reading.lines)
        size = self._sizes[reading.index]
        self.good(ok(f"{size} octets" if reading.lines is None else "top of message follows"))
        self.mid_message = True

    def message_piece(self, octets: bytes) -> bool:
        """The next piece of the message; True if the client wants no more."""
        if self._line_ends is not None:
            octets = self._line_ends.encode(octets)
        if self._cutter is not None:
            octets = self._cutter.cut(octets)
        self.outgoing.append(self._encoder.encode(octets))
        return self._cutter is not None and self._cutter.complete

    def message_ended(self) -> None:
        """The last piece was sent."""
        if self._line_ends is not None:
            octets = self._line_ends.finish()
            self.outgoing.append(self._encoder.encode(octets if self._cutter is None else self._cutter.cut(octets)))
        if self._cutter is None:
            self._retrieved += 1
        self.outgoing.append(self._encoder.finish())
        self.mid_message = False

    def message_refused(self, error: MailError) -> None:
        """The message cannot be read; nothing of it was sent."""
        self._say(replies.error_reply(error))


_COMMANDS: Final[Mapping[bytes, Command]] = {
    command.keyword: command
    for command in (
        Command(b"CAPA", Pop3Session._capa, None),
        Command(b"QUIT", Pop3Session._quit, None),
        Command(b"STAT", Pop3Session._stat, State.TRANSACTION),
        Command(b"LIST", Pop3Session._list, State.TRANSACTION),
        Command(b"RETR", Pop3Session._retr, State.TRANSACTION),
        Command(b"DELE", Pop3Session._dele, State.TRANSACTION),
        Command(b"RSET", Pop3Session._rset, State.TRANSACTION),
        Command(b"NOOP", Pop3Session._noop, State.TRANSACTION),
    )
}
"""The commands that every server has, and CAPA. Source: RFC 1939 §4, §5, §6; RFC 2449 §5."""
