"""The factory of POP3 connections for a listener."""

from __future__ import annotations

from typing import ClassVar

from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.interfaces import IStateStore
from pymailsuite.pop3.extension import Extensions
from pymailsuite.pop3.extensions import OURS
from pymailsuite.pop3.login_delay import LoginDelay
from pymailsuite.pop3.protocol import Pop3Protocol
from pymailsuite.pop3.replies import err
from pymailsuite.pop3.requests import Service
from pymailsuite.sasl import Mechanisms
from pymailsuite.sasl import mechanisms as sasl_mechanisms
from pymailsuite.wire.connection import TlsContextFactory
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits


class Pop3Factory(ConnectionFactory):
    """Makes the connections of a POP3 listener. For implicit TLS (995) the listener wraps this factory in TLS."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        settings: Pop3Settings,
        hostname: str,
        portal: Portal,
        reactor: IReactorTime,
        counts: IStateStore | None,
        *,
        mechanisms: Mechanisms = sasl_mechanisms,
        tls_context: TlsContextFactory | None = None,
        owner: str = "",
        extensions: Extensions = OURS,
    ) -> None:
        """``portal`` gives avatars for IPop3Avatar. ``counts`` remembers logins for LOGIN-DELAY; None: no delay.
        ``tls_context`` None: no STLS. ``owner`` names this process where its maildrop locks are released when it has
        died. ``extensions`` default to the built-in ones."""
        limits = ConnectionLimits(settings.connections, settings.connections_per_address)
        super().__init__(reactor, limits, "pop3")
        self.service = Service(settings, hostname, tls_context is not None, mechanisms, owner or hostname, extensions)
        self._portal = portal
        self._tls_context = tls_context
        self._login_delay = LoginDelay(settings.login_delay, counts)
        if settings.plaintext_login:
            self.log.warn(
                "{event}: passwords are taken without TLS from {networks}",
                event="pop3.plaintext_login_allowed",
                networks=", ".join(map(str, settings.plaintext_login)),
            )

    def make_protocol(self) -> Pop3Protocol:
        """A protocol for a new connection."""
        return Pop3Protocol(self.reactor, self.service, self._portal, self._login_delay, self._tls_context)

    def busy_reply(self) -> bytes:
        """A negative reply: try again later."""
        return err("too many connections, try again later", "SYS/TEMP")
