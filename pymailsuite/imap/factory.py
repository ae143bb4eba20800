"""Makes sessions: one factory a listener."""

from __future__ import annotations

from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap import replies
from pymailsuite.imap.protocol import ImapProtocol
from pymailsuite.imap.shared import Shared
from pymailsuite.interfaces import IChangeNotices, IMailStore
from pymailsuite.wire.shell import ConnectionLimits, ShellFactory


class ImapFactory(ShellFactory):
    """``tls_context`` is what STARTTLS uses; None: it is not offered (or the listener has TLS from the start)."""

    def __init__(
        self,
        settings: ImapSettings,
        hostname: str,
        portal: Portal,
        notices: IChangeNotices,
        store: IMailStore,
        tls_context: Any | None,
        reactor: IReactorTime,
    ) -> None:
        limits = ConnectionLimits(settings.connections, settings.connections_per_address)
        super().__init__(reactor, limits, "imap")
        self._tls_context = tls_context
        self._idle: set[ImapProtocol] = set()
        # One clock for all: a timer for each session would be most of what an idle session costs.
        self._keepalive = LoopingCall(self._keep_alive)
        self._keepalive.clock = reactor
        self.shared = Shared(settings, hostname, portal, notices, store, reactor, offers_tls=tls_context is not None)

    def make_protocol(self) -> ImapProtocol:
        """A protocol for a new connection."""
        return ImapProtocol(self.shared, self._tls_context)

    def busy_reply(self) -> bytes:
        """RFC 3501 §7.1.5: a greeting that is BYE."""
        return replies.bye("Too many connections")

    def note_idle(self, protocol: ImapProtocol, is_idle: bool) -> None:
        """Whether a connection is in IDLE and wants to be kept awake."""
        if is_idle:
            self._idle.add(protocol)
            interval_s = self.shared.settings.idle_keepalive
            if interval_s and not self._keepalive.running:
                self._keepalive.start(interval_s, now=False)
        elif self._idle:
            self._idle.discard(protocol)
            if not self._idle and self._keepalive.running:
                self._keepalive.stop()

    def _keep_alive(self) -> None:
        for protocol in tuple(self._idle):
            protocol.send(replies.STILL_HERE)
