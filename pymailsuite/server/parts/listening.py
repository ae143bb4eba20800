"""What clients connect to: the protocols on their ports."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from twisted.logger import Logger

from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.imap.factory import ImapFactory
from pymailsuite.imap.plugin import find_vocabulary
from pymailsuite.imap.proxy.backends import Backends
from pymailsuite.interfaces import IRecipientResolver
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.state import IStateStore
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.dns_setup.services import reachable_services
from pymailsuite.pop3.extension import find_extensions as find_pop3_extensions
from pymailsuite.pop3.factory import Pop3Factory
from pymailsuite.queue.presence import Presence
from pymailsuite.server.listeners import Listeners, ListeningService, Proxies, Sessions
from pymailsuite.server.parts.accounts import Accounts
from pymailsuite.server.parts.checks import Checks
from pymailsuite.server.parts.foundation import Foundation
from pymailsuite.server.parts.mail_flow import MailFlow
from pymailsuite.server.parts.records import Records
from pymailsuite.server.tls import HTTP_TLS, IMAP_TLS, POP3_TLS, SMTP_TLS, ServerTls
from pymailsuite.smtp.extension import find_extensions
from pymailsuite.smtp.factory import SmtpFactory
from pymailsuite.smtp.peer_names import PeerNames
from pymailsuite.web import Pages, WebFactory, offers_of
from pymailsuite.wire.factory import ConnectionFactory
from pymailsuite.wire.tally import Tally

log = Logger()


class Listening:
    """The listeners and their sessions.

    ``flow`` and ``checks`` None: no mail comes in. ConfigError if the settings have a listener for mail all the same.
    """

    def __init__(
        self,
        foundation: Foundation,
        accounts: Accounts,
        records: Records,
        tls: ServerTls,
        presence: Presence,
        flow: MailFlow | None,
        checks: Checks | None,
    ) -> None:
        settings, reactor, role = foundation.settings, foundation.reactor, foundation.role
        self._foundation = foundation
        self._accounts = accounts
        self._records = records
        self._tls = tls
        mail_in = [] if flow is None or checks is None else self._smtp(flow, checks)
        if flow is None:
            self._refuse_listeners_for_mail()
        recipients = accounts.recipients if flow is None else flow.recipients
        self.offered = [*mail_in, *self._imap(), *self._pop3(presence), *self._web(recipients)]
        proxies = Proxies(settings.listeners.proxies, settings.listeners.proxy_timeout, self._proxy_refused)
        self.listeners = Listeners(reactor, self.offered, role.shared, role.accept_quota, proxies)
        factories = dict.fromkeys(one.factory for one in self.offered if isinstance(one.factory, ConnectionFactory))
        for factory in factories:
            factory.refusal_counts = records.refusal_counts
            factory.handshake_timeout_s = settings.tls.handshake_timeout
        self.services = (Sessions(factories, settings.maintenance.stop_grace, reactor), self.listeners)

    def tallies(self) -> dict[str, Tally]:
        """What is counted against a limit that holds for the whole machine, by a name of its own."""
        tallies: dict[str, Tally] = {}
        for service in self.offered:
            # A service with TLS from the start shares the factory, and so the tally, of the one without.
            if service.tls is None or isinstance(service.factory, WebFactory):
                tallies[service.name] = cast(ConnectionFactory | WebFactory, service.factory).tally
            if isinstance(service.factory, ImapFactory):
                tallies["imap accounts"] = service.factory.shared.per_account
        return tallies

    def _proxy_refused(self, service: str, ip: str, why: bytes) -> None:
        self._records.refusal_counts.note(service, "bad_proxy_header", ip, why)

    def _refuse_listeners_for_mail(self) -> None:
        listeners = self._foundation.settings.listeners
        for name in ("smtp", "submission", "submissions"):
            if name in listeners.model_fields_set and getattr(listeners, name):
                needed(self._foundation.store, IQueueStore, f"listeners.{name}")

    def _smtp(self, flow: MailFlow, checks: Checks) -> list[ListeningService]:
        foundation = self._foundation
        settings, listeners, reactor = foundation.settings, foundation.settings.listeners, foundation.reactor
        smtp_tls = self._tls.for_service(SMTP_TLS, session_tickets=settings.tls.mx_session_tickets)
        submission_tls = self._tls.for_service(SMTP_TLS)

        def peer_names(section: Any) -> PeerNames | None:
            if not section.reverse_dns:
                return None
            return PeerNames(foundation.resolver, section.reverse_dns_timeout, reactor)

        make = partial(
            SmtpFactory,
            hostname=foundation.hostname,
            resolver=flow.recipients,
            intake=flow.intake,
            reactor=reactor,
            portal=self._accounts.portal,
            mechanisms=self._accounts.mechanisms,
            postmaster_domain=next(iter(settings.server.domains), ""),
            policies=checks.policies,
            refusals=self._records.history,
            rights=flow.rights,
            quotas=flow.quotas,
            extensions=find_extensions(),
        )
        smtp = make(settings.smtp, tls_context=smtp_tls, peer_names=peer_names(settings.smtp))
        submission = make(settings.submission, tls_context=submission_tls, peer_names=peer_names(settings.submission))
        mail_in = partial(ListeningService, takes_mail_in=True)
        return [
            mail_in(
                "smtp",
                "listeners.smtp",
                listeners.smtp,
                smtp,
                proxies=settings.smtp.proxy_protocol,
                trusts_loopback=any(network.is_loopback for network in settings.smtp.trusted_networks),
            ),
            mail_in("submission", "listeners.submission", listeners.submission, submission),
            mail_in("submissions", "listeners.submissions", listeners.submissions, submission, submission_tls),
        ]

    def _imap(self) -> list[ListeningService]:
        foundation = self._foundation
        settings, listeners, store = foundation.settings.imap, foundation.settings.listeners, foundation.store
        if settings.plaintext_login:
            log.warn(
                "{event}: passwords are taken without TLS from {networks}",
                event="imap.plaintext_login_allowed",
                networks=", ".join(map(str, settings.plaintext_login)),
            )
        tls = self._tls.for_service(IMAP_TLS)
        factory = ImapFactory(
            settings,
            foundation.hostname,
            self._accounts.portal,
            store.notices,
            store,
            find_vocabulary(settings),
            tls,
            foundation.reactor,
            self._accounts.mechanisms,
            foundation.text_extraction,
            Backends(settings, foundation.reactor, AddressFilter(listeners=listeners).is_ourselves),
        )
        return [
            ListeningService("imap", "listeners.imap", listeners.imap, factory),
            ListeningService("imaps", "listeners.imaps", listeners.imaps, factory, tls),
        ]

    def _pop3(self, presence: Presence) -> list[ListeningService]:
        foundation = self._foundation
        settings, listeners = foundation.settings.pop3, foundation.settings.listeners
        tls = self._tls.for_service(POP3_TLS)
        factory = Pop3Factory(
            settings,
            foundation.hostname,
            self._accounts.portal,
            foundation.reactor,
            needed(foundation.store, IStateStore, "pop3.login_delay") if settings.login_delay else None,
            tls_context=tls,
            mechanisms=self._accounts.mechanisms,
            owner=presence.owner,
            extensions=find_pop3_extensions(),
        )
        return [
            ListeningService("pop3", "listeners.pop3", listeners.pop3, factory),
            ListeningService("pop3s", "listeners.pop3s", listeners.pop3s, factory, tls),
        ]

    def _web(self, recipients: IRecipientResolver) -> list[ListeningService]:
        foundation = self._foundation
        settings, hostname = foundation.settings, foundation.hostname
        endpoints = settings.listeners.https
        if not endpoints:
            return []
        offers = offers_of(reachable_services(settings.listeners), hostname)
        pages = Pages(hostname, offers, settings.dns_setup, recipients)
        factory = WebFactory(settings.web, pages, foundation.reactor, self._records.refusal_counts)
        return [ListeningService("https", "listeners.https", endpoints, factory, self._tls.for_service(HTTP_TLS))]
