"""A worker process, from its first instruction to its last."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.cred.strcred import makeChecker
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory
from twisted.logger import ILogObserver, LegacyLogObserverWrapper, Logger, globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny

from pymailsuite.bus.hub import DEAD_OWNERS
from pymailsuite.bus.outbox import BusUpdate, Outbox
from pymailsuite.bus.worker import WorkerBus
from pymailsuite.errors import ConfigError, MailError
from pymailsuite.server.logs import Descriptor, LogFile, log_observer
from pymailsuite.server.parts.foundation import ProcessRole
from pymailsuite.server.process import share_one_heap
from pymailsuite.server.service import MailService
from pymailsuite.workers.affinity import ConnectionAffinity, OwnLoad
from pymailsuite.workers.channel import End, Failed, LogPlace, Serving, StartupMessage, read_startup_message
from pymailsuite.workers.orphan import end_with_parent
from pymailsuite.workers.spawn import CHANNEL

log = Logger()


class Worker:
    """The server of one worker, and the channel to the parent. ``code`` is what the process is to exit with."""

    def __init__(self, startup: StartupMessage, channel: socket.socket, reactor: Any) -> None:
        self._welcome = startup
        self._channel = channel
        self._reactor = reactor
        self._end = End(self._heard, self._lost)
        self._bus: WorkerBus | None = None
        self._service: MailService | None = None
        self.code = 0

    def begin(self) -> None:
        """Make the server and start it; what is wrong is told to the parent."""
        reactor, settings = self._reactor, self._welcome.settings
        end = self._end
        end.outbox = Outbox(end.tell, settings.workers.gather, settings.notices.buffer, reactor)
        reactor.adoptStreamConnection(self._channel.fileno(), socket.AF_UNIX, _factory_of(end))
        self._channel.close()
        try:
            service = self._make_service(end.outbox)
            service.privilegedStartService()  # type: ignore[no-untyped-call]
        except Exception:
            self._failed(Failure())
            return
        reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
        service.startService()

    def _make_service(self, outbox: Outbox) -> MailService:
        startup = self._welcome
        self._bus = WorkerBus(outbox)
        load = OwnLoad(self._reactor.seconds, time.process_time)
        affinity = ConnectionAffinity(startup.number, startup.intake, startup.settings.workers.together, load)
        service = MailService(
            startup.settings,
            self._reactor,
            checkers=[makeChecker(description) for description in startup.auth],
            on_ready=lambda: self._say(Serving),
            on_failure=self._failed,
            role=ProcessRole(
                self._bus,
                startup.sockets,
                sweeps=startup.number == 1,
                runs_queue=startup.takes_mail_in,
                pem=startup.pem,
                accept_quota=affinity.accept_quota,
            ),
        )
        self._bus.share(service.tallies())
        self._service = service
        return service

    def _say(self, command: Any, **arguments: Any) -> None:
        if ITransport.providedBy(self._end.transport):
            self._end.callRemote(command, **arguments)  # type: ignore[no-untyped-call]

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, MailError):
            log.failure("{event}", failure=failure, event="workers.failed")
        reason = error.public if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        self.code = 1
        self._say(Failed, reason=reason[:1000])
        # In a turn of its own, in which what was said has left.
        self._reactor.callLater(0, self._stop)

    def _heard(self, news: BusUpdate) -> None:
        if self._bus is not None:
            self._bus.take(news)
        if self._service is not None and any(topic == DEAD_OWNERS for topic, _ in news.words):
            self._service.look_for_dead_owners()

    def _lost(self) -> None:
        """The parent is gone: nobody would replace us or tell us to end."""
        if self._reactor.running:
            log.error("{event}", event="workers.parent_gone")
            self._stop()

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


def _factory_of(end: End) -> Factory:
    make: Callable[[], End] = lambda: end  # noqa: E731 (a function of no arguments, for the factory)
    return Factory.forProtocol(make)


def observer_of(startup: StartupMessage) -> ILogObserver:
    """Where this worker logs to."""
    role: LogPlace = startup.log
    if role.logger:
        named = namedAny(role.logger)()
        return named if ILogObserver.providedBy(named) else LegacyLogObserverWrapper(named)
    target = Descriptor(shared=True) if role.file is None else LogFile(role.file)
    return log_observer(startup.settings.log, target, startup.number)


def main() -> int:
    """Serve until told to end; the exit code."""
    # A terminal sends these to all processes of a group, but the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with socket.socket(fileno=CHANNEL) as channel:
        try:
            startup = read_startup_message(channel)
        except EOFError:
            return 1
        for descriptor in (CHANNEL, *(shared.descriptor for shared in startup.sockets.values())):
            os.set_inheritable(descriptor, False)
        end_with_parent(channel, startup.settings.workers.orphan_limit)
        share_one_heap()
        importlib.import_module(startup.reactor).install()
        globalLogBeginner.beginLoggingTo([observer_of(startup)])
        from twisted.internet import reactor

        channel.setblocking(False)
        worker = Worker(startup, channel, reactor)
        reactor.callWhenRunning(worker.begin)
        reactor.run()
    return worker.code


if __name__ == "__main__":
    sys.exit(main())
