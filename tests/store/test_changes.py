"""The change log: what happened to an account since any moment, and what it costs to ask."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import LimitReached, MailError, NoSuchAccount, NoSuchMailbox
from pymailsuite.interfaces import Acceptance, AccountChanges, Delivery, Mailbox, MailboxChanges, NewMessage
from pymailsuite.store import changes as change_queries
from pymailsuite.store.change_log import BLOCK
from pymailsuite.store.changes import account_changes_txn, mailbox_changes_txn
from pymailsuite.store.mail_store import inline_store
from pymailsuite.store.mailboxes import INBOX_ID
from pymailsuite.store.migrate import migrate_txn, schema_steps
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, MailboxId, ModSeq, SpecialUse, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase
from tests.support.stores import fired

DAY = 86400.0
SEEN, FLAGGED, DELETED = Flags(SystemFlag.SEEN), Flags(SystemFlag.FLAGGED), Flags(SystemFlag.DELETED)


@define
class Known:
    """What a client knows of a mailbox."""

    name: str
    special_use: SpecialUse | None
    selectable: bool
    uid_next: int
    messages: dict[int, tuple[int, str]] = field(factory=dict)


@define
class State:
    """What a client knows of an account, at a modseq."""

    modseq: ModSeq
    mailboxes: dict[MailboxId, Known] = field(factory=dict)
    subscriptions: set[str] = field(factory=set)


def known(mailbox: Mailbox) -> Known:
    """A mailbox without its messages."""
    return Known(mailbox.name, mailbox.special_use, mailbox.selectable, mailbox.uid_next)


class ReplayContract(StoreTestCase):
    """Random lives of an account: what is told since a moment makes the state of then the state of now."""

    seeds = range(4)
    steps = 120

    def test_what_is_told_since_any_moment_leads_to_now(self) -> None:
        for seed in self.seeds:
            with self.subTest(seed=seed):
                self.live(random.Random(seed), f"user{seed}@example.org", sweeps=False)

    def test_what_is_not_remembered_any_more_is_not_called_complete(self) -> None:
        incomplete = sum(self.live(random.Random(seed), f"user{seed}@example.org", sweeps=True) for seed in self.seeds)
        self.assertGreater(incomplete, 0)

    def test_an_answer_that_comes_in_pieces_is_the_same(self) -> None:
        self.patch(change_queries, "PAGE_OCTETS", 25)
        self.live(random.Random(100), "pieces@example.org", sweeps=False)
        self.assertGreater(self.pieces, 20)

    def live(self, dice: random.Random, login_name: str, *, sweeps: bool) -> int:
        """How many moments were too long ago."""
        self.dice = dice
        self.pieces = 0
        self.ann = self.account(login_name)
        self.mail = self.store.account_mail(self.ann.account_id)
        actions: list[Callable[[], Any]] = [
            *([self.append_some] * 3),
            *([self.change_flags] * 5),
            *([self.expunge, self.copy, self.move, self.create, self.rename, self.subscribe] * 2),
            *(self.accept_one, self.delete, self.unsubscribe, self.restore, self.rename_inbox, self.rebuild),
        ]
        if sweeps:
            actions.append(self.sweep)
        states = [State(ModSeq(0)), self.state()]
        for _ in range(self.steps):
            self.clock.advance(1)
            dice.choice(actions)()
            states.append(self.state())
        now = states[-1]
        told = [self.replay(deepcopy(state), now) for state in states]
        if not sweeps:
            self.assertTrue(all(told))
        self.assertTrue(told[-1])
        self.assert_sound()
        return told.count(False)

    def state(self) -> State:
        mailboxes = self.result(self.mail.mailboxes())
        modseqs = self.result(self.store.modseqs([self.ann.account_id]))
        state = State(modseqs[self.ann.account_id], {mailbox.mailbox_id: known(mailbox) for mailbox in mailboxes})
        for mailbox in mailboxes:
            if mailbox.selectable:
                rows = self.result(self.mail.select(mailbox.name, True)).rows
                state.mailboxes[mailbox.mailbox_id].messages = {row[0]: (row[1], row[2]) for row in rows}
        state.subscriptions = set(self.result(self.mail.subscriptions()))
        return state

    def replay(self, state: State, now: State) -> bool:
        """Bring a state up to date; False if that cannot be done."""
        began = state.modseq
        while True:
            changes: AccountChanges = self.result(self.mail.account_changes(state.modseq))
            if not changes.is_complete:
                return False
            self.pieces += changes.has_more
            self.assertTrue(changes.modseq > state.modseq or not changes.has_more)
            told = {changed.mailbox.mailbox_id for changed in changes.mailboxes}
            self.assertEqual(told & set(changes.gone), set())
            # In pieces, what came and went may be told of by a later one, and names may be those of between.
            at_once = state.modseq == began and not changes.has_more
            for mailbox_id, name in changes.gone.items():
                gone = state.mailboxes.pop(mailbox_id, None)
                if at_once:
                    self.assertEqual(gone and gone.name, name)
            for changed in changes.mailboxes:
                self.assertEqual(changed.is_new, changed.mailbox.mailbox_id not in state.mailboxes)
                if changed.is_new:
                    state.mailboxes[changed.mailbox.mailbox_id] = Known("", None, True, 1)
                mine = state.mailboxes[changed.mailbox.mailbox_id]
                if at_once and not changed.is_new:
                    self.assertEqual(changed.old_name or changed.mailbox.name, mine.name)
                found = known(changed.mailbox)
                mine.name, mine.special_use, mine.selectable = found.name, found.special_use, found.selectable
            for name, is_subscribed in changes.subscriptions.items():
                (state.subscriptions.add if is_subscribed else state.subscriptions.discard)(name)
            for mailbox in changes.messages_in:
                # In pieces, one may be there that is only told of as new later.
                if mailbox.mailbox_id in state.mailboxes and not self.replay_messages(
                    mailbox.mailbox_id, state.mailboxes[mailbox.mailbox_id], began
                ):
                    return False
            state.modseq = changes.modseq
            if not changes.has_more:
                break
        self.assertEqual(state, now)
        return True

    def replay_messages(self, mailbox_id: MailboxId, mine: Known, since: ModSeq) -> bool:
        changes: MailboxChanges = self.result(self.mail.mailbox_changes(mailbox_id, since))
        self.assertTrue(changes.exists)
        if not changes.is_complete:
            return False
        uids = [row[0] for row in changes.changed]
        self.assertEqual(uids, sorted(set(uids)))
        self.assertTrue(all(row[3] > since for row in changes.changed))
        if mine.uid_next > 1:
            self.assertEqual([u for u in uids if u >= changes.first_new], [u for u in uids if u >= mine.uid_next])
        for uid in changes.expunged:
            mine.messages.pop(uid, None)
        mine.messages.update({row[0]: (row[1], row[2]) for row in changes.changed})
        mine.uid_next = self.result(self.mail.mailbox(changes.name)).uid_next
        return True

    # --- what can happen

    def tried(self, deferred: Deferred[Any]) -> None:
        """What is done at random may be refused."""
        self.result(deferred.addErrback(lambda failure: failure.trap(MailError) and None))

    def names(self) -> list[str]:
        return [mailbox.name for mailbox in self.result(self.mail.mailboxes())]

    def a_box(self) -> Mailbox:
        boxes = [mailbox for mailbox in self.result(self.mail.mailboxes()) if mailbox.selectable]
        return self.dice.choice(boxes[:2] * 4 + boxes)

    def some(self, box: Mailbox) -> UidSet:
        low = self.dice.randint(1, box.uid_next)
        scattered = [(uid, uid) for uid in range(1, box.uid_next) if self.dice.random() < 0.05]
        return UidSet([(low, low + self.dice.choice([0, 0, 3, 1000])), *scattered])

    def append_some(self) -> None:
        content = [NewMessage(self.stage(b"Subject: a\r\n\r\n"), SEEN) for _ in range(self.dice.choice([1, 2, 90]))]
        self.result(self.mail.append(self.a_box().name, content))

    def accept_one(self) -> None:
        delivery = Delivery(self.ann.account_id, b"P: 1\r\n", self.a_box().name)
        acceptance = Acceptance(self.stage(b"Subject: b\r\n\r\n"), deliveries=(delivery,))
        self.result(self.store.queue.accept(acceptance))

    def change_flags(self) -> None:
        box, flags = self.a_box(), self.dice.choice([SEEN, FLAGGED, DELETED, Flags(SystemFlag(0), frozenset({"$x"}))])
        self.result(
            self.mail.store_flags(box.mailbox_id, self.some(box), self.dice.choice(list(FlagChange)), flags, None)
        )

    def expunge(self) -> None:
        box = self.a_box()
        self.result(self.mail.expunge(box.mailbox_id, self.some(box)))

    def copy(self) -> None:
        box = self.a_box()
        self.tried(self.mail.copy(box.mailbox_id, self.some(box), self.a_box().name))

    def move(self) -> None:
        box = self.a_box()
        self.tried(self.mail.move(box.mailbox_id, self.some(box), self.a_box().name))

    def some_name(self) -> str:
        return "/".join(self.dice.choices("ab", k=self.dice.randint(1, 3)))

    def create(self) -> None:
        self.tried(self.mail.create_mailbox(self.some_name(), self.dice.choice([None, SpecialUse.ALL])))

    def delete(self) -> None:
        self.tried(self.mail.delete_mailbox(self.some_name()))

    def rename(self) -> None:
        self.tried(self.mail.rename_mailbox(self.some_name(), self.some_name()))

    def rename_inbox(self) -> None:
        self.tried(self.mail.rename_mailbox("INBOX", self.some_name()))

    def subscribe(self) -> None:
        self.result(self.mail.subscribe(self.some_name()))

    def unsubscribe(self) -> None:
        self.result(self.mail.unsubscribe(self.dice.choice(["Sent", self.some_name()])))

    def restore(self) -> None:
        self.result(self.store.maintenance.restore_expunged(self.ann.account_id, self.clock.seconds() - 5, None))

    def rebuild(self) -> None:
        def spoil_txn(txn: Transaction) -> None:
            txn.execute(
                "UPDATE mailboxes SET unseen = unseen + 1 WHERE account_id = ? AND mailbox_id = ?",
                (self.ann.account_id, INBOX_ID),
            )

        self.result(self.store.database.run("spoil", spoil_txn))
        self.assertEqual(self.result(self.store.maintenance.rebuild())["mailboxes_changed"], 1)

    def sweep(self) -> None:
        self.result(self.store.maintenance.sweep(self.clock.seconds() + 180 * DAY - 20))


class ReplayInMemoryTests(ReplayContract, InMemory):
    pass


class ReplayOnDiskTests(ReplayContract, OnDisk):
    seeds = range(50, 51)
    steps = 50

    def test_an_answer_that_comes_in_pieces_is_the_same(self) -> None:
        self.patch(change_queries, "PAGE_OCTETS", 25)
        self.live(random.Random(101), "pieces@example.org", sweeps=False)
        self.assertGreater(self.pieces, 5)


del ReplayContract


class LogContract(StoreTestCase):
    settings = StoreSection(account_mailboxes=10, account_changes=100)

    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)

    def now(self) -> ModSeq:
        return self.result(self.store.modseqs([self.ann.account_id]))[self.ann.account_id]

    def since(self, modseq: ModSeq) -> AccountChanges:
        return self.result(self.mail.account_changes(modseq))

    def test_nothing_is_told_while_nothing_happens(self) -> None:
        now = self.now()
        self.result(self.mail.subscribe("INBOX"))
        self.result(self.mail.unsubscribe("never was"))
        changes = self.since(now)
        self.assertEqual(
            (changes.mailboxes, changes.gone, changes.subscriptions, changes.messages_in), ([], {}, {}, [])
        )
        self.assertEqual(self.since(changes.modseq), AccountChanges(changes.modseq))

    def test_each_change_is_announced_with_its_modseq(self) -> None:
        heard: list[int] = []
        self.store.notices.subscribe(self.ann.account_id, heard.append)
        changes: list[Callable[[], Any]] = [
            lambda: self.mail.create_mailbox("one", SpecialUse.ALL),
            lambda: self.mail.rename_mailbox("one", "two"),
            lambda: self.mail.subscribe("two"),
            lambda: self.mail.unsubscribe("two"),
            lambda: self.mail.delete_mailbox("two"),
        ]
        for number, change in enumerate(changes, 1):
            before = self.now()
            self.result(change())
            self.assertGreater(self.now(), before)
            self.assertEqual((len(heard), heard[-1]), (number, self.now()))

    def test_a_mailbox_tells_its_use_and_the_name_it_had(self) -> None:
        begin = self.now()
        made = self.result(self.mail.create_mailbox("a/b", SpecialUse.ALL))
        middle = self.now()
        for old, new in (("a", "c"), ("c", "d")):
            self.result(self.mail.rename_mailbox(old, new))
        (above, below) = self.since(middle).mailboxes
        self.assertEqual((above.mailbox.name, above.old_name, above.is_new), ("d", "a", False))
        self.assertEqual((below.mailbox.name, below.old_name, below.is_new), ("d/b", "a/b", False))
        self.assertEqual((below.mailbox.mailbox_id, below.mailbox.special_use), (made.mailbox_id, SpecialUse.ALL))
        self.assertEqual([one.is_new for one in self.since(begin).mailboxes], [True, True])

    def test_uses_that_are_assigned_are_told(self) -> None:
        made = self.result(self.mail.create_mailbox("a", SpecialUse.JUNK, SpecialUse.IMPORTANT))
        self.assertEqual(made.special_uses, (SpecialUse.JUNK, SpecialUse.IMPORTANT))
        begin = self.now()
        assigned = self.result(self.mail.assign_uses("a", [SpecialUse.MEMOS, SpecialUse.SENT, SpecialUse.MEMOS]))
        self.assertEqual(assigned.special_uses, (SpecialUse.MEMOS, SpecialUse.SENT))
        self.assertEqual(assigned, self.result(self.mail.mailbox("a")))
        (changed,) = self.since(begin).mailboxes
        self.assertEqual((changed.mailbox, changed.is_new, changed.old_name), (assigned, False, None))
        self.assertEqual(self.result(self.mail.assign_uses("a", [])).special_uses, ())
        self.failure(self.mail.assign_uses("none", []), NoSuchMailbox)

    def test_one_deleted_and_made_again_is_gone_and_new(self) -> None:
        made = self.result(self.mail.create_mailbox("a", None))
        since = self.now()
        self.result(self.mail.delete_mailbox("a"))
        again = self.result(self.mail.create_mailbox("a", None))
        changes = self.since(since)
        self.assertEqual(changes.gone, {made.mailbox_id: "a"})
        self.assertEqual(
            [(one.mailbox.mailbox_id, one.is_new) for one in changes.mailboxes], [(again.mailbox_id, True)]
        )
        self.assertFalse(self.result(self.mail.mailbox_changes(made.mailbox_id, since)).exists)

    def test_what_came_and_went_is_not_told(self) -> None:
        since = self.now()
        self.result(self.mail.create_mailbox("a", None))
        self.result(self.mail.delete_mailbox("a"))
        changes = self.since(since)
        self.assertEqual((list(changes.mailboxes), changes.gone), ([], {}))

    def test_a_change_that_is_refused_leaves_no_trace(self) -> None:
        for name in "abcd":
            self.result(self.mail.create_mailbox(name, None))
        now = self.now()
        self.failure(self.mail.create_mailbox("one too many", None), LimitReached)
        self.assertEqual(self.now(), now)
        self.assertEqual(self.since(now), AccountChanges(now))
        rows = "SELECT COUNT(*) FROM change_log WHERE account_id = ? AND modseq > ?"
        count = self.store.database.read("count", lambda txn: txn.value(rows, (self.ann.account_id, now)))
        self.assertEqual(self.result(count), 0)

    def test_a_modseq_of_another_life_is_not_answered_as_if_it_were_of_this(self) -> None:
        later = ModSeq(self.now() + 100)
        self.assertFalse(self.since(later).is_complete)
        self.assertFalse(self.result(self.mail.mailbox_changes(INBOX_ID, later)).is_complete)

    def test_no_account_has_no_changes(self) -> None:
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.failure(self.mail.account_changes(ModSeq(0)), NoSuchAccount)

    def test_what_is_remembered_is_bounded(self) -> None:
        for _ in range(55):
            self.result(self.mail.subscribe("a"))
            self.result(self.mail.unsubscribe("a"))
        now = self.now()
        self.assertFalse(self.since(ModSeq(now - 101)).is_complete)
        self.assertTrue(self.since(ModSeq(now - 100)).is_complete)
        rows = "SELECT COUNT(*) FROM change_log WHERE account_id = ?"
        count = self.store.database.read("count", lambda txn: txn.value(rows, (self.ann.account_id,)))
        self.assertEqual(self.result(count), 100)

    def test_below_what_was_swept_nothing_is_complete(self) -> None:
        self.append(self.ann, "INBOX", b"Subject: a\r\n\r\n")
        inbox = self.result(self.mail.mailbox("INBOX"))
        self.result(self.mail.remove_messages(INBOX_ID, ALL_UIDS))
        self.result(self.mail.subscribe("a"))
        floor = self.now()
        self.result(self.store.maintenance.sweep(NOW + 8 * DAY))
        self.assertTrue(self.since(ModSeq(0)).is_complete)
        self.result(self.store.maintenance.sweep(NOW + 181 * DAY))
        self.assertFalse(self.since(ModSeq(floor - 1)).is_complete)
        self.assertTrue(self.since(floor).is_complete)
        self.assertFalse(self.result(self.mail.mailbox_changes(INBOX_ID, inbox.highest_modseq)).is_complete)
        self.assertTrue(self.result(self.mail.mailbox_changes(INBOX_ID, floor)).is_complete)

    def test_blocks_go_with_the_last_trace_of_their_messages(self) -> None:
        def blocks() -> list[int]:
            rows = "SELECT block FROM changed_flags WHERE account_id = ? AND mailbox_id = ? ORDER BY block"
            found = self.store.database.read("blocks", lambda txn: txn.rows(rows, (self.ann.account_id, INBOX_ID)))
            return [block for (block,) in self.result(found)]

        self.append(self.ann, "INBOX", *[b"Subject: a\r\n\r\n"] * (3 * BLOCK))
        self.result(self.mail.store_flags(INBOX_ID, ALL_UIDS, FlagChange.ADD, SEEN, None))
        self.assertEqual(blocks(), [0, 1, 2, 3])
        self.result(self.mail.remove_messages(INBOX_ID, UidSet([(1, BLOCK + 5)])))
        self.result(self.store.maintenance.sweep(NOW + 8 * DAY))
        self.assertEqual(blocks(), [0, 1, 2, 3])
        self.result(self.store.maintenance.sweep(NOW + 181 * DAY))
        self.assertEqual(blocks(), [1, 2, 3])
        made = self.result(self.mail.create_mailbox("b", None))
        self.result(self.mail.copy(INBOX_ID, UidSet.of([BLOCK * 2]), "b"))
        self.result(self.mail.store_flags(made.mailbox_id, ALL_UIDS, FlagChange.ADD, FLAGGED, None))
        self.result(self.mail.delete_mailbox("b"))
        left = "SELECT COUNT(*) FROM changed_flags WHERE mailbox_id = ?"
        count = self.store.database.read("count", lambda txn: txn.value(left, (made.mailbox_id,)))
        self.assertEqual(self.result(count), 0)


class LogInMemoryTests(LogContract, InMemory):
    pass


class LogOnDiskTests(LogContract, OnDisk):
    pass


del LogContract


# --- what it costs


@frozen
class Cost:
    """What SQLite's machine did for an answer, and how."""

    steps: int
    plans: list[str]


def cost(store: Any, function: Callable[[Transaction], Any]) -> Cost:
    """What a function in a transaction costs on SQLite: not time, which is the machine's, but instructions."""

    def measured_txn(txn: Transaction) -> Cost:
        connection = txn._cursor.connection  # type: ignore[attr-defined]
        statements: list[tuple[str, Any]] = []
        rows = txn._cursor.execute

        class Recording:
            """A cursor that remembers its statements."""

            def __getattr__(self, name: str) -> Any:
                return getattr(cursor, name)

            def execute(self, sql: str, values: Any = ()) -> Any:
                statements.append((sql, values))
                return rows(sql, values)

        cursor = txn._cursor
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        txn._cursor = Recording()  # type: ignore[assignment]
        connection.set_progress_handler(step, 1)
        try:
            function(txn)
        finally:
            connection.set_progress_handler(None, 0)
            txn._cursor = cursor
        plans = [row[3] for sql, values in statements for row in txn.rows(f"EXPLAIN QUERY PLAN {sql}", values)]
        return Cost(steps, plans)

    return fired(store.database.read("measured", measured_txn))  # type: ignore[return-value]


class CostTests(SynchronousTestCase):
    """A watcher pays for what happened, not for what is there."""

    def setUp(self) -> None:
        clock = Clock()
        clock.advance(NOW)
        self.store: Any = inline_store(StoreSection(), clock)
        fired(self.store.open())
        self.addCleanup(self.store.close)
        fired(self.store.directory.add_domain("example.org"))

    def filled(self, count: int) -> Any:
        """The mail of an account with that many messages, each of which was read once."""
        ann: Any = fired(self.store.directory.add_account(f"n{count}@example.org", "", ""))
        mail = self.store.account_mail(ann.account_id)
        writer = self.store.new_content()
        writer.write(b"Subject: a\r\n\r\n")
        fired(mail.append("INBOX", [NewMessage(fired(writer.finish()))]))  # type: ignore[arg-type]
        there = 1
        while there < count:
            more = min(there, count - there)
            fired(mail.copy(INBOX_ID, UidSet([(1, more)]), "INBOX"))
            there += more
        fired(mail.store_flags(INBOX_ID, ALL_UIDS, FlagChange.ADD, SEEN, None))
        return mail

    def costs(self, mail: Any) -> dict[str, Cost]:
        """What it costs to hear of a change of each kind, and how it is found."""
        found = {}
        deeds: dict[str, Callable[[], Any]] = {
            "nothing": lambda: None,
            "flag": lambda: mail.store_flags(INBOX_ID, UidSet.of([BLOCK + 5]), FlagChange.ADD, FLAGGED, None),
            "arrival": lambda: mail.copy(INBOX_ID, UidSet.of([1]), "INBOX"),
            "expunge": lambda: mail.remove_messages(INBOX_ID, UidSet.of([3])),
            "elsewhere": lambda: mail.subscribe("x"),
        }
        for name, deed in deeds.items():
            since = fired(self.store.modseqs([mail.account_id]))[mail.account_id]  # type: ignore[index]
            deed()
            found[name] = cost(self.store, lambda txn, s=since: mailbox_changes_txn(txn, mail.account_id, INBOX_ID, s))
            found[f"{name}, account"] = cost(
                self.store, lambda txn, s=since: account_changes_txn(txn, mail.account_id, s)
            )
        return found

    @acceptance("S087")
    def test_in_a_large_mailbox_a_change_costs_what_it_costs_in_a_small_one(self) -> None:
        small, large = self.costs(self.filled(2 * BLOCK)), self.costs(self.filled(20_000))
        self.assertEqual(
            {name: cost.steps for name, cost in large.items()}, {name: cost.steps for name, cost in small.items()}
        )
        for name, one in large.items():
            self.assertEqual([plan for plan in one.plans if plan.startswith("SCAN")], [], name)

    def test_a_store_of_a_whole_mailbox_leaves_a_row_for_each_block(self) -> None:
        mail = self.filled(1000)
        count = fired(self.store.database.read("count", lambda txn: txn.value("SELECT COUNT(*) FROM changed_flags")))
        self.assertEqual(count, 1000 // BLOCK + 1)
        self.assertEqual(fired(mail.mailbox("INBOX")).messages, 1000)  # type: ignore[attr-defined]


# --- stores of before


@pytest.mark.sqlite
class OldStoreTests(SynchronousTestCase):
    """A store that was made before there was a log."""

    def test_flags_that_changed_before_are_found_and_what_is_not_known_is_not_called_complete(self) -> None:
        before = next(number for number, text in schema_steps().items() if "TABLE change_log" in text) - 1
        clock = Clock()
        clock.advance(NOW)
        store: Any = inline_store(StoreSection(), clock)
        engine = store.database.engine

        def old_txn(txn: Transaction) -> None:
            migrate_txn(txn, engine, NOW, upto=before)
            txn.insert(
                "account_state",
                "account_id, modseq, next_mailbox_id, last_uid_validity, login_name",
                [(1, 9, 2, 5, "")],
            )
            txn.insert(
                "mailboxes",
                "account_id, mailbox_id, name, uid_validity, uid_next, highest_modseq, altered_modseq, expunge_floor,"
                " messages, unseen, deleted, size, first_recent, selectable",
                [(1, 1, "INBOX", 5, 4, 9, 9, 3, 3, 2, 0, 0, 1, 1)],
            )
            txn.insert(
                "messages",
                "account_id, mailbox_id, uid, system_flags, keywords, modseq, content_id, size, internal_date,"
                " save_date, prefix",
                [
                    (1, 1, uid, flags, "", modseq, 1, 0, NOW, NOW, b"")
                    for uid, flags, modseq in ((1, 1, 9), (2, 0, 4), (3, 0, 5))
                ],
            )

        fired(store.database.open(old_txn))
        fired(store.open())
        mail = store.account_mail(1)

        def told(since: int) -> tuple[list[int], bool]:
            changes: Any = fired(mail.mailbox_changes(INBOX_ID, ModSeq(since)))
            return [row[0] for row in changes.changed], changes.is_complete

        self.assertEqual([told(2), told(4), told(9)], [([1, 2, 3], False), ([1, 3], True), ([], True)])
        fired(mail.store_flags(INBOX_ID, UidSet.of([2]), FlagChange.ADD, FLAGGED, None))
        self.assertEqual([told(4), told(8), told(9)], [([1, 2, 3], True), ([1, 2], True), ([2], True)])
        self.assertEqual(fired(mail.mailbox_changes(INBOX_ID, ModSeq(9))).first_new, 4)  # type: ignore[attr-defined]
        complete = [fired(mail.account_changes(ModSeq(since))).is_complete for since in (8, 9)]  # type: ignore[attr-defined]
        self.assertEqual(complete, [False, True])
        fired(store.close())
