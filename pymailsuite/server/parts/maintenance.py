"""What is done from time to time: on the store, and about our addresses on the lists of others."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces.store import IStoreMaintenance
from pymailsuite.interfaces.text_index import ITextIndex
from pymailsuite.policy.dns_setup.watch import ListingWatch
from pymailsuite.policy.lists.dns_lists import DnsLists
from pymailsuite.server.maintenance import StoreFiller, StoreSweeper
from pymailsuite.server.parts.foundation import Foundation
from pymailsuite.server.text_indexer import TextIndexer


class Maintenance:
    """Falls to one process of those on a store."""

    def __init__(self, foundation: Foundation) -> None:
        settings, reactor, sweeps = foundation.settings, foundation.reactor, foundation.role.sweeps
        services: list[Any] = []
        maintenance = foundation.store.ability(IStoreMaintenance)
        if maintenance is not None:
            services.append(StoreSweeper(maintenance, settings.maintenance.sweep_interval if sweeps else 0, reactor))
            services.append(StoreFiller(maintenance, sweeps, reactor))
        index = foundation.store.ability(ITextIndex)
        if index is not None:
            services.append(TextIndexer(index, settings.search, foundation.text_extraction, sweeps, reactor))
        if sweeps:
            services.append(_listing_watch(foundation))
        self.services = tuple(services)


def _listing_watch(foundation: Foundation) -> ListingWatch:
    settings, resolver, reactor = foundation.settings, foundation.resolver, foundation.reactor
    lists = [one for one in settings.dnsbl.lists if one.kind == "ip"]
    return ListingWatch(
        settings.dns_setup.addresses,
        foundation.hostname,
        DnsLists(lists, resolver, reactor, settings.dns.lifetime),
        resolver,
        settings.dns_setup.listing_interval,
        reactor,
    )
