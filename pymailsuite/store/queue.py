"""The queue's rows: claims with a lease, settled in one transaction with all that an attempt brought about."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces.queue import (
    Acceptance,
    Delivery,
    IQueueStore,
    Outcome,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
)
from pymailsuite.store.acceptance import NO_DUE, RECIPIENT_COLUMNS, accept_txn, deliver_txn
from pymailsuite.store.contents import change_refs_txn
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import Address, ContentId, QueueId, content_id_of, queue_id_of

log = Logger()

_ENTRY = (
    "SELECT q.content_id, c.size, c.header_size, q.reverse_local, q.reverse_domain, q.created_at, q.smtputf8, q.body,"
    " q.held, q.origin FROM queue_entries q JOIN contents c ON c.content_id = q.content_id"
)
_WAITING = RecipientState.WAITING.value


def _address(local_part: str | None, domain: str | None) -> Address | None:
    return None if local_part is None or domain is None else Address(local_part, domain)


def _recipient(row: Row) -> QueuedRecipient:
    (position, local_part, domain, route, original_local, original_domain, state, attempts, next_attempt) = row[1:10]
    delay_reported, *last = row[10:]
    return QueuedRecipient(
        position,
        Address(local_part, domain),
        route,
        _address(original_local, original_domain),
        RecipientState(state),
        attempts,
        next_attempt,
        bool(delay_reported),
        *last,
    )


def _entry(row: Row, recipients: Iterable[QueuedRecipient]) -> QueueEntry:
    content_id, size, header_size, reverse_local, reverse_domain, created_at, smtputf8, body, held, origin = row
    return QueueEntry(
        queue_id_of(ContentId(content_id)),
        ContentId(content_id),
        size,
        header_size,
        _address(reverse_local, reverse_domain),
        tuple(recipients),
        created_at,
        bool(smtputf8),
        body,
        bool(held),
        origin,
    )


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


@implementer(IQueueStore)
class QueueStore:
    """The queue's rows. An entry's id is that of its content."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock
        self._subscribers: dict[object, Callable[[], None]] = {}

    # --- in

    def accept(self, acceptance: Acceptance) -> Deferred[QueueId]:
        item = (acceptance, self._clock.seconds())
        return self._database.run_together("accept", self._accept_txn if acceptance.relays else accept_txn, item)

    def _accept_txn(self, txn: Transaction, items: Sequence[tuple[Acceptance, float]]) -> list[QueueId]:
        txn.call_after(self.wake)
        return accept_txn(txn, items)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self._subscribers[token] = callback
        return lambda: self._subscribers.pop(token, None) and None

    def wake(self) -> None:
        """Tell that queue rows became due; called after a commit, or by whatever hears of another process's."""
        for callback in list(self._subscribers.values()):
            try:
                callback()
            except Exception:
                log.failure("{event}", event="store.notice_failed")

    # --- attempts

    def claim(self, owner: str, now: float, lease_s: float, limit: int) -> Deferred[list[QueueEntry]]:
        def claim_txn(txn: Transaction) -> list[QueueEntry]:
            claimed = txn.rows(
                "UPDATE queue_entries SET claimed_by = ?, claimed_until = ? WHERE content_id IN"
                " (SELECT content_id FROM queue_entries WHERE due_at <= ? AND held = 0 AND claimed_until <= ?"
                f" ORDER BY due_at LIMIT ?{txn.skip_locked}) RETURNING content_id, due_at",
                (owner, now + lease_s, now, now, limit),
            )
            entries = []
            for content_id, _ in sorted(claimed, key=lambda row: (row[1], row[0])):
                due = self._recipients_txn(txn, content_id, " AND state = ? AND next_attempt <= ?", (_WAITING, now))
                row = txn.row(f"{_ENTRY} WHERE q.content_id = ?", (content_id,))
                assert row is not None, "a queue entry without its content"
                entries.append(_entry(row, due))
            return entries

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
        claims = [(until, content_id, owner) for content_id in _known_ids(queue_ids)]

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
    ) -> Deferred[None]:
        now = self._clock.seconds()

        def settle_txn(txn: Transaction) -> None:
            content_id = _content_id(queue_id)
            if not txn.execute(
                "UPDATE queue_entries SET claimed_by = '', claimed_until = 0 WHERE content_id = ? AND claimed_by = ?",
                (content_id, owner),
            ):
                raise NoSuchEntry(cause=f"{queue_id} is not claimed by {owner}")
            txn.execute_many(
                "UPDATE queue_recipients SET state = ?, attempts = attempts + 1, next_attempt = ?, delay_reported = ?,"
                " last_status = ?, last_reply = ?, last_host = ? WHERE content_id = ? AND position = ?",
                [
                    (
                        *(o.state.value, o.next_attempt, int(o.delay_reported), o.status, o.reply, o.host),
                        *(content_id, o.position),
                    )
                    for o in outcomes
                ],
            )
            if deliveries:
                size = txn.value("SELECT size FROM contents WHERE content_id = ?", (content_id,))
                change_refs_txn(txn, {content_id: len(deliveries)})
                deliver_txn(txn, [(delivery, content_id, size) for delivery in deliveries], now)
            if report is not None:
                self._accept_txn(txn, [(report, now)])
            self._note_due_txn(txn, content_id)

        return self._database.run("settle", settle_txn)

    def _note_due_txn(self, txn: Transaction, content_id: ContentId) -> None:
        """Set when the entry is due next; finish it if nobody waits any more."""
        due = txn.value(
            "SELECT MIN(next_attempt) FROM queue_recipients WHERE content_id = ? AND state = ?", (content_id, _WAITING)
        )
        if due is None:
            self._remove_txn(txn, content_id)
        else:
            txn.execute("UPDATE queue_entries SET due_at = ? WHERE content_id = ?", (due, content_id))
            txn.call_after(self.wake)

    def _remove_txn(self, txn: Transaction, content_id: ContentId) -> int:
        txn.execute("DELETE FROM queue_recipients WHERE content_id = ?", (content_id,))
        removed = txn.execute("DELETE FROM queue_entries WHERE content_id = ?", (content_id,))
        if removed:
            change_refs_txn(txn, {content_id: -1})
        return removed

    def next_due(self, now: float) -> Deferred[float | None]:
        def next_due_txn(txn: Transaction) -> float | None:
            due: float | None = txn.value(
                "SELECT MIN(CASE WHEN claimed_until > ? THEN claimed_until ELSE due_at END) FROM queue_entries"
                " WHERE held = 0",
                (now,),
            )
            return None if due is None or due >= NO_DUE else due

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
            if queue_ids is None:
                txn.execute("UPDATE queue_recipients SET next_attempt = ? WHERE state = ?", (now, _WAITING))
                flushed = txn.execute("UPDATE queue_entries SET due_at = ?", (now,))
            else:
                flushed = 0
                for content_id in _known_ids(queue_ids):
                    txn.execute(
                        "UPDATE queue_recipients SET next_attempt = ? WHERE content_id = ? AND state = ?",
                        (now, content_id, _WAITING),
                    )
                    flushed += txn.execute(
                        "UPDATE queue_entries SET due_at = ? WHERE content_id = ?", (now, content_id)
                    )
            if flushed:
                txn.call_after(self.wake)
            return flushed

        return self._database.run("flush queue", flush_txn)

    def hold(self, queue_ids: Sequence[QueueId], held: bool) -> Deferred[int]:
        def hold_txn(txn: Transaction) -> int:
            changed = sum(
                txn.execute("UPDATE queue_entries SET held = ? WHERE content_id = ?", (int(held), content_id))
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
