"""How changes of others are heard of, and ours told."""

from __future__ import annotations

from pymailsuite.bus.bridge import ChangePoll, StoreBusBridge
from pymailsuite.bus.database import DatabaseBus
from pymailsuite.interfaces import IChangeBus
from pymailsuite.interfaces.channel import IStoreChannel
from pymailsuite.server.parts.foundation import Foundation


class Sharing:
    """The bus between the processes on one store."""

    def __init__(self, foundation: Foundation) -> None:
        store, settings, reactor = foundation.store, foundation.settings, foundation.reactor
        poll = ChangePoll(store, settings.notices.poll, reactor)
        # Where the database carries words it carries them to everybody; else whoever started us may have a way.
        channel = store.ability(IStoreChannel)
        self.bus: IChangeBus = (
            foundation.role.bus
            if channel is None
            else DatabaseBus(channel, settings.workers.gather, reactor, poll.soon)
        )
        self.services = (self.bus, StoreBusBridge(store, self.bus), poll)
