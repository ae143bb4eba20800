"""The queue as a part of the running server."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from pymailsuite.queue.presence import Presence
from pymailsuite.queue.runner import QueueRunner


class QueueService(Service):
    """The queue at work while the server runs."""

    def __init__(self, runner: QueueRunner) -> None:
        self.setName("queue")  # type: ignore[no-untyped-call]
        self._runner = runner

    def startService(self) -> None:
        """Go on with what is due."""
        super().startService()  # type: ignore[no-untyped-call]
        self._runner.start()

    def stopService(self) -> Deferred[None]:
        """Fires once what was under way is settled."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._runner.stop())


class PresenceService(Service):
    """A sign of life of a process that holds POP3 locks, but leaves the queue to others."""

    def __init__(self, presence: Presence) -> None:
        self.setName("presence")  # type: ignore[no-untyped-call]
        self._presence = presence

    def startService(self) -> None:
        """Be there. OSError if the folder for it cannot be used."""
        super().startService()  # type: ignore[no-untyped-call]
        self._presence.enter()

    def stopService(self) -> None:
        """Nothing is locked any more."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._presence.leave()
