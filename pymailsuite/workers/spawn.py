"""Starts worker processes: what they inherit, and how their end is reported."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve, frozen
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.bus.hub import Hub
from pymailsuite.bus.outbox import Outbox
from pymailsuite.config.sections.notices import NoticeSettings
from pymailsuite.config.sections.workers import WorkerSettings
from pymailsuite.server.listeners import SharedSocket
from pymailsuite.workers.channel import ParentEnd, StartupMessage, pack
from pymailsuite.workers.group import Slot

log = Logger()

CHANNEL: Final = 3
"""The descriptor of the channel in a worker; those of the listening sockets follow."""


def command() -> list[str]:
    """The command line: a fresh interpreter. It contains no settings, since everybody may read it."""
    return [sys.executable, "-m", "pymailsuite.workers.run"]


def environment() -> Mapping[str, str]:
    """Ours, and the way to every module that we would find, plug-ins too."""
    inherited = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@frozen
class Spawner:
    """Starts the processes of one group. ``startup_message_of`` makes what a worker is told from its number."""

    startup_message_of: Callable[[int], StartupMessage]
    hub: Hub
    workers: WorkerSettings
    notices: NoticeSettings
    reactor: Any

    def start(self, slot: Slot) -> WorkerProcess:
        """Start one. OSError if the system does not let us."""
        startup = self.startup_message_of(slot.number)
        ours, theirs = socket.socketpair()
        with ours, theirs, open(os.devnull, "rb") as nothing:
            descriptors = {0: nothing.fileno(), 1: 1, 2: 2, CHANNEL: theirs.fileno()}
            there = {}
            for number, (key, shared) in enumerate(startup.sockets.items(), CHANNEL + 1):
                descriptors[number] = shared.descriptor
                there[key] = SharedSocket(number, shared.family)
            process = WorkerProcess(slot)
            arguments = command()
            self.reactor.spawnProcess(process, arguments[0], arguments, environment(), childFDs=descriptors)
            ours.setblocking(False)
            factory = Factory.forProtocol(lambda: self._end(slot, process, evolve(startup, sockets=there)))
            # The descriptor is duplicated.
            self.reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        return process

    def _end(self, slot: Slot, process: WorkerProcess, startup: StartupMessage) -> ParentEnd:
        def serving() -> None:
            self.hub.join(outbox)
            process.tell(slot.serving)

        end = ParentEnd(
            pack(startup),
            serving,
            lambda reason: process.tell(slot.failed, reason),
            lambda news: self.hub.heard(outbox, news),
            lambda: self.hub.leave(outbox),
        )
        end.outbox = outbox = Outbox(end.tell, self.workers.gather, self.notices.buffer, self.reactor)
        return end


class WorkerProcess(ProcessProtocol):
    """One process, from its start to its end."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._over = False
        self.pid: int | None = None

    def connectionMade(self) -> None:
        """It runs."""
        self.pid = self.transport.pid  # type: ignore[union-attr]

    def tell(self, report: Callable[..., None], *arguments: Any) -> None:
        """Report to the slot, unless the process has ended and another may have its place."""
        if not self._over:
            report(*arguments)

    def drain(self) -> None:
        """SIGTERM: the worker ends as a server by itself does."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        try:
            self.transport.signalProcess(number)  # type: ignore[union-attr]
        except ProcessExitedAlready:
            # We are just about to be told.
            return

    def processEnded(self, reason: Failure) -> None:
        """The system says that it is over."""
        self._over = True
        self._slot.ended(how_it_ended(reason.value))


def how_it_ended(reason: BaseException | None) -> str:
    """``exit code 1`` or ``signal SIGKILL``."""
    if isinstance(reason, ProcessTerminated) and reason.signal is not None:
        return f"signal {signal.Signals(reason.signal).name}"
    return f"exit code {getattr(reason, 'exitCode', None) or 0}"
