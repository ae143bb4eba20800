"""What operators do to a store: look after it, count it, mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pymailsuite.store.contents import Scanner
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction


class StoreUpkeep:
    """Counts."""

    def __init__(self, database: Database, clock: IReactorTime, scanner: Callable[[], Scanner]) -> None:
        self._database = database
        self._clock = clock
        self._scanner = scanner

    def statistics(self) -> Deferred[Mapping[str, int]]:
        def statistics_txn(txn: Transaction) -> Mapping[str, int]:
            return {
                "accounts": txn.value("SELECT COUNT(*) FROM accounts"),
                "mailboxes": txn.value("SELECT COUNT(*) FROM mailboxes"),
                "messages": txn.value("SELECT COALESCE(SUM(messages), 0) FROM mailboxes"),
                "content_octets": txn.value("SELECT COALESCE(SUM(size), 0) FROM contents"),
                "queue_entries": txn.value("SELECT COUNT(*) FROM queue_entries"),
                "schema_version": txn.value("SELECT MAX(version) FROM schema_version"),
            }

        return self._database.read("statistics", statistics_txn)
