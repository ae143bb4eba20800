"""The connection to a back-end: it logs a user in, and then carries what passes between client and back-end."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.imap import ImapBackend, is_loopback
from pymailsuite.errors import LoginRefused, TemporaryFailure
from pymailsuite.imap.proxy.dialogue import BackendDialogue, BackendLogin, BeginTls, LoggedIn, NotLoggedIn, Outcome
from pymailsuite.imap.proxy.passage import Passage
from pymailsuite.wire.addresses import peer_ip
from pymailsuite.wire.connection import ConnectionProtocol

_HOLD = ConnectionProtocol.max_unread + 1


class BackendUnavailable(TemporaryFailure):
    """The server that has the user's mail cannot be used now. Source: RFC 5530."""

    text = "The server with your mail is not available"


class BackendConnection(ConnectionProtocol):
    """One connection to ``backend``. ``tls`` None: without TLS, to a loopback address alone.

    ``logged_in`` fires with the connection once the user is in. It fails with LoginRefused if the back-end refused the
    password, and with BackendUnavailable otherwise. ``is_ourselves`` tells of an address and a port whether that is a
    listener of ours.
    """

    log: ClassVar[Logger] = Logger()
    protocol_name = "imap back-end"

    def __init__(
        self,
        reactor: IReactorTime,
        backend: ImapBackend,
        login: BackendLogin,
        tls: IOpenSSLClientConnectionCreator | None,
        login_timeout_s: float,
        is_ourselves: Callable[[str, int], bool],
    ) -> None:
        super().__init__(reactor)
        self._backend = backend
        self._tls = tls
        self._login_timeout_s = login_timeout_s
        self._is_ourselves = is_ourselves
        self._dialogue = BackendDialogue(login, starttls=backend.tls == "starttls")
        self._waiting: list[bytes] = []
        self._passage: Passage | None = None
        self.logged_in: Deferred[BackendConnection] = Deferred(lambda _: self.abort())
        self.completion = b""
        """The back-end's reply to the login, without its tag."""
        self.untagged: tuple[bytes, ...] = ()
        """The lines before it."""

    def join(self, passage: Passage) -> bytes:
        """From now on what comes is passed on. Returns what came since the login, which is to be passed first; until
        then nothing more is read."""
        self._passage = passage
        waiting, self._waiting = self._waiting, []
        return b"".join(waiting)

    # --- methods that the base class calls

    def log_opened(self) -> None:
        self.log.info("{event} to {target}", event="imap.backend_connected", target=str(self._backend))

    def log_closed(self, seconds: float, reason: Failure) -> None:
        self.log.info(
            "{event} from {target}",
            event="imap.backend_disconnected",
            target=str(self._backend),
            seconds=seconds,
            reason=reason.getErrorMessage(),
        )

    def connection_opened(self) -> None:
        """Nothing is said before it is known where the connection leads."""
        peer = self.transport.getPeer()
        ip = peer_ip(peer)
        if self._is_ourselves(ip, self.peer_port):
            self._fail(NotLoggedIn(f"{ip} is this very server"))
        elif self._backend.tls == "none" and not is_loopback(ip):
            self._fail(NotLoggedIn(f"{ip} is no loopback address, and there is no TLS"))
        else:
            self.set_deadline(self._login_timeout_s)
            if self._backend.tls == "implicit":
                self.start_tls(self._tls)

    def drop_unread(self) -> int:
        return self._dialogue.drop_unread()

    def secured(self) -> None:
        """The handshake fails unless the certificate is good and for the host's name, so this is the back-end."""
        self._dialogue.secured()
        self._send_out()

    def octets_received(self, octets: bytes) -> None:
        if self._passage is not None:
            self._passage.from_backend(octets)
        elif self.logged_in.called:
            self._waiting.append(octets)
        else:
            outcome = self._dialogue.receive(octets)
            self._send_out()
            if outcome is not None:
                self._act(outcome)

    def timed_out(self) -> None:
        """It is silent before the login is done, or does not take what the client sends."""
        self._fail(NotLoggedIn("it did not answer in time"))
        self.abort()

    def turn_failed(self, failure: Failure) -> None:
        self._fail(NotLoggedIn("internal error"))
        self.abort()

    def connection_closed(self, reason: Failure) -> None:
        self._fail(NotLoggedIn(f"connection lost: {reason.getErrorMessage()}"))
        if self._passage is not None:
            self._passage.end()

    # --- parts of them

    def _send_out(self) -> None:
        self.send_all(self._dialogue.out)
        self._dialogue.out = []

    def _act(self, outcome: Outcome) -> None:
        match outcome:
            case BeginTls():
                self.start_tls(self._tls)
            case LoggedIn(completion, untagged, rest):
                self.completion, self.untagged = completion, untagged
                self._waiting = [rest]
                self.set_deadline(None)
                self.hold_reading(_HOLD)
                self.logged_in.callback(self)
            case NotLoggedIn():
                self._fail(outcome)

    def _fail(self, why: NotLoggedIn) -> None:
        if not self.logged_in.called:
            kind = LoginRefused if why.is_refused else BackendUnavailable
            self.logged_in.errback(Failure(kind(cause=why.reason)))
            self.close()
