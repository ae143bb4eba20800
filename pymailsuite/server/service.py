"""The whole server: settings in, one service out.

All parts are made when the service is made, in this order, and nothing is opened yet: faults of the settings are known
before twistd forks. Ports are bound when it is started with privileges, the store is opened once it has dropped them,
and only then are connections served. It stops the other way round: no more connections, sessions that end what is under
way, the queue, the threads that hash, and at last the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from attrs import field, frozen
from twisted.application.service import MultiService, Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from pymailsuite import __version__
from pymailsuite.auth import AuthService, LoginThrottle, LoginWatch
from pymailsuite.bus.bridge import ChangePoll, StoreBusBridge
from pymailsuite.bus.database import DatabaseBus
from pymailsuite.bus.subscriptions import LocalBus
from pymailsuite.config.settings import Settings
from pymailsuite.delivery.assembly import make_planner
from pymailsuite.delivery.dsn import DsnWriter
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.late import LateDelivery
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.account_names import AccountNames
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.send_as import SenderRights
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.resolver import Resolver
from pymailsuite.errors import MailError
from pymailsuite.imap.factory import ImapFactory
from pymailsuite.imap.plugin import find_vocabulary
from pymailsuite.interfaces import IChangeBus, IMailStore, IRecipientResolver
from pymailsuite.interfaces.channel import IStoreChannel
from pymailsuite.interfaces.dmarc import IDmarcStore, IFailureStore
from pymailsuite.interfaces.egress import EgressContext
from pymailsuite.interfaces.history import IHistoryStore
from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.interfaces.keys import IKeyStore
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.interfaces.send_as import ISendAsStore
from pymailsuite.interfaces.state import IStateStore
from pymailsuite.interfaces.store import IStoreMaintenance, needed
from pymailsuite.plugins import PluginService
from pymailsuite.policy.arc.sealing import ForwardSealer
from pymailsuite.policy.assembly import make_chain
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.policy.dkim.own_mail import OwnMailSigner
from pymailsuite.policy.dmarc.reports.failures import FailureReportSender
from pymailsuite.policy.dmarc.reports.posting import Outgoing
from pymailsuite.policy.dmarc.reports.sending import ReportSender
from pymailsuite.policy.dns_setup.services import reachable_services
from pymailsuite.policy.dns_setup.watch import ListingWatch
from pymailsuite.policy.lists.dns_lists import DnsLists
from pymailsuite.pop3.extension import find_extensions as find_pop3_extensions
from pymailsuite.pop3.factory import Pop3Factory
from pymailsuite.queue.presence import Presence
from pymailsuite.queue.runner import QueueRunner
from pymailsuite.queue.services import PresenceService, QueueService
from pymailsuite.relay.egress import make_transforms
from pymailsuite.relay.probing import RecipientProbe
from pymailsuite.relay.transports import TransportContext, Transports, make_transports
from pymailsuite.sasl import mechanisms
from pymailsuite.server.data_folder import add_configured_domains, give_to, make_folder, store_of
from pymailsuite.server.listeners import AcceptQuota, Listeners, ListeningService, Proxies, Sessions, SharedSockets
from pymailsuite.server.maintenance import ReactorLagMonitor, StoreFiller, StoreSweeper
from pymailsuite.server.store_abilities import tell_what_is_missing
from pymailsuite.server.tls import HTTP_TLS, IMAP_TLS, POP3_TLS, SMTP_TLS, Pem, ServerTls, ServiceTls, certificate_files
from pymailsuite.smtp.extension import find_extensions
from pymailsuite.smtp.factory import SmtpFactory
from pymailsuite.smtp.peer_names import PeerNames
from pymailsuite.web import Pages, WebFactory, offers_of
from pymailsuite.wire.factory import ConnectionFactory
from pymailsuite.wire.refusal_counts import RefusalCounts
from pymailsuite.wire.tally import Tally

log = Logger()


@frozen
class ProcessRole:
    """The role of a server among the processes that work on one store; by default it is alone.

    ``shared``: listening sockets another process has bound. ``sweeps``: whether the sweeping of the store falls to it;
    ``runs_queue``: whether the queue does. ``pem``: the certificate as it was when it could be read. ``accept_quota``:
    connections of those who hand over mail to take at once.
    """

    bus: IChangeBus = field(factory=LocalBus)
    shared: SharedSockets | None = None
    sweeps: bool = True
    runs_queue: bool = True
    pem: Pem | None = None
    accept_quota: AcceptQuota = lambda tally: 1


class MailService(MultiService):
    """A mail server. ``store``, ``portal`` and ``listeners`` are for programs that embed it.

    ``checkers`` are asked after those of ``[auth] checkers``. ``owner`` (uid, gid) is whom twistd will run as, if not
    as the user it was started by. ``on_ready`` is called when connections are served, ``on_failure`` with what kept
    the store from being opened. ``log_observer`` takes twistd's log, if given. ``role`` joins the server to other
    processes on the same store. ConfigError if the settings ask for what cannot be had.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        *,
        checkers: Sequence[ICredentialsChecker] = (),
        owner: tuple[int, int] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_failure: Callable[[Failure], None] = lambda failure: None,
        log_observer: ILogObserver | None = None,
        role: ProcessRole | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setName("pymailsuite")  # type: ignore[no-untyped-call]
        self.settings = settings
        role = role or ProcessRole()
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._log_observer = log_observer
        self._started: Deferred[None] = succeed(None)
        self._is_open = False

        make_folder(settings.server.data_dir, owner)
        self.store: IMailStore = store_of(settings, reactor)
        self._takes_mail = takes_mail = self.store.ability(IQueueStore) is not None
        tell_what_is_missing(self.store, settings)
        self._resolver = Resolver(settings.dns, reactor)
        self._address_filter = AddressFilter(settings.outgoing, settings.listeners, settings.relay.own_addresses)
        names = AccountNames(settings.directory.detail_separator, self.store.directory)
        throttle = LoginThrottle(settings.throttle, self.store.ability(IStateStore), reactor, names.key_of)
        auth = AuthService(settings.auth, self.store, reactor, checkers, throttle)
        self.portal = auth.portal
        roles = RoleAddresses(settings.server.hostname, [settings.dmarc.report_from])
        directory = RecipientResolver(settings.directory, self.store.directory, reactor, roles)
        recipients: IRecipientResolver = directory
        self._rights: SenderRights | None = None
        self._key_ring: KeyRing | None = None
        if takes_mail and settings.dkim_sign.action != "off":
            self._key_ring = KeyRing(settings.dkim_sign, self.store.ability(IKeyStore), reactor)
        if takes_mail:
            self._paths = ReturnPaths(
                settings.forwarding,
                settings.bounce_tags,
                needed(self.store, ISecretStore),
                reactor,
                self.store.ability(IKeptPaths),
            )
            recipients = ReturnPathResolver(directory, self._paths)
            grants = needed(self.store, ISendAsStore)
            self._rights = SenderRights(settings.directory, self.store.directory, grants, reactor)
        self._presence = Presence(settings.server.data_dir / "queue", settings.server.hostname)
        history = self.store.ability(IHistoryStore) if settings.history.enabled else None
        self._history = None if history is None else HistoryRecorder(settings.history, history, reactor)
        self._refusal_counts = refusal_counts = RefusalCounts(
            reactor, settings.history.limits_window, settings.history.limits_addresses, self._history
        )
        self._queue_runner: QueueRunner | None = None
        queue: Service = PresenceService(self._presence)
        if takes_mail:
            self._planner = self._make_planner(recipients, reactor)
            self._reports = DsnWriter(
                OwnMessages(self.store, self._planner, self._signer(reactor)), reactor, settings.queue.return_size
            )
            self._queue_runner = self._make_queue_runner(recipients, reactor)
            if role.runs_queue:
                queue = QueueService(self._queue_runner)
        self.tls = self._make_tls(owner, role.pem, reactor)
        hostname = settings.server.hostname
        probe = RecipientProbe(settings.relay, hostname, self._resolver, reactor, address_filter=self._address_filter)
        self._policies = (
            make_chain(
                settings,
                self._resolver,
                self.store,
                reactor,
                probe=probe,
                rights=self._rights,
                key_ring=self._key_ring,
            )
            if takes_mail
            else None
        )
        self.listening = self._make_listening(recipients, self.tls, reactor)
        self.listeners = Listeners(reactor, self.listening, role.shared, role.accept_quota, self._proxies())
        factories = dict.fromkeys(
            service.factory for service in self.listening if isinstance(service.factory, ConnectionFactory)
        )
        for factory in factories:
            factory.refusal_counts = refusal_counts
            factory.handshake_timeout_s = settings.tls.handshake_timeout
        sessions = Sessions(factories, settings.maintenance.stop_grace, reactor)
        watch = ReactorLagMonitor(settings.maintenance.slow_turn, reactor)
        poll = ChangePoll(self.store, settings.notices.poll, reactor)
        login_watch = LoginWatch(auth.logins, self.store.directory, settings.auth.watch_interval, reactor)
        self.bus: Any = self._make_bus(role, poll, reactor)
        on_bus = StoreBusBridge(self.store, self.bus)
        before_mail: list[Any] = [watch, self.bus, on_bus, poll, refusal_counts, auth, login_watch, queue]
        maintenance = self.store.ability(IStoreMaintenance)
        if maintenance is not None:
            interval_s = settings.maintenance.sweep_interval if role.sweeps else 0
            before_mail.append(StoreSweeper(maintenance, interval_s, reactor))
            before_mail.append(StoreFiller(maintenance, role.sweeps, reactor))
        if self._history is not None:
            before_mail.insert(before_mail.index(refusal_counts), self._history)
        if role.sweeps:
            before_mail.append(self._make_listing_watch(reactor))
        if takes_mail and settings.dmarc.reports:
            before_mail.append(self._make_dmarc_reports(reactor))
        if takes_mail and settings.dmarc.failure_reports:
            before_mail.append(self._make_failure_reports(reactor))
        if self._policies is not None:
            policies = [one.policy for one in self._policies.installed]
            before_mail += [PluginService(one.name, service) for one in policies for service in one.services]
        for child in (*before_mail, sessions, self.listeners):
            child.setServiceParent(self)

    # --- composition

    def _make_bus(self, role: ProcessRole, poll: ChangePoll, reactor: Any) -> IChangeBus:
        """A database that carries notices carries them to all processes; otherwise the parent may have given us a
        bus."""
        channel = self.store.ability(IStoreChannel)
        return role.bus if channel is None else DatabaseBus(channel, self.settings.workers.gather, reactor, poll.soon)

    def _make_queue_runner(self, recipients: IRecipientResolver, reactor: Any) -> QueueRunner:
        settings = self.settings
        hostname = settings.server.hostname
        signer = self._signer(reactor)
        transports = self._make_transports(signer, reactor)
        reports = self._reports
        here = LateDelivery(recipients, self._planner, self._reports.own_messages, self.store.read_content, reactor)
        return QueueRunner(
            settings.queue,
            hostname,
            self.store,
            transports,
            reports,
            here,
            self._presence,
            reactor,
            history=self._history,
        )

    def _make_transports(self, signer: OwnMailSigner | None, reactor: Any) -> Transports:
        settings, hostname = self.settings, self.settings.server.hostname
        in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
        context = EgressContext(hostname, reactor, self.store, self._resolver, in_thread)
        return make_transports(
            TransportContext(
                settings.relay,
                hostname,
                reactor,
                self._resolver,
                self.store.read_content,
                in_thread,
                make_transforms(settings.egress, context),
                self._address_filter,
                signer,
            )
        )

    def _make_planner(self, recipients: IRecipientResolver, reactor: Any) -> DeliveryPlanner:
        """What says what becomes of mail, through whatever door it comes."""
        settings = self.settings
        sealer = None
        if settings.arc.seal and self._key_ring is not None:
            in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
            authserv_id = settings.policy.authserv_id or settings.server.hostname
            sealer = ForwardSealer(settings.arc, self._key_ring, self._resolver, authserv_id, reactor, in_thread)
        return make_planner(settings, self.store, reactor, recipients, self._paths, sealer)

    def _make_intake(self, reactor: Any) -> MessageIntake:
        settings = self.settings
        return MessageIntake(
            self.store,
            settings.delivery,
            self._planner,
            settings.server.hostname,
            reactor,
            settings.policy.authserv_id,
            self._history,
            self._reports,
        )

    def _signer(self, reactor: Any) -> OwnMailSigner | None:
        """Signs our own reports, with the keys for the mail of users."""
        if self._key_ring is None:
            return None
        in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
        return OwnMailSigner(self.settings.dkim_sign, self._key_ring, reactor, in_thread)

    def _make_listing_watch(self, reactor: Any) -> ListingWatch:
        settings = self.settings
        lists = [one for one in settings.dnsbl.lists if one.kind == "ip"]
        return ListingWatch(
            settings.dns_setup.addresses,
            settings.server.hostname,
            DnsLists(lists, self._resolver, reactor, settings.dns.lifetime),
            self._resolver,
            settings.dns_setup.listing_interval,
            reactor,
        )

    def _make_dmarc_reports(self, reactor: Any) -> ReportSender:
        settings = self.settings
        hostname = settings.server.hostname
        outgoing = Outgoing(self._make_intake(reactor), self._signer(reactor))
        in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
        waiting = needed(self.store, IDmarcStore, "dmarc.reports")
        return ReportSender(settings.dmarc, hostname, waiting, self._resolver, outgoing, reactor, in_thread)

    def _make_failure_reports(self, reactor: Any) -> FailureReportSender:
        outgoing = Outgoing(self._make_intake(reactor), self._signer(reactor))
        return FailureReportSender(
            self.settings.dmarc,
            self.settings.server.hostname,
            needed(self.store, IFailureStore, "dmarc.failure_reports"),
            needed(self.store, IStateStore, "dmarc.failure_reports"),
            self._resolver,
            outgoing,
            reactor,
        )

    def _make_tls(self, owner: tuple[int, int] | None, pem: Pem | None, reactor: Any) -> ServerTls:
        settings = self.settings
        files = certificate_files(settings.tls, settings.server.hostname, settings.server.tls_dir)
        if owner is not None and settings.tls.certificate is None:
            give_to(owner, settings.server.tls_dir)
        return ServerTls(settings.tls, files, reactor.seconds, pem)

    def _make_smtp(self, recipients: IRecipientResolver, tls: ServerTls, reactor: Any) -> list[ListeningService]:
        settings, listeners = self.settings, self.settings.listeners
        hostname = settings.server.hostname
        if not self._takes_mail:
            for name in ("smtp", "submission", "submissions"):
                if name in listeners.model_fields_set and getattr(listeners, name):
                    needed(self.store, IQueueStore, f"listeners.{name}")
            return []
        intake = self._make_intake(reactor)
        smtp_tls = tls.for_service(SMTP_TLS, session_tickets=settings.tls.mx_session_tickets)
        submission_tls = tls.for_service(SMTP_TLS)

        extensions = find_extensions()

        def smtp_factory(section: Any, service_tls: ServiceTls) -> SmtpFactory:
            return SmtpFactory(
                section,
                hostname,
                recipients,
                intake,
                reactor,
                portal=self.portal,
                mechanisms=mechanisms,
                tls_context=service_tls,
                postmaster_domain=next(iter(settings.server.domains), ""),
                peer_names=PeerNames(self._resolver, section.reverse_dns_timeout, reactor)
                if section.reverse_dns
                else None,
                policies=self._policies,
                refusals=self._history,
                rights=self._rights,
                extensions=extensions,
            )

        smtp, submission = smtp_factory(settings.smtp, smtp_tls), smtp_factory(settings.submission, submission_tls)
        return [
            ListeningService(
                "smtp",
                "listeners.smtp",
                listeners.smtp,
                smtp,
                takes_mail_in=True,
                proxies=settings.smtp.proxy_protocol,
                trusts_loopback=any(network.is_loopback for network in settings.smtp.trusted_networks),
            ),
            ListeningService(
                "submission", "listeners.submission", listeners.submission, submission, takes_mail_in=True
            ),
            ListeningService(
                "submissions",
                "listeners.submissions",
                listeners.submissions,
                submission,
                submission_tls,
                takes_mail_in=True,
            ),
        ]

    def _make_listening(self, recipients: IRecipientResolver, tls: ServerTls, reactor: Any) -> list[ListeningService]:
        settings = self.settings
        hostname = settings.server.hostname
        imap_tls, pop3_tls = tls.for_service(IMAP_TLS), tls.for_service(POP3_TLS)
        if settings.imap.plaintext_login:
            log.warn(
                "{event}: passwords are taken without TLS from this host's own addresses",
                event="imap.plaintext_login_allowed",
            )
        vocabulary = find_vocabulary(settings.imap)
        imap = ImapFactory(
            settings.imap, hostname, self.portal, self.store.notices, self.store, vocabulary, imap_tls, reactor
        )
        pop3 = Pop3Factory(
            settings.pop3,
            hostname,
            self.portal,
            reactor,
            needed(self.store, IStateStore, "pop3.login_delay") if settings.pop3.login_delay else None,
            tls_context=pop3_tls,
            owner=self._presence.owner,
            extensions=find_pop3_extensions(),
        )
        listeners = settings.listeners
        return [
            *self._make_smtp(recipients, tls, reactor),
            ListeningService("imap", "listeners.imap", listeners.imap, imap),
            ListeningService("imaps", "listeners.imaps", listeners.imaps, imap, imap_tls),
            ListeningService("pop3", "listeners.pop3", listeners.pop3, pop3),
            ListeningService("pop3s", "listeners.pop3s", listeners.pop3s, pop3, pop3_tls),
            *self._make_web(recipients, tls, reactor),
        ]

    def _make_web(self, recipients: IRecipientResolver, tls: ServerTls, reactor: Any) -> list[ListeningService]:
        settings = self.settings
        endpoints = settings.listeners.https
        if not endpoints:
            return []
        hostname = settings.server.hostname
        offers = offers_of(reachable_services(settings.listeners), hostname)
        pages = Pages(hostname, offers, settings.dns_setup, recipients)
        factory = WebFactory(settings.web, pages, reactor, self._refusal_counts)
        return [ListeningService("https", "listeners.https", endpoints, factory, tls.for_service(HTTP_TLS))]

    def _proxies(self) -> Proxies:
        listeners = self.settings.listeners

        def refused(service: str, ip: str, why: bytes) -> None:
            self._refusal_counts.note(service, "bad_proxy_header", ip, why)

        return Proxies(listeners.proxies, listeners.proxy_timeout, refused)

    def look_for_dead_owners(self) -> None:
        """A process on the same data folder has died: take over what it held."""
        if self._queue_runner is not None:
            self._queue_runner.look_for_dead_owners()

    def tallies(self) -> dict[str, Tally]:
        """What is counted against a limit that holds for the whole machine, by a name of its own."""
        tallies: dict[str, Tally] = {}
        for service in self.listening:
            # A service with TLS from the start shares the factory, and so the tally, of the one without.
            if service.tls is None or isinstance(service.factory, WebFactory):
                tallies[service.name] = cast(ConnectionFactory | WebFactory, service.factory).tally
            if isinstance(service.factory, ImapFactory):
                tallies["imap accounts"] = service.factory.shared.per_account
        return tallies

    # --- life

    def setServiceParent(self, parent: Any) -> None:
        """Become part of an application, which takes its log observer from us."""
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Open the store, then start the parts in order and serve."""
        Service.startService(self)
        self._started = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        # Within the coroutine, so that whoever is told may stop the service at once, which waits for this to end.
        try:
            await self._open_and_serve()
        except MailError as error:
            failure = Failure()
            log.error("{event}: {reason}", event="server.start_failed", reason=str(error))
            self._on_failure(failure)
        except Exception:
            failure = Failure()
            log.failure("{event}: {log_failure.value}", failure=failure, event="server.start_failed")
            self._on_failure(failure)

    async def prepare_store(self) -> None:
        """Bring the store up to date and close it again, for others who will open it."""
        await self.store.open()
        try:
            await self._add_domains()
        finally:
            await self.store.close()

    async def _add_domains(self) -> None:
        for name in await add_configured_domains(self.store, self.settings):
            log.info("{event} {domain}", event="directory.domain_added", domain=name)

    async def _open_and_serve(self) -> None:
        await self.store.open()
        self._is_open = True
        await self._add_domains()
        if not self.running:
            return
        for child in self:
            child.startService()
        self.listeners.accept_connections()
        log.info(
            "{event} {hostname}, pymailsuite {version}",
            event="server.ready",
            hostname=self.settings.server.hostname,
            version=__version__,
        )
        self._on_ready()

    def stopService(self) -> Deferred[None]:
        """Stop the parts in the reverse order, and close the store when they have all ended."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._started
        for child in reversed(list(self)):
            # Ports are bound before the service runs, so they are closed even if it never did.
            if child.running or child is self.listeners:
                try:
                    await maybeDeferred(child.stopService)
                except Exception:
                    log.failure("{event} {part}", event="server.part_not_stopped", part=child.name)
        if self._is_open:
            self._is_open = False
            await self.store.close()
        log.info("{event}", event="server.stopped")
