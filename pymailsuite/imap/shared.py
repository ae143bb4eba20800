"""What all sessions of one factory share: settings, interfaces of other rooms, and the lines that never change."""

from __future__ import annotations

from collections.abc import Awaitable
from ipaddress import ip_address
from typing import Any, Protocol, TypeVar

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

import pymailsuite
from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.errors import LimitReached
from pymailsuite.imap.extension import Standing
from pymailsuite.imap.receiver import Limits
from pymailsuite.imap.snapshots import Snapshots
from pymailsuite.imap.vocabulary import Vocabulary
from pymailsuite.interfaces import IChangeNotices, IMailStore
from pymailsuite.wire.tally import Tally

T = TypeVar("T")


class Log(Protocol):
    """What a session writes to the log with: a ``twisted.logger.Logger``."""

    def info(self, format: str | None = None, **fields: object) -> None:
        """What goes on."""

    def warn(self, format: str | None = None, **fields: object) -> None:
        """What an operator may want to look at."""

    def error(self, format: str | None = None, **fields: object) -> None:
        """What went wrong."""

    def failure(self, format: str, failure: Failure | None = None, **fields: Any) -> None:
        """A defect, with its traceback: ``failure``, or the exception that is being handled."""


class Connection(Protocol):
    """What a session asks of the connection it speaks over."""

    @property
    def log(self) -> Log:
        """Where the session writes to the log."""

    secure: bool
    peer_ip: str
    peer_port: int

    @property
    def closing(self) -> bool:
        """True once nothing more will be read or heard."""

    def send(self, octets: bytes) -> None:
        """Send at the end of this turn."""

    def send_all(self, pieces: list[bytes]) -> None:
        """Send many pieces as one."""

    def drained(self) -> Deferred[None] | None:
        """None: go on; a Deferred: the client must read first."""

    def next_turn(self) -> Deferred[None]:
        """Fires when other connections have had their turn."""

    def set_timeout(self, timeout_s: float | None) -> None:
        """The client has that long."""

    def set_deadline(self, timeout_s: float | None) -> None:
        """The client has that long for all of what it is at."""

    def withdraw(self) -> None:
        """What the login was granted has been taken away: end."""

    def begin_tls(self) -> None:
        """Send what there is, then TLS."""

    def close(self) -> None:
        """Send what there is, then close."""

    def wake(self) -> None:
        """Something happened outside of a command: have the session look."""

    def wake_later(self, delay_s: float) -> None:
        """As ``wake``, after that time, before which the session does not look."""

    def seconds(self) -> float:
        """What time it is, in POSIX seconds."""

    def wait(self, delay_s: float) -> Awaitable[None]:
        """Done when so many seconds have passed."""

    def within(self, timeout_s: float, work: Awaitable[T], too_slow: Exception) -> Awaitable[T]:
        """What ``work`` ends with; it is called off after so many seconds, and ``too_slow`` raised."""

    def count_refusal(self, what: str, reply: bytes) -> None:
        """The client is refused something of which only the number is told."""

    def tls_description(self) -> str:
        """Protocol and cipher, or nothing."""


class Shared:
    """One for all sessions of a factory."""

    def __init__(
        self,
        settings: ImapSettings,
        hostname: str,
        portal: Portal,
        notices: IChangeNotices,
        store: IMailStore,
        vocabulary: Vocabulary,
        snapshots: Snapshots,
        *,
        offers_tls: bool,
    ) -> None:
        self.settings = settings
        self.hostname = hostname
        self.portal = portal
        self.notices = notices
        self.store = store
        self.vocabulary = vocabulary
        self.offers_tls = offers_tls
        self.before_login = Limits(
            settings.line_before_login, settings.literals_before_login, settings.literals_before_login
        )
        self.after_login = Limits(settings.line, settings.literals, settings.skipped_literal)
        self.per_account = Tally()
        self.snapshots = snapshots
        self._capabilities: dict[tuple[bool, bool, bool], bytes] = {}
        fields = dict(settings.id)
        if fields and settings.id_version:
            fields.setdefault("version", pymailsuite.__version__)
        self.id_fields = fields

    def note_login(self, account_id: int) -> None:
        """One session more of this account. LimitReached if it has too many."""
        if self.per_account[str(account_id)] >= self.settings.connections_per_account:
            raise LimitReached("Too many sessions of this account")
        self.per_account.add(str(account_id))

    def forget_login(self, account_id: int) -> None:
        """One session less."""
        self.per_account.remove(str(account_id))

    def plaintext_allowed(self, connection: Connection) -> bool:
        """Whether a password may be sent as it is: nobody can listen, or it was allowed on purpose."""
        return connection.secure or (self.settings.plaintext_login and _is_loopback(connection.peer_ip))

    def capabilities(self, connection: Connection, *, logged_in: bool) -> bytes:
        """The capability list as it stands for this connection."""
        key = (logged_in, connection.secure, not logged_in and self.plaintext_allowed(connection))
        listed = self._capabilities.get(key)
        if listed is None:
            standing = Standing(
                self.settings, self.offers_tls, connection.secure, plaintext=key[2], logged_in=logged_in
            )
            listed = self._capabilities[key] = self.vocabulary.capabilities(standing)
        return listed


def _is_loopback(ip: str) -> bool:
    try:
        return ip_address(ip).is_loopback
    except ValueError:
        # A UNIX socket has no address, and nobody on the way.
        return ip == ""
