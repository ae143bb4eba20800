"""The queue's rows: claims with a lease, settled in one transaction with all results of an attempt."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.errors import MailError, NoSuchEntry
from pymailsuite.interfaces.history import HistoryEntry
from pymailsuite.interfaces.queue import (
    Acceptance,
    Delivery,
    IQueueStore,
    Notify,
    Outcome,
    OutgoingEnvelope,
    QueuedRecipient,
    QueueEntry,
    RecipientState,
    Ret,
)
from pymailsuite.store.acceptance import (
    NO_DUE,
    RECIPIENT_COLUMNS,
    Accepting,
    Copy,
    accept_txn,
    deliver_txn,
    enqueue_txn,
)
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.contents import change_refs_txn
from pymailsuite.store.database import Database
from pymailsuite.store.history import insert_history_txn
from pymailsuite.store.quota import Quotas
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, Address, ContentId, EntryId, QueueId, content_id_of, queue_id_of

log = Logger()
T = TypeVar("T")

_ENTRY = (
    "SELECT q.entry_id, q.content_id, c.size, c.header_size, q.reverse_local, q.reverse_domain, q.reverse_unquoted,"
    " q.created_at, q.smtputf8, q.body, q.held, q.origin, q.prefix, q.envid, q.ret, q.priority FROM queue_entries q"
    " JOIN contents c ON c.content_id = q.content_id"
)
_DELAYED = RecipientState.DELAYED.value
_CLASSES = (
    ("urgent", "> 0", "priority DESC, due_at, entry_id"),
    ("usual", "= 0", "due_at, entry_id"),
    ("patient", "< 0", "priority DESC, due_at, entry_id"),
)
"""Entries in the order of their priority: a name, the rule, and the order within."""
_FREE = "due_at <= ? AND held = 0 AND claimed_until <= ?"
"""Conditions of an entry that may be claimed."""


def _address(local_part: str | None, domain: str | None, unquoted: int = 0) -> Address | None:
    return None if local_part is None or domain is None else Address(local_part, domain, bool(unquoted))


def _recipient(row: Row) -> QueuedRecipient:
    position, local_part, domain, unquoted, route, original_local, original_domain, state, attempts = row[1:10]
    next_attempt, delay_reported, status, reply, host, notify, orcpt = row[10:]
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
        Notify(notify),
        orcpt,
    )


def _entry(row: Row, recipients: Iterable[QueuedRecipient]) -> QueueEntry:
    entry_id, content_id, size, header_size, reverse_local, reverse_domain, reverse_unquoted, created_at = row[:8]
    smtputf8, body, held, origin, prefix, envid, ret, priority = row[8:]
    prefix = prefix or b""
    return QueueEntry(
        EntryId(entry_id),
        ContentId(content_id),
        len(prefix) + size,
        len(prefix) + header_size,
        _address(reverse_local, reverse_domain, reverse_unquoted),
        tuple(recipients),
        created_at,
        bool(smtputf8),
        body,
        bool(held),
        origin,
        prefix,
        envid,
        Ret(ret) if ret else None,
        priority,
    )


def _accounts(acceptance: Acceptance) -> list[AccountId]:
    """The accounts whose mail it changes, including messages accepted along with it."""
    deliveries = acceptance.deliveries
    if acceptance.along:
        deliveries = (*deliveries, *[delivery for each in acceptance.along for delivery in each.deliveries])
    return [delivery.account_id for delivery in deliveries]


_IDS_A_STATEMENT = 256


def _id_lists(numbers: Sequence[T]) -> Iterator[tuple[str, list[T]]]:
    """``(?, ?, ...)`` and the values for it, in pieces. Lengths are powers of two (the last id is repeated), so that
    few statements serve all and stay prepared."""
    for start in range(0, len(numbers), _IDS_A_STATEMENT):
        piece = list(numbers[start : start + _IDS_A_STATEMENT])
        length = 1 << (len(piece) - 1).bit_length()
        yield f"({', '.join('?' * length)})", [*piece, *[piece[-1]] * (length - len(piece))]


@frozen
class _Settlement:
    """A request of :meth:`QueueStore.settle`, and its time."""

    owner: str
    entry_id: EntryId
    outcomes: Sequence[Outcome]
    deliveries: Sequence[Delivery]
    accepting: Sequence[Accepting]
    queued: Sequence[tuple[EntryId, OutgoingEnvelope]]
    more: bool
    history: HistoryEntry | None
    now: float


@implementer(IQueueStore)
class QueueStore:
    """The queue's rows. ``new_id`` makes the ids of entries, which differ from all content ids."""

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        lease_clock: StoreClock,
        new_id: Callable[[], ContentId],
        quotas: Quotas,
    ) -> None:
        self._quotas = quotas
        self._accept_here_txn = partial(accept_txn, quotas=quotas)
        """For messages that do not touch the queue; the same object each time, by which the store groups them."""
        self._database = database
        self._new_id = new_id
        self._clock = clock
        self._lease_clock = lease_clock
        self._subscribers: dict[object, tuple[Callable[[], None], Callable[[], None]]] = {}

    # --- in

    def accept(self, acceptance: Acceptance) -> Deferred[QueueId]:
        try:
            item = self.numbered(acceptance)
        except MailError:
            return fail()
        function = self._accept_txn if acceptance.outgoing or acceptance.along else self._accept_here_txn
        return self._database.run_together("accept", function, item, _accounts(acceptance))

    def numbered(self, acceptance: Acceptance) -> Accepting:
        """The entries get their ids, by which the history is found too. StoreUnavailable if there is none to give."""
        now = self._clock.seconds()
        along = tuple(map(self.numbered, acceptance.along)) if acceptance.along else ()
        if not acceptance.outgoing:
            return Accepting(acceptance, now, (), along)
        entry_ids = tuple([EntryId(self._new_id()) for _ in acceptance.outgoing])
        if acceptance.history is not None:
            names = (*acceptance.history.names, *map(queue_id_of, entry_ids))
            acceptance = evolve(acceptance, history=evolve(acceptance.history, names=names))
        return Accepting(acceptance, now, entry_ids, along)

    def _accept_txn(self, txn: Transaction, items: Sequence[Accepting]) -> list[QueueId]:
        txn.call_after(self.wake)
        return accept_txn(txn, items, self._quotas)

    def subscribe(self, callback: Callable[[], None], heard: Callable[[], None] | None = None) -> Callable[[], None]:
        token = object()
        self._subscribers[token] = callback, heard or callback
        return lambda: self._subscribers.pop(token, None) and None

    def wake(self) -> None:
        """Announce that a commit of this process made queue rows due."""
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
            # Found apart from the UPDATE, or a planner may run that once for each row and lock more than its LIMIT; and
            # each class of priorities by an index of its own, so that a long queue is not sorted to find a few.
            classes = [
                f"{name} AS MATERIALIZED (SELECT entry_id FROM queue_entries WHERE priority {rule} AND {_FREE}"
                f" ORDER BY {order} LIMIT ?{txn.skip_locked})"
                for name, rule, order in _CLASSES
            ]
            claimed = txn.rows(
                f"WITH {', '.join(classes)} UPDATE queue_entries SET claimed_by = ?, claimed_until = ?"
                " WHERE entry_id IN (SELECT entry_id FROM urgent UNION ALL SELECT entry_id FROM usual"
                " UNION ALL SELECT entry_id FROM patient LIMIT ?) RETURNING entry_id, priority, due_at",
                (*(now, now + ahead_s, limit) * len(_CLASSES), owner, now + ahead_s + lease_s, limit),
            )
            # A few statements for all of them: under load a claim is a hundred entries.
            entry_ids = [row[0] for row in sorted(claimed, key=lambda row: (-row[1], row[2], row[0]))]
            rows: dict[EntryId, Row] = {}
            due: defaultdict[EntryId, list[QueuedRecipient]] = defaultdict(list)
            for marks, ids in _id_lists(entry_ids):
                rows.update((row[0], row) for row in txn.rows(f"{_ENTRY} WHERE q.entry_id IN {marks}", ids))
                for row in txn.rows(
                    f"SELECT {RECIPIENT_COLUMNS} FROM queue_recipients WHERE entry_id IN {marks} AND state = ?"
                    " AND next_attempt <= ? ORDER BY entry_id, position",
                    (*ids, _DELAYED, now),
                ):
                    due[row[0]].append(_recipient(row))
            return [_entry(rows[entry_id], due[entry_id]) for entry_id in entry_ids]

        return self._database.run("claim queue entries", claim_txn)

    def renew(self, owner: str, entry_ids: Iterable[EntryId], until: float) -> Deferred[None]:
        until += self._lease_clock.ahead_s
        claims = [(until, entry_id, owner) for entry_id in sorted(entry_ids)]

        def renew_txn(txn: Transaction) -> None:
            txn.execute_many("UPDATE queue_entries SET claimed_until = ? WHERE entry_id = ? AND claimed_by = ?", claims)

        return self._database.run("renew claims", renew_txn)

    def settle(
        self,
        owner: str,
        entry_id: EntryId,
        outcomes: Sequence[Outcome],
        deliveries: Sequence[Delivery],
        report: Acceptance | None,
        more: bool = False,
        history: HistoryEntry | None = None,
        outgoing: Sequence[OutgoingEnvelope] = (),
        along: Sequence[Acceptance] = (),
    ) -> Deferred[None]:
        accepted = along if report is None else (report, *along)
        try:
            accepting = [self.numbered(each) for each in accepted]
            queued = [(EntryId(self._new_id()), envelope) for envelope in outgoing]
        except MailError:
            return fail()
        now = self._clock.seconds()
        settlement = _Settlement(owner, entry_id, outcomes, deliveries, accepting, queued, more, history, now)
        accounts = [delivery.account_id for delivery in deliveries]
        for each in accepted:
            accounts += _accounts(each)
        return self._database.run_together("settle", self._settle_txn, settlement, accounts)

    def _settle_txn(self, txn: Transaction, settlements: Sequence[_Settlement]) -> list[None]:
        """Settle many at once: most of them end their entry, and those cost four statements all together."""
        by_id = {settlement.entry_id: settlement for settlement in settlements}
        if len(by_id) < len(settlements):
            # Routes of one entry that end together are settled one after the other.
            for settlement in settlements:
                self._settle_txn(txn, [settlement])
            return [None] * len(settlements)
        content_of = self._check_claims_txn(txn, by_id)
        finished, left = self._split_txn(txn, by_id)
        for entry_id, settlement in by_id.items():
            if settlement.queued:
                # Before the entry is removed, whose reference keeps the content.
                content_id = content_of[entry_id]
                change_refs_txn(txn, {content_id: len(settlement.queued)})
                enqueue_txn(
                    txn, [(new_id, content_id, envelope, settlement.now) for new_id, envelope in settlement.queued]
                )
                txn.call_after(self.wake)
        _remove_all_txn(txn, finished, [content_of[entry_id] for entry_id in finished])
        for entry_id in left:
            self._note_outcomes_txn(txn, entry_id, by_id[entry_id])
        for entry_id, settlement in by_id.items():
            if settlement.deliveries:
                content_id = content_of[entry_id]
                row = txn.row("SELECT size, extra_octets, fields FROM contents WHERE content_id = ?", (content_id,))
                assert row is not None
                size, extra, fields = row
                change_refs_txn(txn, {content_id: len(settlement.deliveries)})
                shared = bytes(fields or b"")
                copies: list[Copy] = [
                    # Its fields may stand in front of all copies already.
                    (
                        evolve(delivery, prefix=delivery.prefix.removesuffix(shared)),
                        content_id,
                        size + len(shared),
                        extra,
                    )
                    for delivery in settlement.deliveries
                ]
                deliver_txn(txn, copies, settlement.now, self._quotas)
        accepting = [each for one in settlements for each in one.accepting]
        if any(each.acceptance.outgoing or each.along for each in accepting):
            self._accept_txn(txn, accepting)
        elif accepting:
            accept_txn(txn, accepting, self._quotas)
        insert_history_txn(txn, [one.history for one in settlements if one.history is not None])
        return [None] * len(settlements)

    def _check_claims_txn(self, txn: Transaction, by_id: dict[EntryId, _Settlement]) -> dict[EntryId, ContentId]:
        """The contents of the entries, after checking that the settling owner has claimed all of them."""
        claims: dict[EntryId, tuple[str, ContentId]] = {}
        for marks, ids in _id_lists(list(by_id)):
            # An UPDATE that changes nothing: on every engine it keeps others from taking the claim over meanwhile.
            for entry_id, claimed_by, content_id in txn.rows(
                f"UPDATE queue_entries SET claimed_until = claimed_until WHERE entry_id IN {marks}"
                " RETURNING entry_id, claimed_by, content_id",
                ids,
            ):
                claims[entry_id] = claimed_by, content_id
        for entry_id, settlement in by_id.items():
            if entry_id not in claims or claims[entry_id][0] != settlement.owner:
                raise NoSuchEntry(cause=f"entry {queue_id_of(entry_id)} is not claimed by {settlement.owner}")
        return {entry_id: content_id for entry_id, (_, content_id) in claims.items()}

    def _split_txn(self, txn: Transaction, by_id: dict[EntryId, _Settlement]) -> tuple[list[EntryId], list[EntryId]]:
        """Entries without waiting recipients, and the others."""
        outstanding: set[EntryId] = set()
        ended = {
            (entry_id, outcome.position)
            for entry_id, settlement in by_id.items()
            for outcome in settlement.outcomes
            if outcome.state is not RecipientState.DELAYED
        }
        for marks, ids in _id_lists(list(by_id)):
            outstanding |= {
                entry_id
                for entry_id, position in txn.rows(
                    f"SELECT entry_id, position FROM queue_recipients WHERE entry_id IN {marks} AND state = ?",
                    (*ids, _DELAYED),
                )
                if (entry_id, position) not in ended
            }
        return [each for each in by_id if each not in outstanding], [each for each in by_id if each in outstanding]

    def _note_outcomes_txn(self, txn: Transaction, entry_id: EntryId, settlement: _Settlement) -> None:
        """Store the outcomes of some recipients; set the next due time of the entry, and end the claim unless more
        follow."""
        txn.execute_many(
            "UPDATE queue_recipients SET state = ?, attempts = attempts + 1, next_attempt = ?, delay_reported = ?,"
            " last_status = ?, last_reply = ?, last_host = ? WHERE entry_id = ? AND position = ?",
            [
                (
                    *(o.state.value, o.next_attempt, int(o.delay_reported), o.status, o.reply, o.host),
                    *(entry_id, o.position),
                )
                for o in settlement.outcomes
            ],
        )
        if not settlement.more:
            txn.execute(
                "UPDATE queue_entries SET claimed_by = '', claimed_until = 0, due_at = (SELECT MIN(next_attempt)"
                " FROM queue_recipients WHERE entry_id = ? AND state = ?) WHERE entry_id = ?",
                (entry_id, _DELAYED, entry_id),
            )
            txn.call_after(self.wake)

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

    def next_due(self, now: float) -> Deferred[float | None]:
        ahead_s = self._lease_clock.ahead_s

        def next_due_txn(txn: Transaction) -> float | None:
            # Both walk the index of due entries and stop early: this runs every few seconds, on long queues too.
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

    def entries(self, queue_id: QueueId | None = None) -> Deferred[list[QueueEntry]]:
        which, values = "", []
        if queue_id is not None:
            try:
                number = content_id_of(queue_id)
            except ValueError:
                return succeed([])
            which, values = " WHERE q.entry_id = ? OR q.content_id = ?", [number, number]

        def entries_txn(txn: Transaction) -> list[QueueEntry]:
            rows = txn.rows(f"{_ENTRY}{which} ORDER BY q.created_at, q.entry_id", values)
            recipients: defaultdict[EntryId, list[QueuedRecipient]] = defaultdict(list)
            among = f" WHERE entry_id IN (SELECT q.entry_id FROM queue_entries q{which})" if which else ""
            for row in txn.rows(
                f"SELECT {RECIPIENT_COLUMNS} FROM queue_recipients{among} ORDER BY entry_id, position", values
            ):
                recipients[row[0]].append(_recipient(row))
            return [_entry(row, recipients[row[0]]) for row in rows]

        return self._database.read("queue entries", entries_txn)

    def flush(self, entry_ids: Sequence[EntryId] | None, now: float) -> Deferred[int]:
        def flush_txn(txn: Transaction) -> int:
            # The entry first, in the same order as settling.
            if entry_ids is None:
                flushed = txn.execute("UPDATE queue_entries SET due_at = ? WHERE held = 0", (now,))
                txn.execute(
                    "UPDATE queue_recipients SET next_attempt = ? WHERE state = ?"
                    " AND entry_id IN (SELECT entry_id FROM queue_entries WHERE held = 0)",
                    (now, _DELAYED),
                )
            else:
                flushed = 0
                for entry_id in entry_ids:
                    if txn.execute(
                        "UPDATE queue_entries SET due_at = ? WHERE entry_id = ? AND held = 0", (now, entry_id)
                    ):
                        flushed += 1
                        txn.execute(
                            "UPDATE queue_recipients SET next_attempt = ? WHERE entry_id = ? AND state = ?",
                            (now, entry_id, _DELAYED),
                        )
            if flushed:
                txn.call_after(self.wake)
            return flushed

        return self._database.run("flush queue", flush_txn)

    def hold(self, entry_ids: Sequence[EntryId], held: bool) -> Deferred[int]:
        def hold_txn(txn: Transaction) -> int:
            changed = sum(
                txn.execute(
                    "UPDATE queue_entries SET held = ? WHERE entry_id = ? AND held <> ?",
                    (int(held), entry_id, int(held)),
                )
                for entry_id in entry_ids
            )
            if changed and not held:
                txn.call_after(self.wake)
            return changed

        return self._database.run("hold queue entries", hold_txn)

    def delete(self, entry_ids: Sequence[EntryId]) -> Deferred[int]:
        def delete_txn(txn: Transaction) -> int:
            removed = 0
            for entry_id in entry_ids:
                rows = txn.rows("DELETE FROM queue_entries WHERE entry_id = ? RETURNING content_id", (entry_id,))
                for (content_id,) in rows:
                    txn.execute("DELETE FROM queue_recipients WHERE entry_id = ?", (entry_id,))
                    change_refs_txn(txn, {content_id: -1})
                removed += len(rows)
            return removed

        return self._database.run("delete queue entries", delete_txn)


def _remove_all_txn(txn: Transaction, entry_ids: Sequence[EntryId], content_ids: Sequence[ContentId]) -> None:
    """Remove entries that are there, and what their contents are named by them."""
    for marks, ids in _id_lists(entry_ids):
        txn.execute(f"DELETE FROM queue_recipients WHERE entry_id IN {marks}", ids)
        txn.execute(f"DELETE FROM queue_entries WHERE entry_id IN {marks}", ids)
    counts = Counter(content_ids)
    for marks, contents in _id_lists([content_id for content_id, count in counts.items() if count == 1]):
        txn.execute(f"UPDATE contents SET refs = refs - 1 WHERE content_id IN {marks}", contents)
    several = {content_id: -count for content_id, count in counts.items() if count > 1}
    if several:
        change_refs_txn(txn, several)
