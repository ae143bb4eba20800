"""What takes messages of the queue to other hosts: transports, found as plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.queue import Outcome, QueuedRecipient, QueueEntry


class ITransport(Interface):
    """One way to send mail on."""

    def attempt(entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> Awaitable[list[Outcome]]:
        """Try to send ``entry`` to ``recipients``, all of ``route``: an outcome for each; ``next_attempt`` is not set.

        DELIVERED only if whoever took the message answers for it from now on. DELAYED is tried again, and fails when
        the time of the entry is over."""

    def close() -> Deferred[None]:
        """Delay what has not begun; fires when all has ended."""


class ITransportFactory(Interface):
    """A plugin that declares a transport."""

    name = Attribute("The name by which ``[relay] transports`` has it.")

    def make(context: Any) -> ITransport:
        """The transport, of a :class:`pymailsuite.relay.transports.TransportContext`. ConfigError if its argument is
        wrong."""
