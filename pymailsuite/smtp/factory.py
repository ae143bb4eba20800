"""The factory of SMTP connections for a listener."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite import __version__
from pymailsuite.config.base import Network
from pymailsuite.config.sections.smtp import SmtpSettings, SubmissionSettings
from pymailsuite.interfaces import IMessageIntake, IRecipientResolver
from pymailsuite.interfaces.history import IRefusalRecord
from pymailsuite.interfaces.policy import IPolicyChain
from pymailsuite.interfaces.quota import IRecipientQuotas
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.sasl import Mechanisms
from pymailsuite.smtp.extension import Extensions
from pymailsuite.smtp.extensions import OURS
from pymailsuite.smtp.help import load_help
from pymailsuite.smtp.peer_names import PeerNames
from pymailsuite.smtp.protocol import SmtpProtocol
from pymailsuite.smtp.replies import reply
from pymailsuite.smtp.requests import Service
from pymailsuite.wire.connection import TlsContextFactory
from pymailsuite.wire.factory import ConnectionFactory, ConnectionLimits


class SmtpFactory(ConnectionFactory):
    """Makes the connections of an SMTP listener.

    The type of the section says which kind of listener it is: :class:`SmtpMxSettings` takes mail from other servers,
    :class:`SubmissionSettings` from users who log in. For implicit TLS (465) the listener wraps this factory in TLS.
    """

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        settings: SmtpSettings,
        hostname: str,
        resolver: IRecipientResolver,
        intake: IMessageIntake,
        reactor: IReactorTime,
        *,
        portal: Portal | None = None,
        mechanisms: Mechanisms | None = None,
        tls_context: TlsContextFactory | None = None,
        trusted_networks: Sequence[Network] | None = None,
        postmaster_domain: str = "",
        peer_names: PeerNames | None = None,
        policies: IPolicyChain | None = None,
        refusals: IRefusalRecord | None = None,
        rights: ISenderRights | None = None,
        quotas: IRecipientQuotas | None = None,
        extensions: Extensions = OURS,
    ) -> None:
        """``mechanisms`` is :func:`pymailsuite.sasl.mechanisms` or the like; AUTH needs it and ``portal``.

        ``tls_context`` None: no STARTTLS. ``trusted_networks`` None: those of the section. ``peer_names`` None: no
        look-up of client names in DNS. ``policies`` None: no checks. ``refusals`` None: refusals are only logged.
        ``rights`` None: users may send as any address. ``quotas`` None: nobody asks at RCPT whether a message fits.
        ``extensions`` default to the built-in ones. ConfigError if the section's help file cannot be read.
        """
        super().__init__(
            reactor,
            ConnectionLimits(settings.connections, settings.connections_per_address, settings.connections_per_minute),
            "submission" if isinstance(settings, SubmissionSettings) else "smtp",
        )
        version = f"pymailsuite {__version__}" if settings.show_version else ""
        self.service = Service(
            settings=settings,
            hostname=hostname,
            help_topics=load_help(settings.help_file, version, extensions.commands.values()),
            version=version,
            submission=isinstance(settings, SubmissionSettings),
            tls_available=tls_context is not None,
            mechanisms=mechanisms if portal is not None else None,
            postmaster_domain=postmaster_domain,
            policies=policies,
            refusals=refusals,
            rights=rights,
            quotas=quotas,
            extensions=extensions,
        )
        self._resolver = resolver
        self._intake = intake
        self._portal = portal
        self._tls_context = tls_context
        self._peer_names = peer_names
        self._trusted_networks = tuple(settings.trusted_networks if trusted_networks is None else trusted_networks)
        if settings.plaintext_login:
            self.log.warn(
                "{event}: passwords are taken without TLS from {networks}",
                event="smtp.plaintext_login_allowed",
                networks=", ".join(map(str, settings.plaintext_login)),
            )

    def make_protocol(self) -> SmtpProtocol:
        """A protocol for a new connection."""
        return SmtpProtocol(
            self.reactor,
            self.service,
            self._resolver,
            self._intake,
            self._portal,
            self._tls_context,
            self._trusted_networks,
            self._peer_names,
        )

    def busy_reply(self) -> bytes:
        """421: try again later. Source: RFC 5321 §3.8, §4.2.3."""
        return reply(421, "4.3.2", f"{self.service.hostname} Service unavailable, too many connections")
