"""AUTH: the command and its exchange, base64 lines around a SASL mechanism. Source: RFC 4954 §4."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from pymailsuite.errors import LoginRefused, MailError, PeerError
from pymailsuite.interfaces import Account
from pymailsuite.sasl import Challenge, Exchange, Outcome, Pending, decode_initial, decode_response, encode_challenge
from pymailsuite.smtp import replies
from pymailsuite.smtp.conversation import Conversation
from pymailsuite.smtp.requests import AwaitLogin, HoldBack, LogIn, Request, Service
from pymailsuite.smtp.states import State
from pymailsuite.values import Peer


class LoginCommands(Conversation):
    """AUTH, from the command to the final reply."""

    def __init__(self, service: Service, peer: Peer, secure: bool, plaintext_login: bool = False) -> None:
        super().__init__(service, peer, secure, plaintext_login)
        self._failed_logins = 0
        self._login: Exchange | None = None
        self._login_reply = b""

    def log_in(self, argument: str) -> Request | None:
        """The AUTH command; ``argument`` is the text after the verb."""
        offered = self.offered_mechanisms()
        service = self.service
        name, _, initial = argument.strip().partition(" ")
        name = name.upper()
        if self._peer.login:
            self.refuse(replies.ALREADY_LOGGED_IN)
        elif not self._peer.esmtp:
            self.refuse(replies.EHLO_FIRST)
        elif not offered:
            needs_tls = service.submission and service.tls_available and not self.secure
            self.refuse(replies.ENCRYPTION_REQUIRED if needs_tls else replies.NOT_IMPLEMENTED)
        elif not name:
            self.refuse(replies.ARGUMENT_REQUIRED)
        elif name not in offered:
            self.refuse(replies.UNKNOWN_MECHANISM)
        else:
            exchange = Exchange(offered[name]())
            self._login = exchange
            self.state = State.LOGIN
            return self._login_step(lambda: exchange.begin(decode_initial(initial.encode()) if initial else None))
        return None

    def _login_line(self, line: bytes) -> Request | None:
        exchange = self._login
        assert exchange is not None, "no AUTH exchange"
        return self._login_step(lambda: exchange.go_on(decode_response(line)))

    def _login_step(self, step: Callable[[], Outcome]) -> Request | None:
        try:
            return self.login_goes_on(step())
        except LoginRefused as error:
            return self.login_refused(error)
        except PeerError as error:
            self._leave_login(replies.error_reply(error))
            return None

    def login_goes_on(self, outcome: Outcome) -> Request | None:
        """What the exchange has come to."""
        if isinstance(outcome, Challenge):
            self.say(b"334 %b\r\n" % encode_challenge(outcome.octets))
            return None
        return AwaitLogin(outcome) if isinstance(outcome, Pending) else LogIn(outcome)

    def _leave_login(self, octets: bytes) -> None:
        self._login = None
        self.state = State.READY
        self.refuse(octets)

    def logged_in(self, account: Account) -> None:
        """The portal has accepted the credentials."""
        self._login = None
        self.state = State.READY
        self._peer = evolve(self._peer, login=account.login_name, grant=account.grant)
        # Verdicts on the client before its login do not apply to the user.
        self._connection_verdicts = self._hello_verdicts = ()
        self._peer_changed()
        self.say(replies.LOGGED_IN)

    def login_refused(self, error: MailError) -> Request:
        """The portal has refused the credentials. The reply is delayed, longer each time, so that guessing is slow."""
        self._login = None
        self._failed_logins += 1
        settings = self.settings
        self._login_reply = replies.error_reply(error)
        self._note("smtp.login_refused", self._login_reply)
        self._held = self._say_refusal
        # 2.0 ** 1024 would not be a float any more; the setting that bounds failures has no upper limit.
        delay_s = settings.failed_login_delay * 2.0 ** min(self._failed_logins - 1, 60)
        return HoldBack(min(delay_s, settings.failed_login_delay_max))

    def _say_refusal(self) -> None:
        self._leave_login(self._login_reply)
        if self._failed_logins >= self.settings.max_failed_logins and not self.ended:
            self._cut_off("Too many failed logins")

    def login_failed(self) -> None:
        """The portal cannot check the credentials now."""
        self._login = None
        self.state = State.READY
        self.say(replies.LOGIN_TEMPORARILY_FAILED)
