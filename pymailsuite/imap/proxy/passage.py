"""Two connections whose octets are passed to each other as they come, at the pace of the slower one.

Nothing is read of what passes. What one side does not take is not read from the other: beside the buffers of the
transports no more than one read of each side is held.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pymailsuite.wire.connection import ConnectionProtocol


class Passage:
    """Between a client and a back-end. ``write_timeout_s``: how long either may take nothing of what it is sent."""

    def __init__(self, client: ConnectionProtocol, backend: ConnectionProtocol, write_timeout_s: float) -> None:
        self._client = client
        self._backend = backend
        self._write_timeout_s = write_timeout_s

    def begin(self, from_client: bytes, from_backend: bytes) -> None:
        """Pass on what either has sent already, then what they send; neither is read from until now."""
        for octets, source, target in (
            (from_backend, self._backend, self._client),
            (from_client, self._client, self._backend),
        ):
            if not self._pass(octets, source, target):
                source.release_reading()
        if self._backend.closing or self._client.closing:
            self.end()

    def from_client(self, octets: bytes) -> None:
        """Octets of the client."""
        self._pass(octets, self._client, self._backend)

    def from_backend(self, octets: bytes) -> None:
        """Octets of the back-end."""
        self._pass(octets, self._backend, self._client)

    def _pass(self, octets: bytes, source: ConnectionProtocol, target: ConnectionProtocol) -> bool:
        """True if ``source`` has to wait until ``target`` has taken this."""
        if not octets or target.closing:
            return False
        target.send(octets)
        lagging = target.drained()
        if lagging is None:
            return False
        source.hold_reading(source.max_unread + 1)
        target.set_timeout(self._write_timeout_s)
        self._resume_after(lagging, source, target)
        return True

    def _resume_after(self, lagging: Deferred[None], source: ConnectionProtocol, target: ConnectionProtocol) -> None:
        def resume(_: None) -> None:
            target.set_timeout(None)
            source.release_reading()

        def is_gone(_: Failure) -> None:
            """The connection has ended, and with it the other one: see ``end``."""

        lagging.addCallbacks(resume, is_gone)

    def end(self) -> None:
        """One of the two has ended: the other one ends when it has taken what was sent to it."""
        self._client.close()
        self._backend.close()
