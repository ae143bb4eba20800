"""One SMTP connection, server side, as a pure conversation: lines in, replies and requests out.

The session decides what every command means; it has no socket, clock or Deferred. Where it needs something from outside
it answers a request (resolve this recipient, begin a message, log in, ...), and goes on when it is told the outcome.
Until then it must not be given another line: replies stay in the order of their commands (RFC 2920 §3.2).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve
from twisted.cred.credentials import ICredentials

from pymailsuite.config.sections.smtp import SmtpMxSettings
from pymailsuite.errors import LoginRefused, MailError, MessageTooBig, NoSuchUser, PeerError, RelayDenied
from pymailsuite.interfaces import RemoteRecipient
from pymailsuite.sasl import ServerMechanism
from pymailsuite.smtp import replies
from pymailsuite.smtp.grammar import (
    SyntaxRefused,
    command_text,
    parse_forward_path,
    parse_helo,
    parse_reverse_path,
    parse_size,
)
from pymailsuite.smtp.login import LoginExchange
from pymailsuite.smtp.receiver import EndOfText
from pymailsuite.smtp.replies import reply, text_of
from pymailsuite.smtp.requests import (
    BeginMessage,
    BeginTls,
    CommitMessage,
    HoldBack,
    LogIn,
    Note,
    Request,
    Resolved,
    ResolveRecipient,
    Service,
)
from pymailsuite.values import Address, BodyType, Envelope, Peer, QueueId
from pymailsuite.wire.lines import LineTooLong


class State(enum.IntEnum):
    """Where in the conversation we are. Source: RFC 5321 §4.1.4."""

    START = 0  # before HELO
    READY = 1  # no transaction
    MAIL = 2  # sender known
    RCPT = 3  # recipients known
    TEXT = 4  # reading message text
    LOGIN = 5  # within AUTH
    REFUSING = 6  # greeted with 554


# Which command is out of order where, and what is said to it; whatever is not here is in order.
_OUT_OF_ORDER: Final[Mapping[tuple[State, str], bytes]] = {
    (State.START, "MAIL"): replies.HELLO_FIRST,
    (State.START, "RCPT"): replies.HELLO_FIRST,
    (State.START, "DATA"): replies.HELLO_FIRST,
    (State.START, "AUTH"): replies.EHLO_FIRST,
    (State.READY, "RCPT"): replies.MAIL_FIRST,
    (State.READY, "DATA"): replies.MAIL_FIRST,
    (State.MAIL, "MAIL"): replies.NESTED_MAIL,
    (State.RCPT, "MAIL"): replies.NESTED_MAIL,
    # All recipients were refused: RFC 5321 §4.1.1.4 and RFC 2920 §3.1.
    (State.MAIL, "DATA"): replies.NO_RECIPIENTS,
    (State.MAIL, "AUTH"): replies.NOT_WITHIN_TRANSACTION,
    (State.RCPT, "AUTH"): replies.NOT_WITHIN_TRANSACTION,
}

# Known commands that are not done here: RFC 5321 §3.5.3 and appendix F, RFC 1985.
_NOT_IMPLEMENTED: Final = frozenset({"EXPN", "SEND", "SOML", "SAML", "TURN", "ETRN", "ATRN", "BDAT"})
# What a web browser says that was tricked into talking to us.
_FOREIGN: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})
_IDLE: Final = frozenset({"NOOP", "RSET", "VRFY", "HELP", "EHLO", "HELO"})
_LENGTHENED: Final = frozenset({"MAIL", "RCPT"})


class SmtpSession:
    """The conversation of one connection.

    ``outgoing`` collects replies and ``notes`` what to log, for the shell to take away; ``ended`` is True once the
    connection is to be closed after the replies have been sent.
    """

    def __init__(self, service: Service, peer: Peer, secure: bool, loopback: bool = False) -> None:
        """``loopback`` says that the peer is on this host, where a setting may allow passwords without TLS."""
        settings = service.settings
        self.outgoing: list[bytes] = []
        self.notes: list[Note] = []
        self.ended = False
        self.state = State.START
        self._service = service
        self._settings = settings
        self._peer = peer
        self._secure = secure
        self._plaintext_login = settings.plaintext_login and loopback
        self._lenient = settings.lenient_syntax == "always" or (peer.trusted and settings.lenient_syntax == "trusted")
        self._bad_commands = 0
        self._idle_commands = 0
        self._refused_recipients = 0
        self._transactions = 0
        self._failed_logins = 0
        self._login: LoginExchange | None = None
        self._login_reply = b""
        self._queue_id: QueueId | None = None
        self._size = 0
        self._forget_transaction()

    def _forget_transaction(self) -> None:
        self._reverse_path: Address | None = None
        self._recipients: list[tuple[Address, Resolved]] = []
        self._pending_recipient: Address | None = None
        self._body = BodyType.SEVENBIT
        self._smtputf8 = False
        self._declared_size: int | None = None

    @property
    def peer(self) -> Peer:
        """Who is at the other end, as far as is known by now."""
        return self._peer

    @property
    def line_limit(self) -> int:
        """Octets of the longest command line, CRLF included, that may come next."""
        return max(self._settings.auth_line, self._settings.extended_line)

    # --- the connection

    def greet(self) -> None:
        """Say the greeting. Source: RFC 5321 §3.1, §4.3.1."""
        host = self._service.hostname
        if self._settings.maintenance == "temporary":
            self._say(reply(421, "4.3.2", f"{host} Service unavailable"))
            self.ended = True
            return
        if self._settings.maintenance == "permanent":
            self._say(reply(554, "5.3.2", f"{host} No SMTP service here"))
            self.state = State.REFUSING
            return
        first, *more = self._settings.banner.splitlines() or ["ESMTP"]
        if self._service.version:
            first = f"{first} {self._service.version}"
        self._say(reply(220, "", f"{host} {first}", *more))

    def timed_out(self) -> None:
        """The peer was silent for too long."""
        self._close_with(reply(421, "4.4.2", f"{self._service.hostname} Timeout, closing connection"))

    def shut_down(self) -> None:
        """The server stops. Source: RFC 5321 §3.8."""
        self._close_with(reply(421, "4.3.2", f"{self._service.hostname} Service shutting down"))

    def failed(self) -> None:
        """Something unexpected went wrong and the conversation may be out of step."""
        self._close_with(reply(421, "4.3.0", f"{self._service.hostname} Internal error, closing connection"))

    def _close_with(self, octets: bytes) -> None:
        self._say(octets)
        self.ended = True

    def _say(self, octets: bytes) -> None:
        self.outgoing.append(octets)

    # --- lines

    def line_received(self, line: bytes) -> Request | None:
        """A command, or a line of the AUTH exchange, without its CRLF."""
        if self.state is State.LOGIN:
            return self._login_line(line)
        try:
            return self._command(line)
        except MailError as error:
            self._bad(replies.error_reply(error))
        return None

    def line_refused(self, error: MailError) -> None:
        """A line was longer than anything may be."""
        if self.state is State.LOGIN:
            self._leave_login(replies.LOGIN_LINE_TOO_LONG)
        else:
            self._bad(replies.error_reply(error))

    def _command(self, line: bytes) -> Request | None:
        text = command_text(line)
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        settings = self._settings
        if len(line) + 2 > settings.command_line:
            self._check_length(verb, len(line) + 2)
        if verb in _IDLE:
            self._idle_commands += 1
            if self._idle_commands > settings.max_idle_commands:
                self._close_with(reply(421, "4.7.0", f"{self._service.hostname} Too many commands that do nothing"))
                return None
        if self.state is State.REFUSING and verb != "QUIT":
            self._bad(replies.MAINTENANCE_ONLY_QUIT)
            return None
        command = _COMMANDS.get(verb)
        if command is None:
            self._unknown(verb)
            return None
        out_of_order = _OUT_OF_ORDER.get((self.state, verb))
        if out_of_order is not None:
            self._bad(out_of_order)
            return None
        return command(self, argument)

    def _check_length(self, verb: str, size: int) -> None:
        """Raises LineTooLong for a command that is too long, even for one that extensions lengthen."""
        settings = self._settings
        if verb != "AUTH" and (verb not in _LENGTHENED or size > settings.extended_line):
            raise LineTooLong

    def _unknown(self, verb: str) -> None:
        if verb in _FOREIGN and self.state is State.START:
            self._close_with(reply(421, "4.7.0", f"{self._service.hostname} Not a web server"))
        else:
            self._bad(replies.NOT_IMPLEMENTED if verb in _NOT_IMPLEMENTED else replies.UNKNOWN_COMMAND)

    def _bad(self, octets: bytes) -> None:
        """Answer a command that was not in order; too many of those end the connection."""
        self._bad_commands += 1
        self._say(octets)
        if self._bad_commands > self._settings.max_bad_commands:
            self._close_with(reply(421, "4.7.0", f"{self._service.hostname} Too many errors"))

    # --- commands, in the order of RFC 5321 §4.1.1

    def _ehlo(self, argument: str) -> None:
        if not self._hello(argument, esmtp=True):
            return
        service = self._service
        lines = [
            f"{service.hostname} Hello {self._peer.helo} [{self._peer.ip}], pleased to meet you",
            "PIPELINING",
            f"SIZE {self._settings.message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]
        if service.tls_available and not self._secure:
            lines.append("STARTTLS")
        names = self._offered()
        if names and not self._peer.login:
            lines.append(f"AUTH {' '.join(names)}")
        lines.append("HELP")
        self._say(reply(250, "", *lines))

    def _helo(self, argument: str) -> None:
        if self._hello(argument, esmtp=False):
            host = self._service.hostname
            self._say(reply(250, "", f"{host} Hello {self._peer.helo} [{self._peer.ip}], pleased to meet you"))

    def _hello(self, argument: str, *, esmtp: bool) -> bool:
        """Take the name, and forget any transaction: RFC 5321 §4.1.4 lets HELO come again at any time."""
        if not argument.strip():
            self._bad(replies.HELO_NEEDS_DOMAIN)
            return False
        self._peer = evolve(self._peer, helo=parse_helo(argument), esmtp=esmtp)
        self._forget_transaction()
        self.state = State.READY
        return True

    def _mail(self, argument: str) -> None:
        settings = self._settings
        peer = self._peer
        if self._service.submission and not peer.login:
            needs_tls = self._service.tls_available and not self._secure and not self._offered()
            self._bad(replies.TLS_REQUIRED if needs_tls else replies.LOGIN_REQUIRED)
            return
        if argument[:5].upper() != "FROM:":
            raise SyntaxRefused
        if self._transactions >= settings.max_transactions:
            self._close_with(reply(421, "4.7.0", f"{self._service.hostname} Too many messages on one connection"))
            return
        self._forget_transaction()
        reverse_path, parameters = parse_reverse_path(argument[5:], self._lenient)
        if parameters and not self._take_parameters(parameters):
            return
        if reverse_path is not None and not self._smtputf8 and not reverse_path.is_ascii:
            self._bad(replies.NEEDS_SMTPUTF8)
            return
        self._transactions += 1
        self._idle_commands = 0
        self._reverse_path = reverse_path
        self.state = State.MAIL
        self._say(replies.SENDER_OK)

    def _take_parameters(self, parameters: Mapping[str, str]) -> bool:
        """The parameters of MAIL; False after a refusal has been said."""
        if not self._peer.esmtp:
            self._bad(replies.NOT_AFTER_HELO)
            return False
        for keyword, value in parameters.items():
            if keyword == "SIZE":
                self._declared_size = parse_size(value)
                if self._declared_size > self._settings.message_size:
                    self._say(replies.error_reply(MessageTooBig()))
                    return False
            elif keyword == "BODY":
                try:
                    self._body = BodyType(value.upper())
                except ValueError:
                    self._bad(replies.UNKNOWN_BODY)
                    return False
            elif keyword == "SMTPUTF8" and not value:
                self._smtputf8 = True
            elif keyword != "AUTH" or not value:
                # AUTH= is for servers that trust their peer about who wrote (RFC 4954 §5); it may be ignored.
                self._bad(replies.UNKNOWN_PARAMETER)
                return False
        return True

    def _rcpt(self, argument: str) -> Request | None:
        if argument[:3].upper() != "TO:":
            raise SyntaxRefused
        address, parameters = parse_forward_path(argument[3:], self._lenient)
        if parameters:
            self._bad(replies.UNKNOWN_PARAMETER if self._peer.esmtp else replies.NOT_AFTER_HELO)
            return None
        if not self._smtputf8 and not address.is_ascii:
            self._bad(replies.NEEDS_SMTPUTF8)
            return None
        settings = self._settings
        limit = settings.max_recipients if self._reverse_path is not None else settings.null_sender_recipients
        if len(self._recipients) >= limit:
            self._refuse_recipient(address, replies.TOO_MANY_RECIPIENTS)
            return None
        if not address.domain:
            local_part, _, domain = settings.postmaster.rpartition("@")
            address = Address(local_part, domain) if domain else self._service.postmaster
        self._pending_recipient = address
        return ResolveRecipient(address)

    def recipient_resolved(self, resolved: Resolved) -> None:
        """Where mail for the recipient goes. Whether it may go there is decided here, before any look-up of DNS."""
        address = self._pending_recipient
        assert address is not None, "no recipient was asked about"
        peer = self._peer
        if not (peer.login or peer.trusted) and resolved == (RemoteRecipient(address),):
            code = int(self._settings.relay_denied)
            self._refuse_recipient(address, reply(code, f"{code // 100}.7.1", RelayDenied.text))
            return
        self._recipients.append((address, resolved))
        self.state = State.RCPT
        self._say(replies.RECIPIENT_OK)

    def recipient_refused(self, error: MailError) -> None:
        """The recipient is not known, or cannot be looked up now."""
        address = self._pending_recipient
        assert address is not None, "no recipient was asked about"
        if isinstance(error, NoSuchUser) and not error.public.startswith("<"):
            octets = reply(error.smtp_code, error.enhanced_code, f"<{address}> {error.public}")
        else:
            octets = replies.error_reply(error)
        self._refuse_recipient(address, octets)

    def _refuse_recipient(self, address: Address, octets: bytes) -> None:
        self._say(octets)
        self._note("smtp.recipient_refused", octets, recipient=str(address))
        self._refused_recipients += 1
        if self._refused_recipients > self._settings.max_refused_recipients:
            self._close_with(reply(421, "4.7.0", f"{self._service.hostname} Too many refused recipients"))

    def _data(self, argument: str) -> Request | None:
        if argument.strip():
            self._bad(replies.NO_ARGUMENT_ALLOWED)
            return None
        recipients = tuple(self._recipients)
        envelope = Envelope(
            self._reverse_path,
            tuple([address for address, _ in recipients]),
            self._body,
            self._smtputf8,
            self._declared_size,
        )
        return BeginMessage(envelope, recipients, self._peer)

    def message_begun(self, queue_id: QueueId) -> None:
        """The intake is open: ask for the text. The receiver must be told to expect it."""
        self._queue_id = queue_id
        self._size = 0
        self.state = State.TEXT
        self._say(replies.START_TEXT)

    def text_ended(self, end: EndOfText) -> Request | None:
        """The line with the dot has come."""
        self._size = end.size
        if end.error is not None:
            self.message_refused(end.error)
            return None
        return CommitMessage()

    def message_committed(self, queue_id: QueueId) -> None:
        """The message is on stable storage: from here on it is our responsibility (RFC 5321 §4.2.5)."""
        octets = b"250 2.0.0 %b Message accepted for delivery\r\n" % queue_id.encode("ascii")
        self._end_transaction("smtp.accepted", octets)

    def message_refused(self, error: MailError) -> None:
        """The message was not accepted; nothing of it remains."""
        self._end_transaction("smtp.refused", replies.error_reply(error), cause=error.cause)

    def message_failed(self) -> None:
        """Something unexpected went wrong while the message was accepted."""
        self._end_transaction("smtp.refused", replies.INTERNAL_ERROR)

    def _end_transaction(self, event: str, octets: bytes, **more: object) -> None:
        self._say(octets)
        self._note(event, octets, queue_id=self._queue_id, size=self._size, **more)
        self._queue_id = None
        self._forget_transaction()
        self.state = State.READY

    def _note(self, event: str, octets: bytes, **more: object) -> None:
        peer = self._peer
        fields = {
            "peer_ip": peer.ip,
            "helo": peer.helo,
            "reverse_path": str(self._reverse_path or ""),
            "recipients": len(self._recipients),
            "tls": peer.tls,
            "login": peer.login,
            "reply": text_of(octets),
            **more,
        }
        self.notes.append(Note(event, fields))

    def _rset(self, argument: str) -> None:
        if argument.strip():
            self._bad(replies.NO_ARGUMENT_ALLOWED)
            return
        self._forget_transaction()
        if self.state is not State.START:
            self.state = State.READY
        self._say(replies.RESET)

    def _vrfy(self, argument: str) -> None:
        # The same answer for everybody: who exists is not told (RFC 5321 §7.3).
        if argument.strip():
            self._say(replies.CANNOT_VERIFY)
        else:
            self._bad(replies.ARGUMENT_REQUIRED)

    def _help(self, argument: str) -> None:
        topic = argument.strip().lower() or "smtp"
        lines = self._service.help_topics.get(topic)
        if lines is None:
            self._say(reply(504, "5.5.4", f'HELP topic "{topic[:40]}" unknown'))
        else:
            self._say(reply(214, "2.0.0", *lines))

    def _noop(self, argument: str) -> None:
        self._say(replies.OK)

    def _quit(self, argument: str) -> None:
        if argument.strip():
            self._bad(replies.NO_ARGUMENT_ALLOWED)
            return
        self._close_with(reply(221, "2.0.0", f"{self._service.hostname} closing connection"))

    # --- TLS: RFC 3207

    def _starttls(self, argument: str) -> Request | None:
        if not self._service.tls_available:
            self._bad(replies.NOT_IMPLEMENTED)
        elif argument.strip():
            self._bad(replies.NO_ARGUMENT_ALLOWED)
        elif self._secure:
            self._bad(replies.ALREADY_SECURE)
        else:
            self._say(replies.START_TLS)
            return BeginTls()
        return None

    def tls_begun(self) -> None:
        """Forget all that was said in the clear, the client's name and login included. Source: RFC 3207 §4.2."""
        self._secure = True
        peer = self._peer
        self._peer = Peer(ip=peer.ip, port=peer.port, rdns=peer.rdns, trusted=peer.trusted)
        self._forget_transaction()
        self.state = State.START

    def peer_named(self, name: str) -> None:
        """DNS knows the peer by this name; what is said of it from now on includes it."""
        self._peer = evolve(self._peer, rdns=name)

    def secured(self, description: str) -> None:
        """TLS is established, with this protocol and cipher."""
        self._secure = True
        self._peer = evolve(self._peer, tls=description)

    # --- AUTH: RFC 4954

    def _offered(self) -> Mapping[str, Callable[[], ServerMechanism]]:
        service = self._service
        settings = self._settings
        if service.mechanisms is None or (isinstance(settings, SmtpMxSettings) and not settings.offer_login):
            return {}
        return service.mechanisms(self._secure or self._plaintext_login)

    def _auth(self, argument: str) -> Request | None:
        offered = self._offered()
        service = self._service
        name, _, initial = argument.strip().partition(" ")
        name = name.upper()
        if self._peer.login:
            self._bad(replies.ALREADY_LOGGED_IN)
        elif not self._peer.esmtp:
            self._bad(replies.EHLO_FIRST)
        elif not offered:
            needs_tls = service.submission and service.tls_available and not self._secure
            self._bad(replies.ENCRYPTION_REQUIRED if needs_tls else replies.NOT_IMPLEMENTED)
        elif not name:
            self._bad(replies.ARGUMENT_REQUIRED)
        elif name not in offered:
            self._bad(replies.UNKNOWN_MECHANISM)
        else:
            exchange = LoginExchange(offered[name]())
            self._login = exchange
            self.state = State.LOGIN
            return self._login_step(lambda: exchange.begin(initial))
        return None

    def _login_line(self, line: bytes) -> Request | None:
        exchange = self._login
        assert exchange is not None, "no AUTH exchange"
        return self._login_step(lambda: exchange.go_on(line))

    def _login_step(self, step: Callable[[], bytes | ICredentials]) -> Request | None:
        try:
            answer = step()
        except LoginRefused as error:
            return self.login_refused(error)
        except PeerError as error:
            self._leave_login(replies.error_reply(error))
            return None
        if isinstance(answer, bytes):
            self._say(answer)
            return None
        return LogIn(answer)

    def _leave_login(self, octets: bytes) -> None:
        self._login = None
        self.state = State.READY
        self._bad(octets)

    def logged_in(self, login_name: str) -> None:
        """The portal knows the user."""
        self._login = None
        self.state = State.READY
        self._peer = evolve(self._peer, login=login_name)
        self._say(replies.LOGGED_IN)

    def login_refused(self, error: MailError) -> Request:
        """The portal says no. The answer is held back, longer each time, so that guessing is slow."""
        self._login = None
        self._failed_logins += 1
        settings = self._settings
        self._login_reply = replies.error_reply(error)
        self._note("smtp.login_refused", self._login_reply)
        # 2.0 ** 1024 would not be a float any more; the bound on failures may be set as high as anyone likes.
        delay_s = settings.failed_login_delay * 2.0 ** min(self._failed_logins - 1, 60)
        return HoldBack(min(delay_s, settings.failed_login_delay_max))

    def held_back(self) -> None:
        """The delay is over: say what login_refused had to say."""
        self._leave_login(self._login_reply)
        if self._failed_logins >= self._settings.max_failed_logins and not self.ended:
            self._close_with(reply(421, "4.7.0", f"{self._service.hostname} Too many failed logins"))

    def login_failed(self) -> None:
        """The portal cannot say now."""
        self._login = None
        self.state = State.READY
        self._say(replies.LOGIN_TEMPORARILY_FAILED)


_COMMANDS: Final[Mapping[str, Callable[[SmtpSession, str], Request | None]]] = {
    "EHLO": SmtpSession._ehlo,
    "HELO": SmtpSession._helo,
    "MAIL": SmtpSession._mail,
    "RCPT": SmtpSession._rcpt,
    "DATA": SmtpSession._data,
    "RSET": SmtpSession._rset,
    "VRFY": SmtpSession._vrfy,
    "HELP": SmtpSession._help,
    "NOOP": SmtpSession._noop,
    "QUIT": SmtpSession._quit,
    "STARTTLS": SmtpSession._starttls,
    "AUTH": SmtpSession._auth,
}
