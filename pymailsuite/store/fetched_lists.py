"""Lists that one node has fetched for all of them."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.interfaces.lists import FetchedContent, FetchedList, IFetchedLists
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction

_FORGOTTEN_AFTER_S: Final = 90 * 86_400.0
"""A list that was not fetched, or not used, for so long is dropped."""


@implementer(IFetchedLists)
class FetchedListStore:
    """The table ``fetched_lists``."""

    def __init__(self, database: Database, clock: IReactorTime | StoreClock) -> None:
        self._database = database
        self._clock = clock

    def fetched(self, url: str) -> Deferred[FetchedList | None]:
        def fetched_txn(txn: Transaction) -> FetchedList | None:
            row = txn.row(
                "SELECT version, checked_at, claimed_until, etag, last_modified FROM fetched_lists WHERE url = ?",
                (url,),
            )
            return None if row is None else FetchedList(*row)

        return self._database.read("fetched list", fetched_txn)

    def content(self, url: str) -> Deferred[FetchedContent | None]:
        def content_txn(txn: Transaction) -> FetchedContent | None:
            row = txn.row("SELECT version, content FROM fetched_lists WHERE url = ? AND version <> ''", (url,))
            return None if row is None else FetchedContent(row[0], bytes(row[1]))

        return self._database.read("content of fetched list", content_txn)

    def claim(self, url: str, interval_s: float, lease_s: float) -> Deferred[bool]:
        now = self._clock.seconds()

        def claim_txn(txn: Transaction) -> bool:
            txn.execute(
                "INSERT INTO fetched_lists (url, version, content, etag, last_modified, checked_at, claimed_until)"
                " VALUES (?, '', ?, '', '', 0, 0) ON CONFLICT DO NOTHING",
                (url, b""),
            )
            return bool(
                txn.execute(
                    "UPDATE fetched_lists SET claimed_until = ?"
                    " WHERE url = ? AND checked_at <= ? AND claimed_until <= ?",
                    (now + lease_s, url, now - interval_s, now),
                )
            )

        return self._database.run("claim list", claim_txn)

    def keep(self, url: str, content: FetchedContent, etag: str, last_modified: str) -> Deferred[None]:
        now = self._clock.seconds()

        def keep_txn(txn: Transaction) -> None:
            txn.execute("DELETE FROM fetched_lists WHERE checked_at < ? AND url <> ?", (now - _FORGOTTEN_AFTER_S, url))
            txn.execute(
                "UPDATE fetched_lists SET version = ?, content = ?, etag = ?, last_modified = ?, checked_at = ?,"
                " claimed_until = 0 WHERE url = ?",
                (content.version, content.octets, etag, last_modified, now, url),
            )

        return self._database.run("keep list", keep_txn)

    def unchanged(self, url: str) -> Deferred[None]:
        now = self._clock.seconds()

        def unchanged_txn(txn: Transaction) -> None:
            txn.execute("UPDATE fetched_lists SET checked_at = ?, claimed_until = 0 WHERE url = ?", (now, url))

        return self._database.run("list unchanged", unchanged_txn)
