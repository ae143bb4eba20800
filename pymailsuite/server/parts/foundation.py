"""What every part stands on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from pymailsuite.bus.subscriptions import LocalBus
from pymailsuite.config.settings import Settings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.resolver import Resolver
from pymailsuite.interfaces import IChangeBus, IMailStore
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.server.data_folder import store_of
from pymailsuite.server.listeners import AcceptQuota, SharedSockets
from pymailsuite.server.store_abilities import tell_what_is_missing
from pymailsuite.server.text_extraction import text_extraction
from pymailsuite.server.tls import Pem


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


class Foundation:
    """Settings, reactor, role, the store, and how names are looked up. ConfigError if there is no such store."""

    def __init__(self, settings: Settings, reactor: Any, role: ProcessRole) -> None:
        self.settings = settings
        self.reactor = reactor
        self.role = role
        self.hostname = settings.server.hostname
        self.authserv_id = settings.policy.authserv_id or settings.server.hostname
        self.store: IMailStore = store_of(settings, reactor)
        tell_what_is_missing(self.store, settings)
        self.text_extraction = text_extraction(settings.search)
        self.resolver = Resolver(settings.dns, reactor)
        self.address_filter = AddressFilter(settings.outgoing, settings.listeners, settings.relay.own_addresses)
        self.in_thread: Callable[..., Deferred[Any]] = partial(deferToThreadPool, reactor, reactor.getThreadPool())

    @property
    def takes_mail(self) -> bool:
        """Whether the store has a queue: without one no mail comes in, and none is sent on."""
        return self.store.ability(IQueueStore) is not None
