"""One SMTP session, server side, as a pure core: lines in, replies and requests out.

The session decides what every command means; it has no socket, clock or Deferred. Where it needs something from outside
it returns a request (resolve this recipient, ask the policies, begin a message, log in, ...), and goes on when it is
given the result. Until then it must not be given another line: replies stay in the order of their commands (RFC 2920
§3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve
from twisted.python.failure import Failure

from pymailsuite.errors import LoginEnded, MailError
from pymailsuite.interfaces.policy import Decision, Stage
from pymailsuite.smtp import replies
from pymailsuite.smtp.extension import Command
from pymailsuite.smtp.grammar import SyntaxRefused, command_text, parse_helo
from pymailsuite.smtp.login import LoginCommands
from pymailsuite.smtp.replies import reply
from pymailsuite.smtp.requests import Request, SkipOctets
from pymailsuite.smtp.states import State
from pymailsuite.smtp.transaction import TransactionCommands
from pymailsuite.values import Peer
from pymailsuite.wire.extension import AwaitReply
from pymailsuite.wire.lines import LineTooLong

__all__ = ["SmtpSession"]

# The states in which a command is out of order, and the reply (None: the reply that the settings have for a client that
# did not send HELO); a command that is not listed here is in order.
_OUT_OF_ORDER: Final[Mapping[tuple[State, str], bytes | None]] = {
    (State.START, "MAIL"): None,
    (State.START, "RCPT"): None,
    (State.START, "DATA"): None,
    (State.READY, "RCPT"): replies.MAIL_FIRST,
    (State.READY, "DATA"): replies.MAIL_FIRST,
    (State.MAIL, "MAIL"): replies.NESTED_MAIL,
    (State.RCPT, "MAIL"): replies.NESTED_MAIL,
    # All recipients were refused: RFC 5321 §4.1.1.4 and RFC 2920 §3.1.
    (State.MAIL, "DATA"): replies.NO_RECIPIENTS,
}

# Known commands that are not implemented: RFC 5321 §3.5.3 and appendix F, RFC 1985.
_NOT_IMPLEMENTED: Final = frozenset({"EXPN", "SEND", "SOML", "SAML", "TURN", "ETRN", "ATRN"})
_BDAT_DIGITS: Final = 20
"""The greatest number of digits of a chunk size. Source: RFC 3030 §2."""
# Request methods of a web browser that a page has made connect to an SMTP port.
_FOREIGN: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})
_IDLE: Final = frozenset({"NOOP", "RSET", "VRFY", "HELP", "EHLO", "HELO"})
_LENGTHENED: Final = frozenset({"MAIL", "RCPT"})


class SmtpSession(TransactionCommands, LoginCommands):
    """The conversation of one connection."""

    @property
    def line_limit(self) -> int:
        """Octets of the longest command line, CRLF included, that may come next."""
        return max(self.settings.auth_line, self.settings.extended_line)

    # --- the connection

    def greet(self) -> Request | None:
        """Send the greeting, after the policies that judge clients have decided. Source: RFC 5321 §3.1, §4.3.1."""
        host = self.service.hostname
        if self.settings.maintenance == "temporary":
            self.say(reply(421, "4.3.2", f"{host} Service unavailable"))
            self.ended = True
            return None
        if self.settings.maintenance == "permanent":
            self.say(reply(554, "5.3.2", f"{host} No SMTP service here"))
            self.state = State.REFUSING
            return None
        if Stage.CONNECT in self._stages:
            return self._check(Stage.CONNECT, self._connection_decided)
        self._welcome()
        return None

    def _connection_decided(self, decision: Decision) -> None:
        self._connection_verdicts = decision.applied_verdicts
        refusal = decision.refusal
        if refusal is None:
            self._welcome()
            return
        host = self.service.hostname
        # RFC 5321 §3.1 and §4.2.3 have two ways to refuse a client: 421 for now, 554 permanently.
        if refusal.code < 500:
            octets = reply(421, refusal.enhanced_code, f"{host} {refusal.text}")
            self._close_with(octets)
        else:
            octets = reply(554, refusal.enhanced_code, f"{host} {refusal.text}")
            self.say(octets)
            self.state = State.REFUSING
        self._note("smtp.client_refused", octets, decision)

    def _welcome(self) -> None:
        first, *more = self.settings.banner.splitlines() or ["ESMTP"]
        if self.service.version:
            first = f"{first} {self.service.version}"
        self.say(reply(220, "", f"{self.service.hostname} {first}", *more))

    def talked_early(self) -> None:
        """The client sent octets before the greeting, as spam software does (RFC 5321 §4.3.1 forbids that)."""
        self._early_talker = True

    def timed_out(self) -> None:
        """The client was silent for too long."""
        self._close_with(reply(421, "4.4.2", f"{self.service.hostname} Timeout, closing connection"))

    def shut_down(self) -> None:
        """The server stops. Source: RFC 5321 §3.8."""
        self._close_with(reply(421, "4.3.2", f"{self.service.hostname} Service shutting down"))

    def login_ended(self) -> None:
        """The password was changed, or the account closed. Source: RFC 5321 §3.8."""
        error = LoginEnded()
        self._close_with(reply(error.smtp_code, error.enhanced_code, f"{self.service.hostname} {error.public}"))

    def failed(self) -> None:
        """An unexpected error came up and the session may be out of step with the client."""
        self._close_with(reply(421, "4.3.0", f"{self.service.hostname} Internal error, closing connection"))

    # --- lines

    def line_received(self, line: bytes) -> Request | None:
        """A command, or a line of the AUTH exchange, without its CRLF."""
        if self.state is State.LOGIN:
            return self._login_line(line)
        try:
            request = self._command(line)
        except MailError as error:
            self.refuse(replies.error_reply(error))
            request = None
        return request if self._errors == self._errors_answered else self._slowed(request)

    def line_refused(self, error: MailError) -> None:
        """A line was longer than the limit."""
        if self.state is State.LOGIN:
            self._leave_login(replies.LOGIN_LINE_TOO_LONG)
        else:
            self.refuse(replies.error_reply(error))

    def _command(self, line: bytes) -> Request | None:
        text = command_text(line)
        verb, _, argument = text.partition(" ")
        if self._lenient and ("\t" in verb or not verb):
            # Departs from RFC 5321 §4.1.1: a tab for the space, and white space before the verb.
            verb, argument = [*text.split(None, 1), "", ""][:2]
        verb = verb.upper()
        settings = self.settings
        if len(line) + 2 > settings.command_line:
            self._check_length(verb, len(line) + 2)
        if verb in _IDLE:
            self._idle_commands += 1
            if self._idle_commands > settings.max_idle_commands:
                self._cut_off("Too many commands that do nothing")
                return None
        if self.state is State.REFUSING and verb != "QUIT":
            self.refuse(replies.MAINTENANCE_ONLY_QUIT)
            return None
        command = _COMMANDS.get(verb)
        if command is None:
            extension = self.service.extensions.commands.get(verb)
            if extension is not None:
                return self._extended(extension, argument)
            self._unknown(verb)
            return None
        order = (self.state, verb)
        if order in _OUT_OF_ORDER:
            self.refuse(_OUT_OF_ORDER[order] or reply(503, "5.5.1", self.settings.hello_first))
            return None
        return command(self, argument)

    def _check_length(self, verb: str, size: int) -> None:
        """Raises LineTooLong for a command that is too long, even for one that extensions lengthen."""
        settings = self.settings
        if verb != "AUTH" and (verb not in _LENGTHENED or size > settings.extended_line):
            raise LineTooLong

    def _extended(self, command: Command, argument: str) -> Request | None:
        """A command of an extension."""
        refusal = command.refused_in.get(self.state)
        if refusal is not None:
            self.refuse(refusal)
            return None
        try:
            request: Request | None = command.handle(self, argument)
        except MailError:
            raise
        except Exception:
            self._extension_failed(command)
            return None
        if isinstance(request, AwaitReply):
            self._awaiting = command
        return request

    def replied(self, answer: bytes | Failure) -> Request | None:
        """The result that an extension waited for with AwaitReply."""
        command, self._awaiting = self._awaiting, None
        assert command is not None, "no extension was waited for"
        if isinstance(answer, bytes):
            self.say(answer)
        elif isinstance(answer.value, MailError):
            self.refuse(replies.error_reply(answer.value))
        else:
            self._extension_failed(command, answer)
        return self._slowed(None)

    def _unknown(self, verb: str) -> None:
        if verb in _FOREIGN and self.state is State.START:
            self._cut_off("Not a web server")
        else:
            self.refuse(replies.NOT_IMPLEMENTED if verb in _NOT_IMPLEMENTED else replies.UNKNOWN_COMMAND)

    # --- HELO and EHLO

    def _ehlo(self, argument: str) -> Request | None:
        return self._hello(argument, esmtp=True)

    def _helo(self, argument: str) -> Request | None:
        return self._hello(argument, esmtp=False)

    def _hello(self, argument: str, *, esmtp: bool) -> Request | None:
        """Take the client's name, and drop any transaction: RFC 5321 §4.1.4 lets HELO come again at any time."""
        if not argument.strip():
            self.refuse(replies.HELO_NEEDS_DOMAIN)
            return None
        self._peer = evolve(self._peer, helo=parse_helo(argument), esmtp=esmtp)
        self._hello_verdicts = ()
        self._forget_transaction()
        self.state = State.READY
        if Stage.HELO in self._stages:
            return self._check(Stage.HELO, self._hello_decided)
        self._greet_back(())
        return None

    def _hello_decided(self, decision: Decision) -> None:
        # A client that may still log in is not refused yet; the verdicts are kept.
        if decision.refusal is not None and (self._peer.login or not self.offered_mechanisms()):
            self.state = State.START
            octets = self._refusal(decision.refusal)
            self._note("smtp.hello_refused", octets, decision)
            self.refuse(octets)
            return
        self._hello_verdicts = decision.applied_verdicts
        self._greet_back(decision.hints)

    def _greet_back(self, hints: tuple[str, ...]) -> None:
        service = self.service
        peer = self._peer
        first = "; ".join((f"{service.hostname} Hello {peer.helo} [{peer.ip}], pleased to meet you", *hints))
        if not peer.esmtp:
            self.say(reply(250, "", first))
            return
        lines = (first, *service.extensions.offers(self))
        self.say(reply(250, "", *lines))

    # --- other commands, in the order of RFC 5321 §4.1.1

    def _vrfy(self, argument: str) -> None:
        # The same reply for every address, so that VRFY does not show which users exist (RFC 5321 §7.3).
        if argument.strip():
            self.say(replies.CANNOT_VERIFY)
        else:
            self.refuse(replies.ARGUMENT_REQUIRED)

    def _noop(self, argument: str) -> None:
        self.say(replies.OK)

    def _bdat(self, argument: str) -> Request | None:
        """A chunk follows, though CHUNKING is not offered. The client sends it without waiting for the reply (RFC 3030
        §2): its octets are not commands, and their author may not be the client."""
        size, _, last = argument.partition(" ")
        if not (size.isascii() and size.isdigit() and last.strip().upper() in ("", "LAST")):
            self.refuse(replies.error_reply(SyntaxRefused()))
            return None
        if len(size) > _BDAT_DIGITS or int(size) > self.settings.message_size:
            self._cut_off("CHUNKING is not offered")
            return None
        self.refuse(replies.NOT_IMPLEMENTED)
        return SkipOctets(int(size))

    def _quit(self, argument: str) -> None:
        if argument.strip():
            self.refuse(replies.NO_ARGUMENT_ALLOWED)
            return
        self._close_with(reply(221, "2.0.0", f"{self.service.hostname} closing connection"))

    # --- TLS: RFC 3207

    def tls_begun(self) -> None:
        """Forget all that came before TLS, the client's name and login included. Source: RFC 3207 §4.2."""
        self.secure = True
        peer = self._peer
        self._peer = Peer(ip=peer.ip, port=peer.port, rdns=peer.rdns, trusted=peer.trusted)
        self._hello_verdicts = ()
        self._peer_changed()
        self._forget_transaction()
        self.state = State.START

    def peer_named(self, name: str) -> None:
        """The client's name in DNS; Received and the logs have it from now on."""
        self._peer = evolve(self._peer, rdns=name)

    def secured(self, description: str) -> None:
        """TLS is established, with this protocol and cipher."""
        self.secure = True
        self._peer = evolve(self._peer, tls=description)


_COMMANDS: Final[Mapping[str, Callable[[SmtpSession, str], Request | None]]] = {
    "EHLO": SmtpSession._ehlo,
    "HELO": SmtpSession._helo,
    "MAIL": SmtpSession._mail,
    "RCPT": SmtpSession._rcpt,
    "DATA": SmtpSession._data,
    "RSET": SmtpSession._rset,
    "VRFY": SmtpSession._vrfy,
    "NOOP": SmtpSession._noop,
    "QUIT": SmtpSession._quit,
    "BDAT": SmtpSession._bdat,
}
