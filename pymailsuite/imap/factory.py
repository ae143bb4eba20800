"""Makes sessions: one factory a listener."""

from __future__ import annotations

from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap import replies
from pymailsuite.imap.idle_clients import IdleClients
from pymailsuite.imap.protocol import ImapProtocol
from pymailsuite.imap.proxy.backends import Backends
from pymailsuite.imap.shared import Shared
from pymailsuite.imap.snapshots import Snapshots
from pymailsuite.imap.thread_memory import ThreadMemory
from pymailsuite.imap.vocabulary import Vocabulary
from pymailsuite.interfaces import IChangeNotices, IMailStore
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.sasl import Mechanisms
from pymailsuite.sasl import mechanisms as sasl_mechanisms
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits


class ImapFactory(ConnectionFactory):
    """``tls_context`` is what STARTTLS uses; None: it is not offered (or the listener has TLS from the start)."""

    def __init__(
        self,
        settings: ImapSettings,
        hostname: str,
        portal: Portal,
        notices: IChangeNotices,
        store: IMailStore,
        vocabulary: Vocabulary,
        tls_context: Any | None,
        reactor: IReactorTime,
        mechanisms: Mechanisms = sasl_mechanisms,
        extraction: TextExtraction = NO_EXTRACTION,
        backends: Backends | None = None,
    ) -> None:
        limits = ConnectionLimits(settings.connections, settings.connections_per_address)
        super().__init__(reactor, limits, "imap")
        self._tls_context = tls_context
        self._idle_clients = IdleClients(settings.idle_keepalive, reactor)
        offers_tls = tls_context is not None
        snapshots = Snapshots(reactor, settings.remembered_messages)
        thread_memory = ThreadMemory(reactor, settings.remembered_threads)
        self.shared = Shared(
            settings,
            hostname,
            portal,
            notices,
            store,
            vocabulary,
            snapshots,
            thread_memory,
            offers_tls=offers_tls,
            mechanisms=mechanisms,
            extraction=extraction,
            backends=backends or Backends(settings, reactor, lambda _ip, _port: False),
        )

    def make_protocol(self) -> ImapProtocol:
        """A protocol for a new connection."""
        return ImapProtocol(self.shared, self._idle_clients, self._tls_context, self.reactor)

    def busy_reply(self) -> bytes:
        """RFC 3501 §7.1.5: a greeting that is BYE."""
        return replies.bye("Too many connections")
