"""One POP3 connection as a pure conversation: lines in, replies and requests out. Source: RFC 1939.

The session decides what every command means; it has no socket, clock or Deferred. Where it needs something from outside
it answers a request, and goes on when it is told the outcome; until then it must not be given another line, so that
replies stay in the order of their commands (PIPELINING, RFC 2449 §6.8). Deletions are only marks until QUIT.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen
from twisted.cred.credentials import ICredentials

from pymailsuite.errors import LoginEnded, LoginRefused, MailError, PeerError
from pymailsuite.pop3 import replies
from pymailsuite.pop3.grammar import no_argument, parse_command, parse_numbers
from pymailsuite.pop3.replies import err, ok
from pymailsuite.pop3.requests import (
    BeginTls,
    CloseMaildrop,
    HoldBack,
    Listing,
    LogIn,
    Note,
    ReadMessage,
    Request,
    Service,
)
from pymailsuite.pop3.top import TopCutter
from pymailsuite.sasl import (
    Challenge,
    SaslPassword,
    ServerMechanism,
    Step,
    decode_initial,
    decode_response,
    encode_challenge,
)
from pymailsuite.values import UidSet
from pymailsuite.wire.dot_stuffing import DotEncoder, dot_stuff
from pymailsuite.wire.line_ends import LineEndEncoder, with_crlf

_LONGEST_DELAY: Final = 16
"""How many times the delay of the first wrong login a later one may wait."""


class State(enum.Enum):
    """Where in the conversation we are. Source: RFC 1939 §3; RFC 5034 §4 for LOGIN."""

    AUTHORIZATION = "not logged in"
    LOGIN = "within AUTH"
    TRANSACTION = "maildrop open"
    UPDATE = "after QUIT"


class Pop3Session:
    """The conversation of one connection.

    ``outgoing`` collects replies and ``notes`` what to log, for the protocol to take away; ``ended`` is True once the
    connection is to be closed after the replies have been sent.
    """

    def __init__(self, service: Service, secure: bool, loopback: bool = False) -> None:
        """``loopback`` says that the peer is on this host, where a setting may allow passwords without TLS."""
        self.outgoing: list[bytes] = []
        self.notes: list[Note] = []
        self.ended = False
        self.state = State.AUTHORIZATION
        self.login_name = ""
        self._service = service
        self._settings = service.settings
        self._secure = secure
        self._plaintext_login = service.settings.plaintext_login and loopback
        self._user: bytes | None = None
        self._utf8 = False
        self._mechanism: ServerMechanism | None = None
        self._held_reply = b""
        self._failed_logins = 0
        self._bad_commands = 0
        self._listing = Listing(0, (), ())
        self._sizes: Sequence[int] = ()
        self._deleted: set[int] = set()
        self._count = 0
        self._octets = 0
        self._retrieved = 0
        self._listings: dict[bytes, bytes] = {}
        self._reading: ReadMessage | None = None
        self._encoder = DotEncoder()
        self._line_ends: LineEndEncoder | None = None
        self._cutter: TopCutter | None = None
        self.mid_message = False
        """A message is being sent in pieces: the client takes whatever comes now for a part of it."""

    # --- the connection

    def greet(self) -> None:
        """Say the greeting; no timestamp in it, since APOP is not offered."""
        self._say(ok(f"{self._service.hostname} {self._settings.greeting}"))

    def tls_begun(self) -> None:
        """TLS has taken over: nothing said before counts. Source: RFC 2595 §4."""
        self._secure = True
        self._user = None

    def shut_down(self) -> None:
        """The server stops: nothing that was marked is removed."""
        self._close_with(err("server is shutting down", "SYS/TEMP"))

    def login_ended(self) -> None:
        """The password was set anew, or the account closed: nothing that was marked is removed."""
        self._close_with(replies.error_reply(LoginEnded()))

    def failed(self) -> None:
        """Something unexpected went wrong and the conversation may be out of step."""
        self._close_with(err("internal error, closing connection", "SYS/TEMP"))

    def lock_lost(self) -> None:
        """The maildrop is not ours any more: go, and remove nothing."""
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
        try:
            if self.state is State.LOGIN:
                return self._login_line(line)
            keyword, argument = parse_command(line)
            command = _COMMANDS.get(keyword)
            if command is None:
                self._bad(replies.UNKNOWN)
                return None
            if self.state is not command.state and command.state is not None:
                self._bad(replies.NOT_YET if self.state is State.AUTHORIZATION else replies.NOT_NOW)
                return None
            request = command.run(self, argument)
        except MailError as error:
            self._mechanism = None
            if self.state is State.LOGIN:
                self.state = State.AUTHORIZATION
            self._bad(replies.error_reply(error))
            return None
        return request

    def line_refused(self, error: MailError) -> None:
        """A line was longer than anything may be."""
        self._mechanism = None
        if self.state is State.LOGIN:
            self.state = State.AUTHORIZATION
        self._bad(replies.error_reply(error))

    def _bad(self, octets: bytes) -> None:
        """Answer a command that was not in order; too many of those end the connection."""
        self._bad_commands += 1
        if self._bad_commands > self._settings.bad_commands:
            self._close_with(err("too many errors"))
        else:
            self._say(octets)

    # --- any state

    def _capa(self, argument: bytes) -> None:
        """Source: RFC 2449 §5."""
        del argument  # RFC 2449 §5 has none, and a client that gives one wants the list all the same.
        settings = self._settings
        before_login = self.state is State.AUTHORIZATION
        lines = ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "UTF8 USER", "LANG"]
        if settings.login_delay:
            lines.append(f"LOGIN-DELAY {round(settings.login_delay)}")
        offered = self._mechanisms()
        if offered:
            lines.append(f"SASL {' '.join(offered)}")
            if before_login:
                lines.append("USER")
        if before_login and self._service.tls_available and not self._secure:
            lines.append("STLS")
        if not before_login and settings.implementation:
            # Whoever has not logged in need not know what we are: RFC 2449 §6.9.
            lines.append(f"IMPLEMENTATION {settings.implementation}")
        self._good(replies.multi_line(ok("capability list follows"), lines))

    def _lang(self, argument: bytes) -> None:
        """Source: RFC 6856 §3. There is one language."""
        words = argument.split()
        if not words:
            self._good(replies.multi_line(ok("language listing follows:"), ["en English"]))
        elif len(words) == 1 and words[0].lower() in (b"*", b"en", b"i-default"):
            self._good(ok("en language is English"))
        else:
            raise PeerError("no such language")

    def _quit(self, argument: bytes) -> Request | None:
        no_argument(argument)
        if self.state is State.AUTHORIZATION:
            self._close_with(ok(f"{self._service.hostname} POP3 server signing off"))
            return None
        self.state = State.UPDATE
        return CloseMaildrop(UidSet.of(self._listing.uids[index] for index in self._deleted))

    def maildrop_closed(self) -> None:
        """What was marked is gone, and that is on the disk. Source: RFC 1939 §6."""
        left = f"{self._count} message{'' if self._count == 1 else 's'} left" if self._count else "maildrop empty"
        self._note_end(len(self._deleted))
        self._close_with(ok(f"{self._service.hostname} POP3 server signing off ({left})"))

    def removal_failed(self, error: MailError) -> None:
        """None of what was marked is gone."""
        self._note_end(0)
        self._close_with(err("marked messages were not removed", error.pop3_code or "SYS/TEMP"))

    def _note_end(self, deleted: int) -> None:
        fields = {"login_name": self.login_name, "retrieved": self._retrieved, "deleted": deleted, "left": self._count}
        self.notes.append(Note("pop3.signed_off", fields))

    def _good(self, octets: bytes) -> None:
        self._bad_commands = 0
        self.outgoing.append(octets)

    # --- AUTHORIZATION

    def _mechanisms(self) -> Mapping[str, Callable[[], ServerMechanism]]:
        return self._service.mechanisms(self._secure or self._plaintext_login)

    def _stls(self, argument: bytes) -> Request:
        """Source: RFC 2595 §4."""
        no_argument(argument)
        if self._secure:
            raise PeerError("TLS is active already")
        if not self._service.tls_available:
            raise PeerError("no TLS here")
        if self._utf8:
            # RFC 6856 §2.1: what follows UTF8 is not to be begun anew.
            raise PeerError("no STLS after UTF8")
        self._good(replies.BEGIN_TLS)
        return BeginTls()

    def _utf8_mode(self, argument: bytes) -> None:
        """Source: RFC 6856 §2."""
        # Departs from RFC 6856 §4: without UTF8 too a message is sent as it was stored. Surrogates for its header
        # would break its signatures, and clients that do not know UTF8 show such headers well enough.
        no_argument(argument)
        self._utf8 = True
        self._good(ok("UTF-8 enabled"))

    def _user_name(self, argument: bytes) -> None:
        """Any name is fine: whether there is one is not told. Source: RFC 1939 §7."""
        if not self._mechanisms():
            self._bad(replies.TLS_FIRST)
        elif not argument:
            raise PeerError("name missing")
        else:
            self._user = argument
            self._good(ok("send PASS"))

    def _pass(self, argument: bytes) -> Request | None:
        if not self._mechanisms():
            self._bad(replies.TLS_FIRST)
            return None
        user, self._user = self._user, None
        if user is None:
            self._bad(replies.USER_FIRST)
            return None
        if not argument:
            raise PeerError("password missing")
        return self._log_in(SaslPassword(user, argument))

    def _auth(self, argument: bytes) -> Request | None:
        """Source: RFC 5034 §4."""
        offered = self._mechanisms()
        words = argument.split()
        if not words:
            # What clients did before there was CAPA, and some still do.
            self._good(replies.multi_line(ok("mechanisms follow"), offered))
            return None
        if not offered:
            self._bad(replies.TLS_FIRST)
            return None
        factory = offered.get(words[0].decode("ascii", "replace").upper())
        if factory is None:
            raise PeerError("no such mechanism")
        if len(words) > 2:
            raise PeerError("too many arguments")
        initial = decode_initial(words[1]) if len(words) == 2 else None
        self._mechanism = factory()
        return self._step(self._mechanism.start(initial))

    def _login_line(self, line: bytes) -> Request | None:
        assert self._mechanism is not None, "within AUTH"
        return self._step(self._mechanism.respond(decode_response(line)))

    def _step(self, step: Step) -> Request | None:
        if isinstance(step, Challenge):
            self.state = State.LOGIN
            self._say(replies.challenge(encode_challenge(step.octets)))
            return None
        self.state = State.AUTHORIZATION
        self._mechanism = None
        return self._log_in(step.credentials)

    def _log_in(self, credentials: ICredentials) -> LogIn:
        """The request, with the mailbox that the name asks for if the setting lets it."""
        separator = self._settings.folder_separator.encode()
        if separator and isinstance(credentials, SaslPassword):
            local_part, at, domain = credentials.username.partition(b"@")
            user, found, folder = local_part.partition(separator)
            if user and found and folder:
                named = evolve(credentials, username=user + at + domain)
                return LogIn(named, folder.decode("utf-8", "replace"))
        return LogIn(credentials)

    def login_refused(self, error: LoginRefused) -> Request:
        """Name or password is wrong; the answer waits, ever longer."""
        self._failed_logins += 1
        self._held_reply = replies.error_reply(error)
        doublings = min(2 ** (self._failed_logins - 1), _LONGEST_DELAY)
        return HoldBack(self._settings.failed_login_delay * doublings)

    def held_back(self) -> None:
        """The wrong login has waited."""
        self._say(self._held_reply)
        if self._failed_logins >= self._settings.failed_logins:
            self.ended = True

    def maildrop_refused(self, error: MailError) -> None:
        """Name and password may be right, but the maildrop cannot be opened now (in use, store out of reach)."""
        self._say(replies.error_reply(error))

    def maildrop_opened(self, login_name: str, listing: Listing) -> None:
        """Logged in, the maildrop is locked and ours."""
        self.state = State.TRANSACTION
        self.login_name = login_name
        self._listing = listing
        self._sizes = listing.sent_sizes()
        self._reset_marks()
        self.notes.append(Note("pop3.logged_in", {"login_name": login_name, "messages": self._count}))
        self._good(ok(f"maildrop has {replies.messages(self._count, self._octets)}"))

    # --- TRANSACTION

    def _reset_marks(self) -> None:
        self._deleted.clear()
        self._listings.clear()
        self._count = len(self._listing.uids)
        self._octets = sum(self._sizes)

    def _index(self, number: int) -> int:
        """The message's place in the listing. PeerError if there is none of that number or it is marked deleted."""
        if not 1 <= number <= len(self._listing.uids):
            raise PeerError(f"no such message, only {len(self._listing.uids)} messages in maildrop")
        if number - 1 in self._deleted:
            raise PeerError(f"message {number} already deleted")
        return number - 1

    def _stat(self, argument: bytes) -> None:
        no_argument(argument)
        self._good(ok(f"{self._count} {self._octets}"))

    def _list(self, argument: bytes) -> None:
        numbers = parse_numbers(argument, 0, 1)
        if numbers:
            self._good(ok(f"{numbers[0]} {self._sizes[self._index(numbers[0])]}"))
            return
        self._good(self._listing_of(b"LIST"))

    def _uidl(self, argument: bytes) -> None:
        numbers = parse_numbers(argument, 0, 1)
        if numbers:
            uid = self._listing.uids[self._index(numbers[0])]
            self._good(ok(f"{numbers[0]} {self._listing.uid_validity}.{uid}"))
            return
        self._good(self._listing_of(b"UIDL"))

    def _listing_of(self, keyword: bytes) -> bytes:
        """The whole reply, remembered until marks change it."""
        known = self._listings.get(keyword)
        if known is not None:
            return known
        listing, deleted = self._listing, self._deleted
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
        index = self._index(number)
        self._deleted.add(index)
        self._listings.clear()
        self._count -= 1
        self._octets -= self._sizes[index]
        self._good(ok(f"message {number} deleted"))

    def _rset(self, argument: bytes) -> None:
        no_argument(argument)
        self._reset_marks()
        self._good(ok(f"maildrop has {replies.messages(self._count, self._octets)}"))

    def _noop(self, argument: bytes) -> None:
        no_argument(argument)
        self._good(ok())

    def _retr(self, argument: bytes) -> Request:
        (number,) = parse_numbers(argument, 1, 1)
        self._reading = ReadMessage(self._index(number), None)
        return self._reading

    def _top(self, argument: bytes) -> Request:
        number, lines = parse_numbers(argument, 2, 2)
        self._reading = ReadMessage(self._index(number), lines)
        return self._reading

    def message_read(self, octets: bytes) -> None:
        """The message, whole, with ``octets`` as they are stored."""
        reading = self._reading
        assert reading is not None, "a message was asked for"
        self._bad_commands = 0
        if reading.index in self._listing.extra:
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
        self._line_ends = LineEndEncoder() if reading.index in self._listing.extra else None
        self._cutter = None if reading.lines is None else TopCutter(reading.lines)
        size = self._sizes[reading.index]
        self._good(ok(f"{size} octets" if reading.lines is None else "top of message follows"))
        self.mid_message = True

    def message_piece(self, octets: bytes) -> bool:
        """The next piece of it; True if that is all the client wants."""
        if self._line_ends is not None:
            octets = self._line_ends.encode(octets)
        if self._cutter is not None:
            octets = self._cutter.cut(octets)
        self.outgoing.append(self._encoder.encode(octets))
        return self._cutter is not None and self._cutter.complete

    def message_ended(self) -> None:
        """That was all."""
        if self._line_ends is not None:
            octets = self._line_ends.finish()
            self.outgoing.append(self._encoder.encode(octets if self._cutter is None else self._cutter.cut(octets)))
        if self._cutter is None:
            self._retrieved += 1
        self.outgoing.append(self._encoder.finish())
        self.mid_message = False

    def message_refused(self, error: MailError) -> None:
        """It cannot be read; nothing of it was sent."""
        self._say(replies.error_reply(error))


@frozen
class _Command:
    """``state`` None: in any state but within AUTH."""

    state: State | None
    run: Callable[[Pop3Session, bytes], Request | None]


_COMMANDS: Final[Mapping[bytes, _Command]] = {
    b"CAPA": _Command(None, Pop3Session._capa),
    b"LANG": _Command(None, Pop3Session._lang),
    b"QUIT": _Command(None, Pop3Session._quit),
    b"STLS": _Command(State.AUTHORIZATION, Pop3Session._stls),
    b"UTF8": _Command(State.AUTHORIZATION, Pop3Session._utf8_mode),
    b"USER": _Command(State.AUTHORIZATION, Pop3Session._user_name),
    b"PASS": _Command(State.AUTHORIZATION, Pop3Session._pass),
    b"AUTH": _Command(State.AUTHORIZATION, Pop3Session._auth),
    b"STAT": _Command(State.TRANSACTION, Pop3Session._stat),
    b"LIST": _Command(State.TRANSACTION, Pop3Session._list),
    b"UIDL": _Command(State.TRANSACTION, Pop3Session._uidl),
    b"RETR": _Command(State.TRANSACTION, Pop3Session._retr),
    b"TOP": _Command(State.TRANSACTION, Pop3Session._top),
    b"DELE": _Command(State.TRANSACTION, Pop3Session._dele),
    b"RSET": _Command(State.TRANSACTION, Pop3Session._rset),
    b"NOOP": _Command(State.TRANSACTION, Pop3Session._noop),
}
"""Which command is legal in which state. Source: RFC 1939 §4, §5; RFC 2449 §5; RFC 2595 §4; RFC 5034 §4; RFC 6856."""
