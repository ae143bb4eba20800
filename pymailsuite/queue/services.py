"""The queue as a service of the running server."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from pymailsuite.queue.presence import Presence
from pymailsuite.queue.runner import QueueRunner


class QueueService(Service):
    """Runs the queue while the server runs."""

    def __init__(self, runner: QueueRunner) -> None:
        self.setName("queue")  # type: ignore[no-untyped-call]
        self._runner = runner

    def startService(self) -> None:
        """Begin to work on due entries."""
        super().startService()  # type: ignore[no-untyped-call]
        self._runner.start()

    def stopService(self) -> Deferred[None]:
        """Fires when the running attempts are settled."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._runner.stop())


class PresenceService(Service):
    """Makes a process known that holds POP3 locks, but leaves the queue to others."""

    def __init__(self, presence: Presence) -> None:
        self.setName("presence")  # type: ignore[no-untyped-call]
        self._presence = presence

    def startService(self) -> None:
        """Make the process known. OSError if the folder for it cannot be used."""
        super().startService()  # type: ignore[no-untyped-call]
        self._presence.enter()

    def stopService(self) -> None:
        """The process holds no locks any more."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._presence.leave()
