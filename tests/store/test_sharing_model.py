r"""An owner and two readers change one mailbox at random: what each is told of changes adds up to what is there, and
each has the ``\Seen`` that a plain model of it has."""

from __future__ import annotations

import random
from typing import Any

from attrs import define, field

from pymailsuite.errors import NoSuchMailbox
from pymailsuite.interfaces import Account, NewMessage
from pymailsuite.interfaces.rights import Rights
from pymailsuite.interfaces.sharing import AclEntry, Identifier, RightsChange
from pymailsuite.values import FlagChange, Flags, MailboxId, ModSeq, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.store.support import InMemory, OnDisk, StoreTestCase

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"
SEEN = SystemFlag.SEEN
STEPS = 160
WORDS = frozenset({"$Work", "$Later"})
SYSTEM = (SEEN, SystemFlag.FLAGGED, SystemFlag.ANSWERED, SystemFlag.DELETED)


@define
class Watcher:
    """A user who follows the mailbox by its changes alone; ``seen`` is what the model says of it."""

    mail: Any
    modseq: ModSeq = field(default=ModSeq(0))
    rows: dict[int, tuple[int, str]] = field(factory=dict)
    seen: set[int] = field(factory=set)


class SharingModel(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.chance = random.Random(1)
        self.ann, *others = (self.account(f"{name}@example.org") for name in ("ann", "bob", "cat"))
        own = self.store.account_mail(self.ann.account_id)
        self.team: MailboxId = self.result(own.create_mailbox("Team", None)).mailbox_id
        self.watchers = [Watcher(own), *map(self.reader, others)]
        self.flags: dict[int, tuple[int, frozenset[str]]] = {}
        """Of all messages: those that all users share."""

    def reader(self, account: Account) -> Watcher:
        entry = AclEntry(Identifier.parse(account.login_name), Rights.parse("lrswite"))
        set_rights = self.store.sharing.set_rights
        self.result(set_rights(self.ann.account_id, "Team", None, entry, RightsChange.REPLACE))
        return Watcher(self.store.account_mail_for(self.ann.account_id, account.account_id))

    def some(self) -> UidSet:
        count = self.chance.randrange(1, min(len(self.flags), 300) + 2)
        return UidSet.of(self.chance.sample(range(1, 400), count) + self.chance.sample(sorted(self.flags), 1))

    def given(self) -> Flags:
        system = SystemFlag(sum(self.chance.sample(SYSTEM, self.chance.randrange(3))))
        return Flags(system, frozenset(self.chance.sample(sorted(WORDS), self.chance.randrange(2))))

    # --- what happens

    def append(self, who: Watcher) -> None:
        flags = self.given()
        count = self.chance.randrange(1, 30)
        messages = [NewMessage(self.stage(MESSAGE), flags) for _ in range(count)]
        for uid in self.result(who.mail.append("Team", messages)).uids:
            self.arrived(who, uid, flags.system, flags.keywords)

    def arrived(self, who: Watcher, uid: int, system: int, keywords: frozenset[str]) -> None:
        self.flags[uid] = (system & ~SEEN, keywords)
        if system & SEEN:
            who.seen.add(uid)

    def store_flags(self, who: Watcher) -> None:
        uids, change, flags = self.some(), self.chance.choice(list(FlagChange)), self.given()
        since = who.modseq if self.chance.random() < 0.3 else None
        result = self.result(who.mail.store_flags(self.team, uids, change, flags, since))
        there = {uid for uid in self.flags if uid in uids}
        done = {row[0] for row in result.changed}
        self.assertEqual(done | set(result.modified), there)
        if since is None:
            self.assertFalse(result.modified)
        for uid in done:
            system, keywords = self.flags[uid]
            if change is FlagChange.ADD:
                system, keywords = system | flags.system, keywords | flags.keywords
                who.seen |= {uid} if flags.system & SEEN else set()
            elif change is FlagChange.REMOVE:
                system, keywords = system & ~flags.system, keywords - flags.keywords
                who.seen -= {uid} if flags.system & SEEN else set()
            else:
                system, keywords = flags.system, flags.keywords
                (who.seen.add if flags.system & SEEN else who.seen.discard)(uid)
            self.flags[uid] = (system & ~SEEN, keywords)

    def expunge(self, who: Watcher) -> None:
        uids = UidSet.of(self.chance.sample(sorted(self.flags), min(len(self.flags) - 1, 12)))
        for uid in self.result(who.mail.expunge(self.team, uids)):
            del self.flags[uid]

    def copy(self, who: Watcher) -> None:
        uids = UidSet.of(self.chance.sample(sorted(self.flags), 1))
        copied = self.result(who.mail.copy(self.team, uids, "Team"))
        self.moved(who, copied)

    def move(self, who: Watcher) -> None:
        uids = UidSet.of(self.chance.sample(sorted(self.flags), 1))
        copied = self.result(who.mail.move(self.team, uids, "Team"))
        self.moved(who, copied)
        for uid in copied.source:
            del self.flags[uid]

    def moved(self, who: Watcher, copied: Any) -> None:
        for source, target in zip(copied.source, copied.target, strict=True):
            system, keywords = self.flags[source]
            self.arrived(who, target, system | (SEEN if source in who.seen else 0), keywords)

    def sweep(self, _: Watcher) -> None:
        self.clock.advance(400 * 86400.0)
        self.result(self.store.maintenance.sweep(self.clock.seconds()))

    # --- what is told

    def look(self, who: Watcher) -> None:
        changes = self.result(who.mail.mailbox_changes(self.team, who.modseq))
        if changes.is_complete:
            for uid in changes.expunged:
                who.rows.pop(uid, None)
            who.rows.update({row[0]: (row[1], row[2]) for row in changes.changed})
        selection = self.result(who.mail.select("Team", True))
        rows = {row[0]: (row[1], row[2]) for row in selection.rows}
        if changes.is_complete:
            self.assertEqual(who.rows, rows)
        who.rows, who.modseq = rows, changes.modseq
        self.assertGreaterEqual(changes.modseq, max((row[3] for row in selection.rows), default=0))
        wanted = {
            uid: (system | (SEEN if uid in who.seen else 0), " ".join(sorted(keywords)))
            for uid, (system, keywords) in self.flags.items()
        }
        self.assertEqual(rows, wanted)
        self.assertEqual(selection.mailbox.unseen, len(self.flags.keys() - who.seen))

    @acceptance("S128")
    def test_what_is_told_adds_up(self) -> None:
        self.append(self.watchers[0])
        kinds = [self.append, *[self.store_flags] * 6, self.expunge, self.copy, self.move]
        for step in range(STEPS):
            deed = self.sweep if step % 40 == 39 else self.chance.choice(kinds)
            if len(self.flags) < 3:
                deed = self.append
            deed(self.chance.choice(self.watchers))
            for who in self.watchers:
                if self.chance.random() < 0.4:
                    self.look(who)
        for who in self.watchers:
            self.look(who)
        self.assert_sound()
        self.result(self.watchers[0].mail.delete_mailbox("Team"))
        self.failure(self.watchers[1].mail.select("Team", True), NoSuchMailbox)
        self.assert_sound()


class SharingModelInMemoryTests(SharingModel, InMemory):
    pass


class SharingModelOnDiskTests(SharingModel, OnDisk):
    pass


del SharingModel
