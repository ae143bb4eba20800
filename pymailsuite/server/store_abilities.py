"""What a server does without when its store is not able to carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.logger import Logger

from pymailsuite.config.settings import Settings
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.history import IHistoryStore
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.interfaces.state import IStateStore
from pymailsuite.interfaces.store import IMailStore, IStoreMaintenance
from pymailsuite.interfaces.text_index import ITextIndex

log = Logger()

_WITHOUT: Final[Mapping[type, str]] = {
    IQueueStore: "no mail is taken in or sent on",
    IStateStore: "each process counts failed logins for itself",
    IStoreMaintenance: "nothing is swept",
    ITextIndex: "searches read each message",
    IHistoryStore: "nobody will know what became of a message",
}


def tell_what_is_missing(store: IMailStore, settings: Settings) -> None:
    """What the store is not able to, and so the server is not. ConfigError if the settings ask for it."""
    if not store.is_shared and settings.server.worker_count > 1:
        raise ConfigError("server.workers: this kind of store is in one process and cannot be shared by several")
    for interface, consequence in _WITHOUT.items():
        if store.ability(interface) is None:
            log.info(
                "{event} {ability}: {consequence}",
                event="store.ability_missing",
                ability=interface.__name__,
                consequence=consequence,
            )
