"""The whole server: settings in, one service out.

All parts are made when the service is made, in this order, and nothing is opened yet: faults of the settings are known
before twistd forks. Ports are bound when it is started with privileges, the store is opened once it has dropped them,
and only then are connections served. It stops the other way round: no more connections, sessions that end what is under
way, the queue, the threads that hash, and at last the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from pymailsuite import __version__
from pymailsuite.config.settings import Settings
from pymailsuite.errors import MailError
from pymailsuite.queue.presence import Presence
from pymailsuite.queue.services import PresenceService, QueueService
from pymailsuite.server.data_folder import add_configured_domains, give_to, make_folder
from pymailsuite.server.maintenance import ReactorLagMonitor
from pymailsuite.server.parts.accounts import Accounts
from pymailsuite.server.parts.checks import Checks
from pymailsuite.server.parts.foundation import Foundation, ProcessRole
from pymailsuite.server.parts.listening import Listening
from pymailsuite.server.parts.mail_flow import MailFlow
from pymailsuite.server.parts.maintenance import Maintenance
from pymailsuite.server.parts.records import Records
from pymailsuite.server.parts.sharing import Sharing
from pymailsuite.server.tls import ServerTls, certificate_files
from pymailsuite.wire.tally import Tally

log = Logger()


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
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._log_observer = log_observer
        self._started: Deferred[None] = succeed(None)
        self._is_open = False

        make_folder(settings.server.data_dir, owner)
        foundation = Foundation(settings, reactor, role or ProcessRole())
        presence = Presence(settings.server.data_dir / "queue", foundation.hostname)
        sharing = Sharing(foundation)
        records = Records(foundation)
        accounts = Accounts(foundation, checkers)
        self.mail_flow = MailFlow(foundation, accounts, records, presence) if foundation.takes_mail else None
        self.tls = _server_tls(foundation, owner)
        self.checks = None if self.mail_flow is None else Checks(foundation, self.mail_flow)
        self._listening = Listening(foundation, accounts, records, self.tls, presence, self.mail_flow, self.checks)
        self.store = foundation.store
        self.portal = accounts.portal
        self.bus = sharing.bus
        self.listening = self._listening.offered
        self.listeners = self._listening.listeners
        children: tuple[Any, ...] = (
            ReactorLagMonitor(settings.maintenance.slow_turn, reactor),
            *sharing.services,
            *records.services,
            *accounts.services,
            self._queue_service(presence, foundation.role),
            *(self.mail_flow.services if self.mail_flow is not None else ()),
            *Maintenance(foundation).services,
            *(self.checks.services if self.checks is not None else ()),
            *self._listening.services,
        )
        for child in children:
            child.setServiceParent(self)

    def _queue_service(self, presence: Presence, role: ProcessRole) -> Service:
        """The queue, or in a process that leaves it to others a sign of life: it may hold locks."""
        if self.mail_flow is None or not role.runs_queue:
            return PresenceService(presence)
        return QueueService(self.mail_flow.queue_runner)

    def look_for_dead_owners(self) -> None:
        """A process on the same data folder has died: take over what it held."""
        if self.mail_flow is not None:
            self.mail_flow.queue_runner.look_for_dead_owners()

    def tallies(self) -> dict[str, Tally]:
        """What is counted against a limit that holds for the whole machine, by a name of its own."""
        return self._listening.tallies()

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


def _server_tls(foundation: Foundation, owner: tuple[int, int] | None) -> ServerTls:
    settings = foundation.settings
    files = certificate_files(settings.tls, foundation.hostname, settings.server.tls_dir)
    if owner is not None and settings.tls.certificate is None:
        give_to(owner, settings.server.tls_dir)
    return ServerTls(settings.tls, files, foundation.reactor.seconds, foundation.role.pem)
