"""The values that all sessions of one factory share: settings, interfaces of other rooms, and constant lines."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import Any, Final, Protocol, TypeVar

from attrs import evolve
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

import pymailsuite
from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.errors import LimitReached
from pymailsuite.imap.extension import Standing
from pymailsuite.imap.naming import PROFILES, Naming
from pymailsuite.imap.proxy.backends import Backends
from pymailsuite.imap.quirks import QuirkTable
from pymailsuite.imap.receiver import Limits
from pymailsuite.imap.snapshots import Snapshots
from pymailsuite.imap.thread_memory import ThreadMemory
from pymailsuite.imap.values import GrammarLimits
from pymailsuite.imap.vocabulary import Vocabulary
from pymailsuite.interfaces import IChangeNotices, IMailStore
from pymailsuite.interfaces.annotations import IAnnotations
from pymailsuite.interfaces.sharing import IMailSharing
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.sasl import Mechanisms, Offered
from pymailsuite.sasl import mechanisms as sasl_mechanisms
from pymailsuite.wire.addresses import may_send_passwords
from pymailsuite.wire.tally import Tally

T = TypeVar("T")

_LITERAL_MINUS: Final = 4096
"""Octets of a literal that clients may send unasked to a server with LITERAL-. Source: RFC 7888 §5."""


class Log(Protocol):
    """The logger of a session: a ``twisted.logger.Logger``."""

    def info(self, format: str | None = None, **fields: object) -> None:
        """Log an event."""

    def warn(self, format: str | None = None, **fields: object) -> None:
        """Log a problem for operators."""

    def error(self, format: str | None = None, **fields: object) -> None:
        """Log an error."""

    def failure(self, format: str, failure: Failure | None = None, **fields: Any) -> None:
        """A defect, with its traceback: ``failure``, or the exception that is being handled."""


class Connection(Protocol):
    """The methods of the connection that a session uses."""

    @property
    def log(self) -> Log:
        """The logger of the session."""

    secure: bool
    peer_ip: str
    peer_port: int

    @property
    def compressed(self) -> bool:
        """True once the octets of both directions are compressed (RFC 4978)."""

    @property
    def closing(self) -> bool:
        """True once nothing more will be read or sent."""

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
        """The time limit for the client's whole present activity."""

    def withdraw(self) -> None:
        """The login has been revoked: end the session."""

    def begin_tls(self) -> None:
        """Send the pending output, then begin TLS."""

    def channel_binding(self, kind: str) -> bytes | None:
        """What binds a login to the TLS of the connection, of a registered type."""

    def begin_compression(self) -> None:
        """Send the pending output, then compress all octets of both directions."""

    def close(self) -> None:
        """Send the pending output, then close."""

    def wake(self) -> None:
        """A change came outside of a command: let the session handle it."""

    def wake_later(self, delay_s: float) -> None:
        """As ``wake``, after that time, and not before."""

    def seconds(self) -> float:
        """The time, in POSIX seconds."""

    def wait(self, delay_s: float) -> Awaitable[None]:
        """Done when so many seconds have passed."""

    def within(self, timeout_s: float, work: Awaitable[T], too_slow: Exception) -> Awaitable[T]:
        """The result of ``work``; it is cancelled after so many seconds, and ``too_slow`` raised."""

    def count_refusal(self, what: str, reply: bytes) -> None:
        """Count a refusal of which only the number is recorded."""

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
        thread_memory: ThreadMemory,
        *,
        offers_tls: bool,
        mechanisms: Mechanisms = sasl_mechanisms,
        extraction: TextExtraction = NO_EXTRACTION,
        backends: Backends,
    ) -> None:
        self.settings = settings
        self.backends = backends
        self.hostname = hostname
        self.portal = portal
        self.notices = notices
        self.store = store
        self.vocabulary = vocabulary
        self.sharing = store.ability(IMailSharing)
        self.annotations = store.ability(IAnnotations)
        naming = Naming(PROFILES[settings.namespace], settings.namespace_others, settings.namespace_shared)
        self.naming = naming if self.sharing is not None else naming.without_others()
        self.offers_tls = offers_tls
        # Others than these do not tell us the password, which is to be passed on.
        self._mechanisms = sasl_mechanisms if settings.passes_passwords else mechanisms
        self.extraction = extraction
        """What makes text of attachments for searches."""
        self.before_login = Limits(
            settings.line_before_login, settings.literals_before_login, settings.literals_before_login
        )
        unasked = _LITERAL_MINUS if settings.literal_minus else sys.maxsize
        self.after_login = Limits(settings.line, settings.literals, settings.skipped_literal, unasked)
        self.per_account = Tally()
        self.snapshots = snapshots
        self.thread_memory = thread_memory
        self.grammar = GrammarLimits(
            search_keys=settings.search_keys, search_depth=settings.search_depth, sort_keys=settings.sort_keys
        )
        self.grammar_of_uids = evolve(self.grammar, sequence_numbers=False)
        """The same for a client that has enabled UIDONLY."""
        self._capabilities: dict[tuple[bool, bool, bool, bool], bytes] = {}
        fields = dict(settings.id)
        if fields and settings.id_version:
            fields.setdefault("version", pymailsuite.__version__)
        self.id_fields = fields
        self.quirks = QuirkTable(settings)

    def note_login(self, account: str) -> None:
        """Count a session of this account: its id, or the login name of a user of a back-end. LimitReached if it has
        too many."""
        if self.per_account[account] >= self.settings.connections_per_account:
            raise LimitReached("Too many sessions of this account")
        self.per_account.add(account)

    def forget_login(self, account: str) -> None:
        """A session of this account has ended."""
        self.per_account.remove(account)

    def plaintext_allowed(self, connection: Connection) -> bool:
        """Whether a password may be sent in plain text: the connection is protected, or a setting allows it."""
        return connection.secure or may_send_passwords(connection.peer_ip, self.settings.plaintext_login)

    def mechanisms_on(self, connection: Connection) -> Offered:
        """The SASL mechanisms for this connection."""
        channel = connection.channel_binding if connection.secure else None
        return self._mechanisms(self.plaintext_allowed(connection), channel)

    def capabilities(self, connection: Connection, *, logged_in: bool) -> bytes:
        """The present capability list for this connection."""
        plaintext = not logged_in and self.plaintext_allowed(connection)
        key = (logged_in, connection.secure, plaintext, connection.compressed)
        listed = self._capabilities.get(key)
        if listed is None:
            standing = Standing(
                self.settings,
                self.offers_tls,
                connection.secure,
                plaintext=plaintext,
                logged_in=logged_in,
                compressed=connection.compressed,
                shares=self.sharing is not None,
                annotates=self.annotations is not None,
                mechanisms=tuple(self.mechanisms_on(connection)),
            )
            listed = self._capabilities[key] = self.vocabulary.capabilities(standing)
        return listed
