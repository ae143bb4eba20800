"""The parent as a part of an application: it binds, starts workers, and has them replaced when asked to.

Faults of the settings are found by making a server from them that is never started: it tells what it would listen on,
opens the store once so that its schema is up to date and nobody else need say why it cannot be opened, and reads the
certificate while that may be readable by root only.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred, succeed
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from pymailsuite import __version__
from pymailsuite.bus.hub import Hub
from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError
from pymailsuite.server.listeners import BoundPorts
from pymailsuite.server.parts.foundation import ProcessRole
from pymailsuite.server.process import tell_supervisor
from pymailsuite.server.service import MailService
from pymailsuite.server.tls import Pem
from pymailsuite.workers.channel import LogPlace, StartupMessage
from pymailsuite.workers.group import WorkerGroup, WorkersFailed
from pymailsuite.workers.share import intake_count, share_of
from pymailsuite.workers.spawn import Spawner

log = Logger()

_ENDING_S: Final = 0.5
"""What a process that just ends takes for it."""


class WorkersService(Service):
    """Keeps the workers that ``settings`` ask for.

    ``read_settings`` reads the configuration anew, for a reload; ConfigError if it has a fault. ``auth`` are the
    descriptions that ``checkers`` were made from. The other arguments are those of :class:`MailService`. ConfigError if
    the settings ask for what cannot be had.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        *,
        read_settings: Callable[[], Settings],
        auth: Sequence[str] = (),
        checkers: Sequence[ICredentialsChecker] = (),
        owner: tuple[int, int] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_failure: Callable[[Failure], None] = lambda failure: None,
        log_observer: ILogObserver | None = None,
        log_place: LogPlace | None = None,
    ) -> None:
        self.setName("pymailsuite workers")  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._read_settings = read_settings
        self._auth = tuple(auth)
        self._checkers = checkers
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._log_observer = log_observer
        self._log_place = log_place or LogPlace()
        self._server = MailService(settings, reactor, checkers=checkers, owner=owner)
        self._ports = BoundPorts(reactor)
        self._hub = Hub()
        self._group: WorkerGroup | None = None
        self._draining: set[WorkerGroup] = set()
        self._work: Deferred[None] = succeed(None)
        self._reload_wanted = False

    # --- life

    def setServiceParent(self, parent: Any) -> None:
        """Become part of an application, which takes its log observer from us."""
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def privilegedStartService(self) -> None:
        """Bind the ports. ConfigError if one cannot be bound."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        # Workers of a parent that was killed may not have ended yet.
        self._ports.bind(self._server.listening, self._server.settings.workers.orphan_limit + _ENDING_S)

    def startService(self) -> None:
        """Start the workers; from now on SIGHUP reloads."""
        super().startService()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))
        self._work = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """Close the ports and have all workers end; fires once they have."""
        super().stopService()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            await self._server.prepare_store()
            if not self.running:
                return
            self._group = self._make_group(self._server)
            await self._group.begin()
        except Exception:
            if not self.running:
                return
            failure = Failure()
            log.failure("{event}: {log_failure.value}", failure=failure, event="server.start_failed")
            self._on_failure(failure)
            return
        self._tell_ready(self._server)
        self._on_ready()
        if self._reload_wanted:
            await self._reload()

    def _tell_ready(self, server: MailService) -> None:
        log.info(
            "{event} {hostname}, pymailsuite {version}, {count} processes, {intake} of them for mail that comes in",
            event="workers.ready",
            hostname=server.settings.server.hostname,
            version=__version__,
            count=server.settings.server.worker_count,
            intake=intake_count(server.settings, server.store.writes_in_turn),
        )

    async def _stop(self) -> None:
        # Before anything else: whoever connects now is to be refused, not to wait for nobody.
        await self._ports.close_all_but(())
        groups = [*self._draining] if self._group is None else [*self._draining, self._group]
        drained = [group.drain() for group in groups]
        await self._work
        for waiting in drained:
            await waiting
        log.info("{event}", event="server.stopped")

    # --- the workers

    def _make_group(self, server: MailService) -> WorkerGroup:
        settings = server.settings
        count = settings.server.worker_count
        intake = intake_count(settings, server.store.writes_in_turn)
        share = share_of(settings, count, intake)
        sockets = self._ports.sockets(server.listening)
        reading = self._ports.sockets(service for service in server.listening if not service.takes_mail_in)
        pem: Pem = server.tls.pem

        def startup_message_of(number: int) -> StartupMessage:
            reactor = type(self._reactor).__module__
            there = sockets if number <= intake else reading
            return StartupMessage(number, share, self._auth, there, pem, self._log_place, reactor, intake)

        spawner = Spawner(startup_message_of, self._hub, settings.workers, settings.notices, self._reactor)
        return WorkerGroup(count, spawner.start, settings.workers, self._reactor)

    def reload(self) -> None:
        """Replace all workers by others with the configuration as it is now; if it has a fault, that is logged.

        Asked for again meanwhile, it is done once more after that.
        """
        if not self.running or self._reload_wanted:
            return
        self._reload_wanted = True
        if self._work.called:
            self._work = Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> None:
        while self._reload_wanted and self.running:
            self._reload_wanted = False
            log.info("{event}", event="workers.reloading")
            tell_supervisor(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                await self._replace_workers()
            except (ConfigError, WorkersFailed) as error:
                reason = error.public if isinstance(error, ConfigError) else str(error)
                log.error("{event} {reason}", event="workers.reload_refused", reason=reason)
            except Exception:
                log.failure("{event}", event="workers.reload_failed")
            else:
                self._tell_ready(self._server)
            tell_supervisor("READY=1")

    async def _replace_workers(self) -> None:
        settings = self._read_settings()
        role = ProcessRole(pem=self._server.tls.pem)
        server = MailService(settings, self._reactor, checkers=self._checkers, role=role)
        await server.prepare_store()
        self._ports.bind(server.listening)
        group = self._make_group(server)
        self._draining.add(group)  # should we be stopped meanwhile
        try:
            await group.begin()
        except WorkersFailed:
            await self._drain(group)
            await self._ports.close_all_but(self._server.listening)
            raise
        self._draining.discard(group)
        old, self._group, self._server = self._group, group, server
        await self._ports.close_all_but(server.listening)
        if old is not None:
            Deferred.fromCoroutine(self._drain(old))

    async def _drain(self, group: WorkerGroup) -> None:
        self._draining.add(group)
        await group.drain()
        self._draining.discard(group)
