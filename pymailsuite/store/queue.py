"""The queue's rows: claims with a lease, settled in one transaction with all that an attempt brought about."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces.history import HistoryEntry
from pymailsuite.interfaces.queue import (
    Acceptance,
    Delivery,
    IQueueStore,
    Outcome,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
)
from pymailsuite.store.acceptance import NO_DUE, RECIPIENT_COLUMNS, Copy, accept_txn, deliver_txn, ways_of
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.contents import change_refs_txn
from pymailsuite.store.database import Database
from pymailsuite.store.history import insert_history_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, Address, ContentId, QueueId, content_id_of, queue_id_of

log = Logger()

_ENTRY = (
    "SELECT q.content_id, c.size, c.header_size, q.reverse_local, q.reverse_domain, q.created_at, q.smtputf8,"
    " q.body, q.held, q.origin, q.prefix, q.reverse_unquoted, q.other_ways FROM queue_entries q"
    " JOIN contents c ON c.content_id = q.content_id"
)
_WAITING = RecipientState.WAITING.value


def _address(local_part: str | None, domain: str | None, unquoted: int = 0) -> Address | None:
    return None if local_part is None or domain is None else Address(local_part, domain, bool(unquoted))


def _recipient(row: Row) -> QueuedRecipient:
    (position, local_part, domain, route, original_local, original_domain, state, attempts, next_attempt) = row[1:10]
    delay_reported, status, reply, host, unquoted, way = row[10:]
    return QueuedRecipient(
        position,
        Address(local_part, domain, bool(unquoted)),
        route,
        _address(original_local, original_domain),
        RecipientState(state),
        attempts,
        next_attempt,
        bool(delay_reported),
        status,
        reply,
        host,
        way=way,
    )


def _entry(row: Row, recipients: Iterable[QueuedRecipient]) -> QueueEntry:
    (content_id, size, header_size, reverse_local, reverse_domain, created_at, smtputf8, body, held, origin) = row[:10]
    prefix: bytes = row[10] or b""
    return QueueEntry(
        queue_id_of(ContentId(content_id)),
        ContentId(content_id),
        len(prefix) + size,
        len(prefix) + header_size,
        _address(reverse_local, reverse_domain, row[11]),
        tuple(recipients),
        created_at,
        bool(smtputf8),
        body,
        bool(held),
        origin,
        prefix,
        ways_of(row[12]),
    )


def _accounts(deliveries: Sequence[Delivery]) -> list[AccountId]:
    return [delivery.account_id for delivery in deliveries]


def _content_id(queue_id: QueueId) -> ContentId:
    try:
        return content_id_of(queue_id)
    except ValueError:
        raise NoSuchEntry(cause=queue_id) from None


def _known_ids(queue_ids: Iterable[QueueId]) -> list[ContentId]:
    known = []
    for queue_id in queue_ids:
        try:
            known.append(content_id_of(queue_id))
        except ValueError:
            continue
    return known


_IDS_A_STATEMENT = 256


def _id_lists(content_ids: Sequence[ContentId]) -> Iterator[tuple[str, list[ContentId]]]:
    """``(?, ?, ...)`` and the values for it, in pieces. Lengths are powers of two (the last id is repeated), so that
    few statements serve all and stay prepared."""
    for start in range(0, len(content_ids), _IDS_A_STATEMENT):
        piece = list(content_ids[start : start + _IDS_A_STATEMENT])
        length = 1 << (len(piece) - 1).bit_length()
        yield f"({', '.join('?' * length)})", [*piece, *[piece[-1]] * (length - len(piece))]


@frozen
class _Settlement:
    """What :meth:`QueueStore.settle` was asked for, and when."""

    owner: str
    queue_id: QueueId
    outcomes: Sequence[Outcome]
    deliveries: Sequence[Delivery]
    report: Acceptance | None
    more: bool
    history: HistoryEntry | None
    now: float


@implementer(IQueueStore)
class QueueStore:
    """The queue's rows. An entry's id is that of its content."""

    def __init__(self, database: Database, clock: IReactorTime, lease_clock: StoreClock) -> None:
        self._database = database
        self._clock = clock
        self._lease_clock = lease_clock
        self._subscribers: dict[object, tuple[Callable[[], None], Callable[[], None]]] = {}

    # --- in

    def accept(self, acceptance: Acceptance) -> Deferred[QueueId]:
        item = (acceptance, self._clock.seconds())
        function = self._accept_txn if acceptance.outgoing else accept_txn
        return self._database.run_together("accept", function, item, _accounts(acceptance.deliveries))

    def _accept_txn(self, txn: Transaction, items: Sequence[tuple[Acceptance, float]]) -> list[QueueId]:
        txn.call_after(self.wake)
        return accept_txn(txn, items)

    def subscribe(self, callback: Callable[[], None], heard: Callable[[], None] | None = None) -> Callable[[], None]:
        token = object()
        self._subscribers[token] = callback, heard or callback
        return lambda: self._subscribers.pop(token, None) and None

    def wake(self) -> None:
        """Tell that a commit of ours made queue rows due."""
        self._tell([callback for callback, _ in self._subscribers.values()])

    def hear(self) -> None:
        self._tell([heard for _, heard in self._subscribers.values()])

    def _tell(self, callbacks: Iterable[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.failure("{event}", event="store.notice_failed")

    # --- attempts

    def claim(self, owner: str, now: float, lease_s: float, limit: int) -> Deferred[list[QueueEntry]]:
        ahead_s = self._lease_clock.ahead_s

        def claim_txn(txn: Transaction) -> list[QueueEntry]:
            # Apart from the UPDATE, or a planner may run it once for each row and lock more than its LIMIT.
            claimed = txn.rows(
                "WITH due AS MATERIALIZED"
                " (SELECT content_id FROM queue_entries WHERE due_at <= ? AND held = 0 AND claimed_until <= ?"
                f" ORDER BY due_at, content_id LIMIT ?{txn.skip_locked})"
                " UPDATE queue_entries SET claimed_by = ?, claimed_until = ?"
                " WHERE content_id IN (SELECT content_id FROM due) RETURNING content_id, due_at",
                (now, now + ahead_s, limit, owner, now + ahead_s + lease_s),
            )
            # A few statements for all of them: under load a claim is a hundred entries.
            content_ids = [content_id for content_id, _ in sorted(claimed, key=lambda row: (row[1], row[0]))]
            rows: dict[ContentId, Row] = {}
            due: defaultdict[ContentId, list[QueuedRecipient]] = defaultdict(list)
            for marks, ids in _id_lists(content_ids):
                rows.update((row[0], row) for row in txn.rows(f"{_ENTRY} WHERE q.content_id IN {marks}", ids))
                for row in txn.rows(
                    f"SELECT {RECIPIENT_COLUMNS} FROM queue_recipients WHERE content_id IN {marks} AND state = ?"
                    " AND next_attempt <= ? ORDER BY content_id, position",
                    (*ids, _WAITING, now),
                ):
                    due[row[0]].append(_recipient(row))
            return [_entry(rows[content_id], due[content_id]) for content_id in content_ids]

        return self._database.run("claim queue entries", claim_txn)

    def _recipients_txn(
        self, txn: Transaction, content_id: ContentId, also: str = "", values: Sequence[object] = ()
    ) -> list[QueuedRecipient]:
        rows = txn.rows(
            f"SELECT {RECIPIENT_COLUMNS} FROM queue_recipients WHERE content_id = ?{also} ORDER BY position",
            (content_id, *values),
        )
        return [_recipient(row) for row in rows]

    def renew(self, owner: str, queue_ids: Iterable[QueueId], until: float) -> Deferred[None]:
        until += self._lease_clock.ahead_s
        claims = [(until, content_id, owner) for content_id in sorted(_known_ids(queue_ids))]

        def renew_txn(txn: Transaction) -> None:
            txn.execute_many(
                "UPDATE queue_entries SET claimed_until = ? WHERE content_id = ? AND claimed_by = ?", claims
            )

        return self._database.run("renew claims", renew_txn)

    def settle(
        self,
        owner: str,
        queue_id: QueueId,
        outcomes: Sequence[Outcome],
        deliveries: Sequence[Delivery],
        report: Acceptance | None,
        more: bool = False,
        history: HistoryEntry | None = None,
    ) -> Deferred[None]:
        settlement = _Settlement(owner, queue_id, outcomes, deliveries, report, more, history, self._clock.seconds())
        accounts = _accounts([*deliveries, *(report.deliveries if report is not None else ())])
        return self._database.run_together("settle", self._settle_txn, settlement, accounts)

    def _settle_txn(self, txn: Transaction, settlements: Sequence[_Settlement]) -> list[None]:
        """Settle many at once: most of them end their entry, and those cost four statements all together."""
        by_id = {_content_id(settlement.queue_id): settlement for settlement in settlements}
        if len(by_id) < len(settlements):
            # Routes of one entry that end together are settled one after the other.
            for settlement in settlements:
                self._settle_txn(txn, [settlement])
            return [None] * len(settlements)
        self._check_claims_txn(txn, by_id)
        finished, left = self._split_txn(txn, by_id)
        self._remove_all_txn(txn, finished)
        for content_id in left:
            self._note_outcomes_txn(txn, content_id, by_id[content_id])
        for content_id, settlement in by_id.items():
            if settlement.deliveries:
                row = txn.row("SELECT size, extra_octets, fields FROM contents WHERE content_id = ?", (content_id,))
                assert row is not None
                size, extra, fields = row
                change_refs_txn(txn, {content_id: len(settlement.deliveries)})
                shared = bytes(fields or b"")
                copies: list[Copy] = [
                    # What is to stand in front of it may stand in front of all copies already.
                    (
                        evolve(delivery, prefix=delivery.prefix.removesuffix(shared)),
                        content_id,
                        size + len(shared),
                        extra,
                    )
                    for delivery in settlement.deliveries
                ]
                deliver_txn(txn, copies, settlement.now)
        reports = [(one.report, one.now) for one in settlements if one.report is not None]
        if any(report.outgoing for report, _ in reports):
            self._accept_txn(txn, reports)
        elif reports:
            accept_txn(txn, reports)
        insert_history_txn(txn, [one.history for one in settlements if one.history is not None])
        return [None] * len(settlements)

    def _check_claims_txn(self, txn: Transaction, by_id: dict[ContentId, _Settlement]) -> None:
        claimed_by: dict[ContentId, str] = {}
        for marks, ids in _id_lists(list(by_id)):
            # An UPDATE that changes nothing: on every engine it keeps others from taking the claim over meanwhile.
            claimed_by.update(
                txn.rows(
                    f"UPDATE queue_entries SET claimed_until = claimed_until WHERE content_id IN {marks}"
                    " RETURNING content_id, claimed_by",
                    ids,
                )
            )
        for content_id, settlement in by_id.items():
            if claimed_by.get(content_id) != settlement.owner:
                raise NoSuchEntry(cause=f"{settlement.queue_id} is not claimed by {settlement.owner}")

    def _split_txn(
        self, txn: Transaction, by_id: dict[ContentId, _Settlement]
    ) -> tuple[list[ContentId], list[ContentId]]:
        """Entries nobody of whom waits any more, and the others."""
        outstanding: set[ContentId] = set()
        ended = {
            (content_id, outcome.position)
            for content_id, settlement in by_id.items()
            for outcome in settlement.outcomes
            if outcome.state is not RecipientState.WAITING
        }
        for marks, ids in _id_lists(list(by_id)):
            outstanding |= {
                content_id
                for content_id, position in txn.rows(
                    f"SELECT content_id, position FROM queue_recipients WHERE content_id IN {marks} AND state = ?",
                    (*ids, _WAITING),
                )
                if (content_id, position) not in ended
            }
        return [each for each in by_id if each not in outstanding], [each for each in by_id if each in outstanding]

    def _note_outcomes_txn(self, txn: Transaction, content_id: ContentId, settlement: _Settlement) -> None:
        """Write down what became of some; set when the entry is due next, and end the claim unless there is more."""
        txn.execute_many(
            "UPDATE queue_recipients SET state = ?, attempts = attempts + 1, next_attempt = ?, delay_reported = ?,"
            " last_status = ?, last_reply = ?, last_host = ? WHERE content_id = ? AND position = ?",
            [
                (
                    *(o.state.value, o.next_attempt, int(o.delay_reported), o.status, o.reply, o.host),
                    *(content_id, o.position),
                )
                for o in settlement.outcomes
            ],
        )
        if not settlement.more:
            txn.execute(
                "UPDATE queue_entries SET claimed_by = '', claimed_until = 0, due_at = (SELECT MIN(next_attempt)"
                " FROM queue_recipients WHERE content_id = ? AND state = ?) WHERE content_id = ?",
                (content_id, _WAITING, content_id),
            )
            txn.call_after(self.wake)

    def _remove_all_txn(self, txn: Transaction, content_ids: Sequence[ContentId]) -> None:
        """Remove entries that are there."""
        for marks, ids in _id_lists(content_ids):
            txn.execute(f"DELETE FROM queue_recipients WHERE content_id IN {marks}", ids)
            txn.execute(f"DELETE FROM queue_entries WHERE content_id IN {marks}", ids)
            txn.execute(f"UPDATE contents SET refs = refs - 1 WHERE content_id IN {marks}", ids)

    def release_claims(self, owners: Iterable[str]) -> Deferred[int]:
        gone = sorted(set(owners))

        def release_txn(txn: Transaction) -> int:
            released = sum(
                txn.execute(
                    "UPDATE queue_entries SET claimed_by = '', claimed_until = 0 WHERE claimed_by = ?", (owner,)
                )
                for owner in gone
            )
            if released:
                txn.call_after(self.wake)
            return released

        return self._database.run("release claims", release_txn)

    def _remove_txn(self, txn: Transaction, content_id: ContentId) -> int:
        removed = txn.execute("DELETE FROM queue_entries WHERE content_id = ?", (content_id,))
        if removed:
            txn.execute("DELETE FROM queue_recipients WHERE content_id = ?", (content_id,))
            change_refs_txn(txn, {content_id: -1})
        return removed

    def next_due(self, now: float) -> Deferred[float | None]:
        ahead_s = self._lease_clock.ahead_s

        def next_due_txn(txn: Transaction) -> float | None:
            # Both walk the index of what is due and stop early: this is asked every few seconds, of long queues too.
            row = txn.row(
                "SELECT due_at FROM queue_entries WHERE held = 0 AND claimed_until <= ? ORDER BY due_at LIMIT 1",
                (now + ahead_s,),
            )
            unclaimed: float = row[0] if row is not None else NO_DUE
            if unclaimed <= now:
                return unclaimed
            lapse: float | None = txn.value(
                "SELECT MIN(claimed_until) FROM queue_entries WHERE due_at <= ? AND held = 0 AND claimed_until > ?",
                (now, now + ahead_s),
            )
            due = min(unclaimed, NO_DUE if lapse is None else lapse - ahead_s)
            return None if due >= NO_DUE else due

        return self._database.read("next due", next_due_txn)

    # --- operators

    def entries(self) -> Deferred[list[QueueEntry]]:
        def entries_txn(txn: Transaction) -> list[QueueEntry]:
            recipients: dict[int, list[QueuedRecipient]] = {}
            for row in txn.rows(f"SELECT {RECIPIENT_COLUMNS} FROM queue_recipients ORDER BY content_id, position"):
                recipients.setdefault(row[0], []).append(_recipient(row))
            rows = txn.rows(f"{_ENTRY} ORDER BY q.created_at, q.content_id")
            return [_entry(row, recipients.get(row[0], ())) for row in rows]

        return self._database.read("queue entries", entries_txn)

    def entry(self, queue_id: QueueId) -> Deferred[QueueEntry]:
        def entry_txn(txn: Transaction) -> QueueEntry:
            content_id = _content_id(queue_id)
            row = txn.row(f"{_ENTRY} WHERE q.content_id = ?", (content_id,))
            if row is None:
                raise NoSuchEntry(cause=queue_id)
            return _entry(row, self._recipients_txn(txn, content_id))

        return self._database.read("queue entry", entry_txn)

    def flush(self, queue_ids: Sequence[QueueId] | None, now: float) -> Deferred[int]:
        def flush_txn(txn: Transaction) -> int:
            # The entry first, as whoever settles it does.
            if queue_ids is None:
                flushed = txn.execute("UPDATE queue_entries SET due_at = ? WHERE held = 0", (now,))
                txn.execute(
                    "UPDATE queue_recipients SET next_attempt = ? WHERE state = ?"
                    " AND content_id IN (SELECT content_id FROM queue_entries WHERE held = 0)",
                    (now, _WAITING),
                )
            else:
                flushed = 0
                for content_id in _known_ids(queue_ids):
                    if txn.execute(
                        "UPDATE queue_entries SET due_at = ? WHERE content_id = ? AND held = 0", (now, content_id)
                    ):
                        flushed += 1
                        txn.execute(
                            "UPDATE queue_recipients SET next_attempt = ? WHERE content_id = ? AND state = ?",
                            (now, content_id, _WAITING),
                        )
            if flushed:
                txn.call_after(self.wake)
            return flushed

        return self._database.run("flush queue", flush_txn)

    def hold(self, queue_ids: Sequence[QueueId], held: bool) -> Deferred[int]:
        def hold_txn(txn: Transaction) -> int:
            changed = sum(
                txn.execute(
                    "UPDATE queue_entries SET held = ? WHERE content_id = ? AND held <> ?",
                    (int(held), content_id, int(held)),
                )
                for content_id in _known_ids(queue_ids)
            )
            if changed and not held:
                txn.call_after(self.wake)
            return changed

        return self._database.run("hold queue entries", hold_txn)

    def delete(self, queue_ids: Sequence[QueueId]) -> Deferred[int]:
        def delete_txn(txn: Transaction) -> int:
            return sum(self._remove_txn(txn, content_id) for content_id in _known_ids(queue_ids))

        return self._database.run("delete queue entries", delete_txn)
