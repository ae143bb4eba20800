"""Results of DMARC, counted until they are reported."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from attrs import asdict, frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.interfaces.dmarc import DomainDay, IDmarcStore, ReportedPolicy, ReportedRow
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction

_TEXT_MAX = 255
"""The greatest number of characters of a value from outside in a row."""


@frozen
class _Note:
    day: int
    policy: ReportedPolicy
    row: ReportedRow


def _json(value: ReportedPolicy | ReportedRow) -> str:
    return json.dumps(asdict(value), separators=(",", ":"), sort_keys=True)


def harmless(value: Any) -> Any:
    """A value from outside with its texts shortened, and without characters that a database cannot store."""
    if isinstance(value, str):
        return value[:_TEXT_MAX].replace("\0", "?").encode("utf-8", "replace").decode("utf-8")
    return tuple(map(harmless, value)) if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def loaded(text: str) -> dict[str, Any]:
    """A value of tuples, read from its JSON."""
    return {name: _tuples(value) for name, value in json.loads(text).items()}


@implementer(IDmarcStore)
class DmarcStore:
    """The tables ``dmarc_days`` and ``dmarc_rows``. Claims end by the clock of the store."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock

    def note(self, day: int, policy: ReportedPolicy, row: ReportedRow) -> Deferred[None]:
        fields = asdict(row, recurse=False)
        row = ReportedRow(**{name: harmless(value) for name, value in fields.items()})
        return self._database.run_together("note DMARC results", _note_txn, _Note(day, policy, row))

    def claim(self, before_day: int, lease_s: float, rows_max: int) -> Deferred[DomainDay | None]:
        now = self._clock.seconds()
        return self._database.run(
            "claim DMARC results", lambda txn: _claim_txn(txn, before_day, now, now + lease_s, rows_max)
        )

    def finish(self, day: int, domain: str) -> Deferred[None]:
        def finish_txn(txn: Transaction) -> None:
            txn.execute("DELETE FROM dmarc_rows WHERE day = ? AND domain = ?", (day, domain))
            txn.execute("DELETE FROM dmarc_days WHERE day = ? AND domain = ?", (day, domain))

        return self._database.run("finish DMARC results", finish_txn)


def _note_txn(txn: Transaction, notes: Sequence[_Note]) -> list[None]:
    """A statement for each domain and each kind of row; in order, so that two nodes never deadlock."""
    policies = {(note.day, note.policy.domain): note.policy for note in notes}
    rows = Counter((note.day, note.policy.domain, _json(note.row)) for note in notes)
    for day, domain in sorted(policies):
        policy = _json(policies[day, domain])
        txn.execute(
            "INSERT INTO dmarc_days (day, domain, policy, claimed_until) VALUES (?, ?, ?, 0)"
            " ON CONFLICT (day, domain) DO UPDATE SET policy = excluded.policy"
            " WHERE dmarc_days.policy <> excluded.policy",
            (day, domain, policy),
        )
    for (day, domain, results), messages in sorted(rows.items()):
        digest = hashlib.blake2b(results.encode(), digest_size=16).digest()
        txn.execute(
            "INSERT INTO dmarc_rows (day, domain, digest, results, messages) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (day, domain, digest) DO UPDATE SET messages = dmarc_rows.messages + excluded.messages",
            (day, domain, digest, results, messages),
        )
    return [None] * len(notes)


def _claim_txn(txn: Transaction, before_day: int, now: float, until: float, rows_max: int) -> DomainDay | None:
    claimed = txn.row(
        "UPDATE dmarc_days SET claimed_until = ? WHERE (day, domain) ="
        " (SELECT day, domain FROM dmarc_days WHERE day < ? AND claimed_until <= ? ORDER BY day, domain LIMIT 1)"
        " AND claimed_until <= ? RETURNING day, domain, policy",
        (until, before_day, now, now),
    )
    if claimed is None:
        return None
    day, domain, policy = claimed
    rows = txn.rows(
        "SELECT results, messages FROM dmarc_rows WHERE day = ? AND domain = ? ORDER BY messages DESC, digest LIMIT ?",
        (day, domain, rows_max),
    )
    return DomainDay(
        day,
        ReportedPolicy(**loaded(policy)),
        tuple((ReportedRow(**loaded(results)), messages) for results, messages in rows),
    )
