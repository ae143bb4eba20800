"""Random lives of an account, beside a model small enough to be believed."""

from __future__ import annotations

import random
from typing import Any

from attrs import define, field

from pymailsuite.interfaces import Acceptance, Delivery, NewMessage
from pymailsuite.values import FlagChange, Flags, SystemFlag, Uid, UidSet
from tests.store.support import InMemory, OnDisk, StoreTestCase


@define
class Box:
    """A mailbox of the model: UIDs with (system flags, keywords, subject)."""

    uid_validity: int
    messages: dict[int, tuple[int, frozenset[str], int]] = field(factory=dict)
    ever: set[int] = field(factory=set)
    uid_next: int = 1


@define
class Watcher:
    """A client that knows a mailbox only by what changes told it."""

    mailbox_id: int
    modseq: int
    known: dict[int, tuple[int, str]]


class ModelContract(StoreTestCase):
    steps = 150
    seeds = range(8)

    def test_the_store_does_what_the_model_does(self) -> None:
        for seed in self.seeds:
            with self.subTest(seed=seed):
                self.live(random.Random(seed), f"user{seed}@example.org")

    def live(self, dice: random.Random, login_name: str) -> None:
        self.dice = dice
        self.ann = self.account(login_name)
        self.mail = self.store.account_mail(self.ann.account_id)
        self.subject = 0
        self.boxes = {
            mailbox.name: Box(mailbox.uid_validity)
            for mailbox in self.result(self.mail.mailboxes())
            if mailbox.name in {"INBOX", "Sent", "Trash"}
        }
        self.used_validities = {box.uid_validity for box in self.boxes.values()}
        self.watchers: dict[str, Watcher] = {}
        actions = (
            *([self.append_some] * 3),
            *([self.accept_one] * 3),
            *([self.change_flags] * 3),
            *([self.expunge, self.copy, self.move, self.watch] * 2),
            *(self.create, self.delete, self.rename, self.remove, self.restore),
        )
        for step in range(self.steps):
            self.clock.advance(1)
            dice.choice(actions)()
            if step % 10 == 0:
                self.compare()
        self.compare()
        self.assert_sound()

    # --- what can happen

    def some_box(self) -> str:
        return self.dice.choice(sorted(self.boxes))

    def box_id(self, name: str) -> Any:
        return self.result(self.mail.mailbox(name)).mailbox_id

    def some_uids(self, name: str) -> UidSet:
        box = self.boxes[name]
        low = self.dice.randint(1, box.uid_next)
        ranges = [(low, self.dice.randint(low, box.uid_next + 3))]
        ranges += [(uid, uid) for uid in self.dice.sample(sorted(box.messages), len(box.messages) // 3)]
        return UidSet(ranges)

    def some_flags(self) -> Flags:
        return Flags(
            SystemFlag(self.dice.randint(0, 31)),
            frozenset(self.dice.sample(["$a", "$b", "c"], self.dice.randint(0, 2))),
        )

    def arrive(self, name: str, values: tuple[int, frozenset[str], int]) -> int:
        box = self.boxes[name]
        uid = box.uid_next
        self.assertNotIn(uid, box.ever)
        box.messages[uid] = values
        box.ever.add(uid)
        box.uid_next += 1
        return uid

    def next_content(self) -> Any:
        self.subject += 1
        return self.stage(b"Subject: %d\r\n\r\n" % self.subject + b"x" * self.dice.randint(0, 300))

    def append_some(self) -> None:
        name = self.some_box()
        new = [NewMessage(self.next_content(), self.some_flags()) for _ in range(self.dice.randint(1, 4))]
        first = self.subject - len(new) + 1
        appended = self.result(self.mail.append(name, new))
        uids = [
            self.arrive(name, (int(message.flags.system), message.flags.keywords, number))
            for number, message in enumerate(new, first)
        ]
        self.assertEqual(list(appended.uids), uids)
        self.assertEqual(appended.uid_validity, self.boxes[name].uid_validity)

    def accept_one(self) -> None:
        name, flags = self.some_box(), self.some_flags()
        delivery = Delivery(self.ann.account_id, b"P: 1\r\n", name, flags)
        self.result(self.store.queue.accept(Acceptance(self.next_content(), (delivery,))))
        self.arrive(name, (int(flags.system), flags.keywords, self.subject))

    def change_flags(self) -> None:
        name, uids, flags = self.some_box(), self.some_uids(self.some_box()), self.some_flags()
        change = self.dice.choice(list(FlagChange))
        result = self.result(self.mail.store_flags(self.box_id(name), uids, change, flags, None))
        messages = self.boxes[name].messages
        for uid in sorted(messages):
            if uid in uids:
                bits, keywords, subject = messages[uid]
                if change is FlagChange.ADD:
                    bits, keywords = bits | flags.system, keywords | flags.keywords
                elif change is FlagChange.REMOVE:
                    bits, keywords = bits & ~flags.system, keywords - flags.keywords
                else:
                    bits, keywords = int(flags.system), flags.keywords
                messages[uid] = (int(bits), keywords, subject)
        self.assertEqual([row[0] for row in result.changed], [uid for uid in sorted(messages) if uid in uids])

    def expunge(self) -> None:
        name = self.some_box()
        uids = self.some_uids(name)
        gone = self.result(self.mail.expunge(self.box_id(name), uids))
        messages = self.boxes[name].messages
        expected = [uid for uid in sorted(messages) if uid in uids and messages[uid][0] & 8]
        self.assertEqual(list(gone), expected)
        for uid in expected:
            del messages[uid]

    def remove(self) -> None:
        name = self.some_box()
        uids = self.some_uids(name)
        gone = self.result(self.mail.remove_messages(self.box_id(name), uids))
        messages = self.boxes[name].messages
        self.assertEqual(list(gone), [uid for uid in sorted(messages) if uid in uids])
        for uid in gone:
            del messages[uid]

    def copy(self, *, move: bool = False) -> None:
        source, target = self.some_box(), self.some_box()
        uids = self.some_uids(source)
        method = self.mail.move if move else self.mail.copy
        copied = self.result(method(self.box_id(source), uids, target))
        messages = self.boxes[source].messages
        expected = [uid for uid in sorted(messages) if uid in uids]
        self.assertEqual(list(copied.source), expected)
        self.assertEqual(list(copied.target), [self.arrive(target, messages[uid]) for uid in expected])
        if move:
            for uid in expected:
                del messages[uid]

    def move(self) -> None:
        self.copy(move=True)

    def create(self) -> None:
        name = f"new{self.dice.randint(0, 2)}"
        if name not in self.boxes:
            made = self.result(self.mail.create_mailbox(name, None))
            self.assertNotIn(made.uid_validity, self.used_validities)
            self.used_validities.add(made.uid_validity)
            self.boxes[name] = Box(made.uid_validity)

    def delete(self) -> None:
        name = self.some_box()
        if name.startswith("new"):
            self.result(self.mail.delete_mailbox(name))
            del self.boxes[name]
            self.watchers.pop(name, None)

    def rename(self) -> None:
        old, new = self.some_box(), f"new{self.dice.randint(0, 2)}"
        if old.startswith("new") and new not in self.boxes:
            self.result(self.mail.rename_mailbox(old, new))
            self.boxes[new] = self.boxes.pop(old)
            if old in self.watchers:
                self.watchers[new] = self.watchers.pop(old)

    def restore(self) -> None:
        """What comes back is compared by number only, then taken over as it is."""
        before = sum(len(box.messages) for box in self.boxes.values())
        since = self.clock.seconds() - self.dice.randint(0, 20)
        restored = self.result(self.store.maintenance.restore_expunged(self.ann.account_id, since, "INBOX"))
        rows = self.result(self.mail.select("INBOX", True)).rows
        box = self.boxes["INBOX"]
        for uid, bits, keywords, _ in rows:
            if uid not in box.messages:
                self.assertGreaterEqual(uid, box.uid_next)
                box.messages[uid] = (bits, frozenset(keywords.split()), 0)
                box.ever.add(uid)
        box.uid_next = self.result(self.mail.mailbox("INBOX")).uid_next
        self.assertEqual(sum(len(box.messages) for box in self.boxes.values()), before + restored)

    # --- what must hold

    def watch(self) -> None:
        """Catch up by changes alone; then a watcher knows what the model knows."""
        name = self.some_box()
        watcher = self.watchers.get(name)
        if watcher is None:
            selection = self.result(self.mail.select(name, True))
            known = {row[0]: (row[1], row[2]) for row in selection.rows}
            self.watchers[name] = Watcher(selection.mailbox.mailbox_id, selection.mailbox.highest_modseq, known)
            return
        changes = self.result(self.mail.mailbox_changes(watcher.mailbox_id, watcher.modseq))
        self.assertTrue(changes.exists)
        for uid in changes.expunged:
            watcher.known.pop(uid, None)
        watcher.known.update({row[0]: (row[1], row[2]) for row in changes.changed})
        self.assertGreaterEqual(changes.modseq, watcher.modseq)
        watcher.modseq = changes.modseq
        self.assertEqual(watcher.known, self.expected_rows(name))

    def expected_rows(self, name: str) -> dict[int, tuple[int, str]]:
        return {
            uid: (bits, " ".join(sorted(keywords))) for uid, (bits, keywords, _) in self.boxes[name].messages.items()
        }

    def compare(self) -> None:
        for name, box in self.boxes.items():
            selection = self.result(self.mail.select(name, True))
            self.assertEqual({row[0]: (row[1], row[2]) for row in selection.rows}, self.expected_rows(name))
            found = selection.mailbox
            self.assertEqual((found.uid_next, found.uid_validity), (Uid(box.uid_next), box.uid_validity))
            flags = [bits for bits, _, _ in box.messages.values()]
            self.assertEqual(
                (found.messages, found.unseen, found.deleted),
                (len(flags), sum(not bits & 1 for bits in flags), sum(bool(bits & 8) for bits in flags)),
            )


class ModelInMemoryTests(ModelContract, InMemory):
    pass


class ModelOnDiskTests(ModelContract, OnDisk):
    steps = 60
    seeds = range(100, 102)


del ModelContract
