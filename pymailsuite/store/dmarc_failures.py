"""Messages that failed DMARC, until they are reported."""

from __future__ import annotations

import json

from attrs import asdict
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.interfaces.dmarc import ClaimedFailure, FailedMessage, IFailureStore
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.dmarc import harmless, loaded
from pymailsuite.store.transaction import Transaction


@implementer(IFailureStore)
class FailureStore:
    """The table ``dmarc_failures``. Claims end by the clock of the store."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    def note(self, failed: FailedMessage, digest: bytes, of_domain_max: int, in_all_max: int) -> Deferred[None]:
        # ASCII: JSON escapes what a database could not keep.
        text = json.dumps(asdict(failed), separators=(",", ":"))
        domain = harmless(failed.domain)

        def note_txn(txn: Transaction) -> None:
            if txn.execute(
                "UPDATE dmarc_failures SET incidents = incidents + 1 WHERE domain = ? AND digest = ?", (domain, digest)
            ):
                return
            of_domain = txn.value("SELECT COUNT(*) FROM dmarc_failures WHERE domain = ?", (domain,))
            if of_domain < of_domain_max and txn.value("SELECT COUNT(*) FROM dmarc_failures") < in_all_max:
                txn.execute(
                    "INSERT INTO dmarc_failures (domain, digest, failure, incidents, claimed_until)"
                    " VALUES (?, ?, ?, 1, 0) ON CONFLICT DO NOTHING",
                    (domain, digest, text),
                )

        return self._database.run("note DMARC failure", note_txn)

    def claim(self, lease_s: float) -> Deferred[ClaimedFailure | None]:
        now = self._clock.seconds()

        def claim_txn(txn: Transaction) -> ClaimedFailure | None:
            claimed = txn.row(
                "UPDATE dmarc_failures SET claimed_until = ? WHERE (domain, digest) ="
                " (SELECT domain, digest FROM dmarc_failures WHERE claimed_until <= ? ORDER BY domain, digest LIMIT 1)"
                " AND claimed_until <= ? RETURNING digest, failure, incidents",
                (now + lease_s, now, now),
            )
            if claimed is None:
                return None
            digest, text, incidents = claimed
            return ClaimedFailure(bytes(digest), FailedMessage(**loaded(text)), incidents)

        return self._database.run("claim DMARC failure", claim_txn)

    def finish(self, domain: str, digest: bytes) -> Deferred[None]:
        def finish_txn(txn: Transaction) -> None:
            txn.execute("DELETE FROM dmarc_failures WHERE domain = ? AND digest = ?", (harmless(domain), digest))

        return self._database.run("finish DMARC failure", finish_txn)
