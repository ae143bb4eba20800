r"""Mailboxes that users share: rights, groups, ``\Seen`` of each reader, copies between accounts; on every engine."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import (
    AlreadyExists,
    LimitReached,
    NoPermission,
    NoSuchAccount,
    NoSuchEntry,
    NoSuchMailbox,
    Refusal,
)
from pymailsuite.interfaces import Acceptance, Account, Column, Delivery, IAccountMail, NewMessage
from pymailsuite.interfaces.groups import Group, IGroupStore
from pymailsuite.interfaces.rights import ALL_RIGHTS, NO_RIGHTS, Rights
from pymailsuite.interfaces.sharing import (
    ANYONE,
    OWNER,
    AclEntry,
    Identifier,
    IMailSharing,
    RightsChange,
)
from pymailsuite.interfaces.text_index import HoldsWords, TextField
from pymailsuite.store.account_mail import AccountMail
from pymailsuite.store.mailboxes import lock_account_txn
from pymailsuite.store.others_mail import OthersMail
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, MailboxId, ModSeq, SystemFlag, Uid, UidSet
from tests.acceptance import acceptance
from tests.store.support import InMemory, OnDisk, StoreTestCase

MESSAGE = b"Subject: hi\r\n\r\nbody\r\n"
SEEN, FLAGGED, DELETED = Flags(SystemFlag.SEEN), Flags(SystemFlag.FLAGGED), Flags(SystemFlag.DELETED)
ALL_LETTERS = "lrswipkxtea"


class SharingContract(StoreTestCase):
    settings = StoreSection(mailbox_rights=5)

    def setUp(self) -> None:
        super().setUp()
        self.sharing = self.store.sharing
        self.ann, self.bob, self.cat = (self.account(f"{name}@example.org") for name in ("ann", "bob", "cat"))
        self.own = self.store.account_mail(self.ann.account_id)
        self.result(self.own.create_mailbox("Team", None))

    def mail_for(self, user: Account, owner: Account | None = None) -> Any:
        return self.sharing.account_mail_for((owner or self.ann).account_id, user.account_id)

    def share(
        self,
        who: str,
        letters: str,
        name: str = "Team",
        *,
        owner: Account | None = None,
        change: RightsChange = RightsChange.REPLACE,
        by: Account | None = None,
    ) -> Deferred[None]:
        entry = AclEntry(Identifier.parse(who.removeprefix("-")), Rights.parse(letters), who.startswith("-"))
        return self.sharing.set_rights((owner or self.ann).account_id, name, by and by.account_id, entry, change)

    def give(self, who: str, letters: str, name: str = "Team", **options: Any) -> None:
        self.result(self.share(who, letters, name, **options))

    def rights(self, user: Account, name: str = "Team") -> str:
        found = self.sharing.my_rights(self.ann.account_id, name, user.account_id)
        return str(self.result(found))

    def acl(self, name: str = "Team", by: Account | None = None) -> list[str]:
        entries = self.result(self.sharing.acl(self.ann.account_id, name, by and by.account_id))
        return [f"{'-' * entry.negative}{entry.identifier} {entry.rights}" for entry in entries]

    def visible(self, user: Account) -> list[str]:
        return [
            f"{shared.owner.login_name} {shared.mailbox.name} {shared.rights}"
            for shared in self.result(self.sharing.visible_to(user.account_id))
        ]

    def box(self, mail: IAccountMail, name: str = "Team") -> MailboxId:
        return self.result(mail.mailbox(name)).mailbox_id

    def flags(self, mail: IAccountMail, name: str = "Team") -> dict[int, SystemFlag]:
        return {row[0]: SystemFlag(row[1]) for row in self.result(mail.select(name, True)).rows}

    def unseen(self, mail: IAccountMail, name: str = "Team") -> int:
        return self.result(mail.mailbox(name)).unseen

    # --- rights

    def test_the_parts_provide_their_interfaces(self) -> None:
        verifyObject(IMailSharing, self.sharing)
        verifyObject(IGroupStore, self.store.groups)
        verifyObject(IAccountMail, self.mail_for(self.bob))
        self.assertIs(self.store.ability(IMailSharing), self.sharing)
        self.assertIs(self.store.ability(IGroupStore), self.store.groups)
        own = self.mail_for(self.ann)
        self.assertEqual((own.account_id, own.user_id), (self.ann.account_id, self.ann.account_id))
        others = self.mail_for(self.bob)
        self.assertEqual((others.account_id, others.user_id), (self.ann.account_id, self.bob.account_id))

    def test_who_has_no_right_is_told_that_there_is_nothing(self) -> None:
        mail = self.mail_for(self.bob)
        for name in ("Team", "INBOX", "NoSuch"):
            self.failure(mail.mailbox(name), NoSuchMailbox)
            self.failure(mail.select(name, True), NoSuchMailbox)
            self.failure(mail.append(name, [NewMessage(self.stage(MESSAGE))]), NoSuchMailbox)
            self.failure(mail.delete_mailbox(name), NoSuchMailbox)
            self.failure(mail.rename_mailbox(name, "Other"), NoSuchMailbox)
            self.failure(mail.create_mailbox(f"{name}/below", None), NoSuchMailbox)
            self.failure(self.sharing.my_rights(self.ann.account_id, name, self.bob.account_id), NoSuchMailbox)
            self.failure(self.sharing.acl(self.ann.account_id, name, self.bob.account_id), NoSuchMailbox)
            self.failure(self.share("cat@example.org", "l", name, by=self.bob), NoSuchMailbox)
            self.failure(self.share("nobody@example.org", "l", name, by=self.bob), NoSuchMailbox)
        self.failure(mail.create_mailbox("Top", None), NoSuchMailbox)
        self.assertEqual(self.result(mail.mailboxes()), [])
        self.assertEqual(self.visible(self.bob), [])

    @acceptance("S126")
    def test_entries_are_set_added_to_and_taken_away(self) -> None:
        self.give("bob@example.org", "lrs")
        self.give("bob@example.org", "wi", change=RightsChange.ADD)
        self.give("bob@example.org", "si", change=RightsChange.REMOVE)
        self.give("anyone", "l")
        self.give("-cat@example.org", "l")
        self.assertEqual(self.acl(), [f"owner {ALL_LETTERS}", "anyone l", "bob@example.org lrw", "-cat@example.org l"])
        self.assertEqual(self.rights(self.bob), "lrw")
        self.failure(self.sharing.my_rights(self.ann.account_id, "Team", self.cat.account_id), NoSuchMailbox)
        self.give("-cat@example.org", "")
        self.give("bob@example.org", "lrw", change=RightsChange.REMOVE)
        self.assertEqual(self.acl(), [f"owner {ALL_LETTERS}", "anyone l"])
        self.assertEqual((self.rights(self.bob), self.rights(self.ann)), ("l", ALL_LETTERS))

    def test_the_rights_of_the_owner_are_fixed(self) -> None:
        for who in ("owner", "-owner", "ann@example.org", "-ann@example.org"):
            self.assertIn("always", str(self.failure(self.share(who, "l"), Refusal)))
        # A negative entry for all does not lock the owner out.
        self.give("-anyone", ALL_LETTERS)
        self.assertEqual(self.rights(self.ann), ALL_LETTERS)
        self.result(self.own.append("Team", [NewMessage(self.stage(MESSAGE))]))

    def test_an_identifier_stands_for_somebody(self) -> None:
        for who in ("nobody@example.org", "group=nobody"):
            self.assertIn(who, str(self.failure(self.share(who, "l"), Refusal)))
        for number in range(5):
            self.account(f"u{number}@example.org")
            self.give(f"u{number}@example.org", "l")
        self.failure(self.share("bob@example.org", "l"), LimitReached)
        self.give("u0@example.org", "lr")
        self.assertEqual(len(self.acl()), 6)

    def test_only_who_administers_may_see_and_change_entries(self) -> None:
        self.give("bob@example.org", "lrswipkxte")
        self.failure(self.sharing.acl(self.ann.account_id, "Team", self.bob.account_id), NoPermission)
        self.failure(self.share("cat@example.org", "l", by=self.bob), NoPermission)
        self.give("bob@example.org", "a", change=RightsChange.ADD)
        self.give("cat@example.org", "lr", by=self.bob)
        self.assertEqual(len(self.acl(by=self.bob)), 3)
        self.give("bob@example.org", "a", change=RightsChange.REMOVE, by=self.bob)
        self.failure(self.share("cat@example.org", "", by=self.bob), NoPermission)

    def test_rights_are_those_of_all_entries_less_the_negative_ones(self) -> None:
        chance = random.Random(2086)
        self.result(self.store.groups.add_group("sales"))
        self.result(self.store.groups.add_group("others"))
        self.result(self.store.groups.add_members("sales", ["bob@example.org", "cat@example.org"]))
        self.result(self.store.groups.add_members("others", ["cat@example.org"]))
        standing = {
            "bob@example.org": {"bob@example.org", "anyone", "group=sales"},
            "cat@example.org": {"cat@example.org", "anyone", "group=sales", "group=others"},
        }
        self.result(self.own.create_mailbox("Table", None))
        for _ in range(12):
            entries = {
                who: Rights.parse("".join(chance.sample(ALL_LETTERS, chance.randrange(1, 8))))
                for who in chance.sample(
                    [
                        sign + name
                        for sign in ("", "-")
                        for name in ("anyone", "bob@example.org", "cat@example.org", "group=sales", "group=others")
                    ],
                    5,
                )
            }
            for who, rights in entries.items():
                self.give(who, str(rights), "Table")
            for user in (self.bob, self.cat):
                given = taken = NO_RIGHTS
                for who, rights in entries.items():
                    if who.removeprefix("-") in standing[user.login_name]:
                        given, taken = (given, taken | rights) if who[0] == "-" else (given | rights, taken)
                wanted = str(given - taken)
                lists = {line.split()[1]: line.split()[2] for line in self.visible(user)}
                self.assertEqual(lists.get("Table", ""), wanted if "l" in wanted else "")
                mail = self.mail_for(user)
                seen = {box.name: str(box.rights) for box in self.result(mail.mailboxes())}
                self.assertEqual(seen.get("Table", ""), wanted if "l" in wanted else "")
            for who in entries:
                self.give(who, "", "Table")
        self.assertEqual(len(self.acl("Table")), 1)

    def test_a_change_of_rights_is_in_the_log_of_changes(self) -> None:
        team = self.box(self.own)
        before = self.result(self.own.account_changes(ModSeq(0))).modseq
        moved: list[int] = []
        self.store.notices.subscribe(self.ann.account_id, moved.append)
        self.give("bob@example.org", "lr")
        changes = self.result(self.own.account_changes(before))
        self.assertEqual((changes.rights, changes.mailboxes), (frozenset({team}), []))
        self.assertEqual(moved, [changes.modseq])
        self.give("bob@example.org", "lr")  # as it is already
        self.assertEqual(moved, [changes.modseq])
        mine = self.result(self.mail_for(self.bob).account_changes(before))
        self.assertEqual((mine.is_complete, mine.rights), (False, frozenset()))
        self.result(self.own.create_mailbox("Team/Below", None))
        mine = self.result(self.mail_for(self.bob).account_changes(changes.modseq))
        self.assertEqual([one.mailbox.name for one in mine.mailboxes], ["Team/Below"])
        self.assertTrue(mine.is_complete)
        self.result(self.own.create_mailbox("Mine", None))
        mine = self.result(self.mail_for(self.bob).account_changes(changes.modseq))
        self.assertEqual([one.mailbox.name for one in mine.mailboxes], ["Team/Below"])

    # --- mailboxes that come and go

    def test_a_mailbox_gets_the_rights_of_the_level_above(self) -> None:
        self.give("bob@example.org", "lrk")
        self.give("-cat@example.org", "l")
        self.result(self.own.create_mailbox("Team/A/B", None))
        made = self.result(self.mail_for(self.bob).create_mailbox("Team/A/C", None))
        self.assertEqual((str(made.rights), made.unseen), ("lrk", 0))
        for name in ("Team/A", "Team/A/B", "Team/A/C"):
            self.assertEqual(self.acl(name), self.acl("Team"))
        self.give("bob@example.org", "l")
        self.failure(self.mail_for(self.bob).create_mailbox("Team/X", None), NoPermission)
        self.assertEqual(self.rights(self.bob, "Team/A"), "lrk")
        self.assertEqual(self.visible(self.cat), [])

    def test_rights_stay_with_a_mailbox_that_is_renamed(self) -> None:
        self.result(self.own.create_mailbox("Team/A", None))
        self.give("bob@example.org", "lr")
        self.give("cat@example.org", "lr", "Team/A")
        self.result(self.own.rename_mailbox("Team", "Crew"))
        self.assertEqual(self.visible(self.bob), ["ann@example.org Crew lr"])
        self.assertEqual(self.visible(self.cat), ["ann@example.org Crew/A lr"])

    def test_rights_go_with_a_mailbox_that_is_deleted_but_stay_with_a_level_that_is_left(self) -> None:
        self.result(self.own.create_mailbox("Team/A", None))
        self.give("bob@example.org", "lrk")
        self.result(self.own.delete_mailbox("Team"))
        level = self.result(self.mail_for(self.bob).mailbox("Team"))
        self.assertEqual((level.selectable, str(level.rights)), (False, "lrk"))
        self.failure(self.mail_for(self.bob).select("Team", True), NoSuchMailbox)
        self.result(self.own.create_mailbox("Team", None))
        self.assertEqual(self.rights(self.bob), "lrk")
        self.result(self.own.delete_mailbox("Team/A"))
        self.result(self.own.delete_mailbox("Team"))
        self.assertEqual(self.visible(self.bob), [])
        self.result(self.own.create_mailbox("Team", None))
        self.assertEqual(self.acl(), [f"owner {ALL_LETTERS}"])
        self.assert_sound()

    def test_deleting_and_renaming_by_others(self) -> None:
        mail = self.mail_for(self.bob)
        self.result(self.own.create_mailbox("Team/A", None))
        self.give("bob@example.org", "lr")
        self.failure(mail.delete_mailbox("Team"), NoPermission)
        self.failure(mail.rename_mailbox("Team", "Team2"), NoPermission)
        self.give("bob@example.org", "lrx")
        # The level below is not theirs to rename, nor the top theirs to rename to.
        self.failure(mail.rename_mailbox("Team", "Team/B"), NoSuchMailbox)
        self.give("bob@example.org", "lrx", "Team/A")
        self.failure(mail.rename_mailbox("Team/A", "Elsewhere"), NoSuchMailbox)
        self.failure(mail.rename_mailbox("Team/A", "Team/B"), NoPermission)
        self.give("bob@example.org", "lrxk")
        self.result(mail.rename_mailbox("Team/A", "Team/B"))
        self.result(mail.delete_mailbox("Team/B"))
        self.give("bob@example.org", ALL_LETTERS, "INBOX")
        self.failure(mail.rename_mailbox("INBOX", "Team/Old"), NoPermission)
        self.failure(mail.delete_mailbox("INBOX"), Refusal)

    def test_what_is_not_for_others(self) -> None:
        self.give("bob@example.org", ALL_LETTERS)
        mail = self.mail_for(self.bob)
        self.assertEqual(self.result(mail.subscriptions()), [])
        for call in (
            mail.subscribe("Team"),
            mail.unsubscribe("Team"),
            mail.lock_maildrop("pop", 60.0),
            mail.unlock_maildrop("pop"),
        ):
            self.failure(call, NoPermission)

    # --- accounts and groups

    def test_groups(self) -> None:
        groups = self.store.groups
        self.assertEqual(self.result(groups.add_group("Sales")), Group("sales"))
        self.failure(groups.add_group("sales"), AlreadyExists)
        both = Group("sales", ("bob@example.org", "cat@example.org"))
        self.assertEqual(self.result(groups.add_members("sales", ["Cat@example.org", "bob@example.org"])), both)
        self.assertEqual(self.result(groups.add_members("SALES", ["bob@example.org"])), both)
        self.failure(groups.add_members("sales", ["nobody@example.org"]), NoSuchAccount)
        for call in (groups.add_members("nope", []), groups.remove_members("nope", []), groups.remove_group("nope")):
            self.failure(call, NoSuchEntry)
        self.result(groups.add_group("empty"))
        self.assertEqual(list(self.result(groups.groups())), [Group("empty"), both])
        self.failure(groups.remove_members("sales", ["ann@example.org"]), NoSuchEntry)
        self.assertEqual(
            self.result(groups.remove_members("sales", ["bob@example.org"])), Group("sales", ("cat@example.org",))
        )
        self.result(self.store.directory.remove_account("cat@example.org"))
        self.assertEqual(self.result(groups.group("sales")), Group("sales"))
        self.result(groups.remove_group("sales"))
        self.assertIsNone(self.result(groups.group("sales")))

    def test_a_group_that_changes_counts_at_once_and_is_told(self) -> None:
        groups = self.store.groups
        self.result(groups.add_group("sales"))
        self.give("group=sales", "lr")
        moved: list[int] = []
        self.store.notices.subscribe(self.ann.account_id, moved.append)
        self.assertEqual(self.visible(self.bob), [])
        self.result(groups.add_members("sales", ["bob@example.org"]))
        self.assertEqual(self.visible(self.bob), ["ann@example.org Team lr"])
        self.result(groups.remove_members("sales", ["bob@example.org"]))
        self.failure(self.mail_for(self.bob).select("Team", True), NoSuchMailbox)
        self.result(groups.add_members("sales", ["bob@example.org"]))
        self.result(groups.remove_group("sales"))
        self.assertEqual((self.visible(self.bob), len(moved)), ([], 4))
        self.result(groups.add_group("sales"))
        self.assertEqual(self.acl(), [f"owner {ALL_LETTERS}"])

    def test_rights_end_with_the_account_and_stay_with_the_name(self) -> None:
        self.give("bob@example.org", "lrs")
        self.result(self.own.append("Team", [NewMessage(self.stage(MESSAGE))]))
        mail = self.mail_for(self.bob)
        self.result(mail.store_flags(self.box(mail), ALL_UIDS, FlagChange.ADD, SEEN, None))
        self.result(self.store.directory.remove_account("bob@example.org"))
        self.assertEqual(self.acl(), [f"owner {ALL_LETTERS}"])
        again = self.account("bob@example.org")
        self.failure(self.mail_for(again).select("Team", True), NoSuchMailbox)
        self.give("cat@example.org", "lr")
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.assertEqual(self.visible(self.cat), [])
        self.failure(self.mail_for(self.cat).select("Team", True), NoSuchMailbox)
        self.clock.advance(400 * 86400.0)
        self.result(self.store.maintenance.sweep(self.clock.seconds()))
        self.assert_sound()

    def test_a_shared_account_belongs_to_nobody(self) -> None:
        team = self.result(self.store.directory.add_account("team@example.org", "hash", "Team", True))
        self.assertTrue(team.is_shared)
        self.assertTrue(self.result(self.store.directory.account("team@example.org")).is_shared)
        self.assertEqual(self.result(self.store.directory.credentials("team@example.org")).password_hash, "")
        self.failure(self.store.directory.set_password_hash(team.account_id, "hash"), Refusal)
        # What nobody in particular gets, such as mail for postmaster, is for a person.
        self.result(self.store.directory.add_account("a@example.org", "", "", True))
        self.assertEqual(self.result(self.store.directory.first_account("example.org")), self.ann)
        mailboxes = self.result(self.store.account_mail(team.account_id).mailboxes())
        self.assertEqual([mailbox.name for mailbox in mailboxes], ["INBOX"])
        self.give("bob@example.org", "lr", "INBOX", owner=team)
        entries = self.result(self.sharing.acl(team.account_id, "INBOX", None))
        self.assertEqual([str(entry.identifier) for entry in entries], ["bob@example.org"])
        (shared,) = self.result(self.sharing.visible_to(self.bob.account_id))
        self.assertEqual((shared.owner.is_shared, shared.owner.login_name), (True, "team@example.org"))

    def test_mail_for_a_mailbox_of_a_shared_account_needs_the_right_to_post(self) -> None:
        team = self.result(self.store.directory.add_account("team@example.org", "", "", True))
        mail = self.store.account_mail(team.account_id)
        self.result(mail.create_mailbox("Plans", None))

        def arrived() -> list[int]:
            for account, name in ((team, "Plans"), (self.ann, "Team")):
                copy = Delivery(account.account_id, b"", name)
                self.result(self.store.queue.accept(Acceptance(self.stage(MESSAGE), (copy,))))
            boxes = (mail.mailbox("INBOX"), mail.mailbox("Plans"), self.own.mailbox("Team"))
            return [self.result(box).messages for box in boxes]

        self.assertEqual(arrived(), [1, 0, 1])
        self.give("anyone", "lp", "Plans", owner=team)
        self.assertEqual(arrived(), [1, 1, 2])
        self.give("-anyone", "p", "Plans", owner=team)
        self.assertEqual(arrived(), [2, 1, 3])

    # --- \Seen and other flags

    @acceptance("S128")
    def test_each_reader_has_a_seen_of_their_own(self) -> None:
        self.append(self.ann, "Team", *[MESSAGE] * 3, flags=SEEN)
        for user in ("bob@example.org", "cat@example.org"):
            self.give(user, "lrs")
        bob, cat = self.mail_for(self.bob), self.mail_for(self.cat)
        self.assertEqual([self.unseen(mail) for mail in (self.own, bob, cat)], [0, 3, 3])
        self.result(bob.store_flags(self.box(bob), UidSet.of([2]), FlagChange.ADD, SEEN, None))
        self.result(cat.store_flags(self.box(cat), UidSet.of([1, 3]), FlagChange.REPLACE, SEEN, None))
        self.result(self.own.store_flags(self.box(bob), UidSet.of([1]), FlagChange.REMOVE, SEEN, None))
        self.assertEqual([self.unseen(mail) for mail in (self.own, bob, cat)], [1, 2, 1])
        for mail, seen in ((self.own, {2, 3}), (bob, {2}), (cat, {1, 3})):
            self.assertEqual({uid for uid, flags in self.flags(mail).items() if flags & SystemFlag.SEEN}, seen)
            columns = (Column.SYSTEM_FLAGS, Column.SIZE)
            rows = self.result(mail.read_messages(self.box(mail), ALL_UIDS, columns, list))
            self.assertEqual([row[0] & 1 for row in rows], [int(uid in seen) for uid in (1, 2, 3)])
            self.assertEqual({len(row) for row in rows}, {2})
        (shared,) = self.result(self.sharing.visible_to(self.cat.account_id))
        self.assertEqual(shared.mailbox.unseen, 1)
        self.assert_sound()

    def test_sessions_learn_of_the_seen_of_their_own_user_alone(self) -> None:
        self.append(self.ann, "Team", *[MESSAGE] * 3)
        for user in ("bob@example.org", "cat@example.org"):
            self.give(user, "lrsw")
        bob, cat = self.mail_for(self.bob), self.mail_for(self.cat)
        team = self.box(bob)
        before = self.result(bob.mailbox("Team")).highest_modseq
        moved: list[str] = []
        for user in (self.ann, self.bob, self.cat):
            self.store.notices.subscribe(user.account_id, lambda _, name=user.login_name: moved.append(name))
        stored = self.result(bob.store_flags(team, UidSet.of([2]), FlagChange.ADD, SEEN, None))
        self.assertEqual((stored.before, [row[0] for row in stored.changed]), (before, [2]))
        self.assertEqual(moved, ["bob@example.org"])
        self.assertEqual(self.result(bob.mailbox("Team")).highest_modseq, stored.modseq)
        changes = self.result(bob.mailbox_changes(team, before))
        self.assertEqual(list(changes.changed), [(2, 1, "", stored.modseq)])
        for mail in (cat, self.own):
            changes = self.result(mail.mailbox_changes(team, before))
            self.assertEqual((list(changes.changed), changes.is_complete), ([], True))
        # Flags that all share are told to all, each with the own \Seen.
        flagged = self.result(cat.store_flags(team, UidSet.of([2]), FlagChange.ADD, FLAGGED, None))
        for mail, system_flags in ((bob, 5), (cat, 4), (self.own, 4)):
            changes = self.result(mail.mailbox_changes(team, stored.modseq))
            self.assertEqual(list(changes.changed), [(2, system_flags, "", flagged.modseq)])

    def test_a_message_that_was_changed_meanwhile_is_left_alone_whoever_changed_it(self) -> None:
        self.append(self.ann, "Team", *[MESSAGE] * 3)
        self.give("bob@example.org", "lrsw")
        bob = self.mail_for(self.bob)
        team = self.box(bob)
        since = self.result(bob.mailbox("Team")).highest_modseq
        self.result(bob.store_flags(team, UidSet.of([1]), FlagChange.ADD, SEEN, None))
        self.result(self.own.store_flags(team, UidSet.of([2]), FlagChange.ADD, FLAGGED, None))
        result = self.result(bob.store_flags(team, ALL_UIDS, FlagChange.ADD, SEEN, since))
        self.assertEqual(([row[0] for row in result.changed], str(result.modified)), ([3], "1:2"))
        # The reader's own \Seen is nothing to the owner.
        result = self.result(self.own.store_flags(team, UidSet.of([1, 3]), FlagChange.ADD, FLAGGED, since))
        self.assertEqual(([row[0] for row in result.changed], str(result.modified)), ([1, 3], ""))

    def test_what_is_expunged_is_unseen_no_more(self) -> None:
        self.append(self.ann, "Team", *[MESSAGE] * 200)
        self.give("bob@example.org", "lrste")
        bob = self.mail_for(self.bob)
        team = self.box(bob)
        chance = random.Random(3)
        seen: set[int] = set()
        there = set(range(1, 201))
        for turn in range(8):
            uids = set(chance.sample(sorted(there), 20))
            change = chance.choice((FlagChange.ADD, FlagChange.ADD, FlagChange.REMOVE))
            self.result(bob.store_flags(team, UidSet.of(uids), change, SEEN, None))
            seen = seen | uids if change is FlagChange.ADD else seen - uids
            gone = set(chance.sample(sorted(there), 15))
            self.result(self.own.remove_messages(team, UidSet.of(gone)))
            there -= gone
            self.assertEqual(self.unseen(bob), len(there - seen), turn)
            if turn == 4:
                self.clock.advance(400 * 86400.0)
                self.result(self.store.maintenance.sweep(self.clock.seconds()))
                self.assertEqual(self.unseen(bob), len(there - seen))
            self.assert_sound()
        flags = self.flags(bob)
        self.assertEqual({uid for uid, system in flags.items() if system & SystemFlag.SEEN}, there & seen)
        self.result(self.own.delete_mailbox("Team"))
        self.assert_sound()

    def test_a_wrong_count_is_found_and_made_right(self) -> None:
        self.append(self.ann, "Team", *[MESSAGE] * 3)
        self.give("bob@example.org", "lrs")
        bob = self.mail_for(self.bob)
        self.result(bob.store_flags(self.box(bob), UidSet.of([1, 2]), FlagChange.ADD, SEEN, None))
        wrong = "UPDATE mailbox_readers SET seen = 7"
        self.result(self.store.database.run("harm", lambda txn: txn.execute(wrong)))
        self.assertIn("7 messages are noted as seen", self.result(self.store.maintenance.verify(False))[0])
        self.assertEqual(self.result(self.store.maintenance.rebuild())["readers_changed"], 1)
        self.assert_sound()
        self.assertEqual(self.unseen(bob), 1)

    @acceptance("S127")
    def test_flags_without_a_right_stay_as_they_are(self) -> None:
        """RFC 4314 §4: only a STORE of nothing that is allowed fails."""
        every = Flags(SystemFlag.SEEN | SystemFlag.DELETED | SystemFlag.FLAGGED, frozenset({"$Work"}))
        for letters, system, keywords in (
            ("", 0, None),
            ("s", SystemFlag.SEEN, ""),
            ("t", SystemFlag.DELETED, ""),
            ("w", SystemFlag.FLAGGED, "$Work"),
            ("stw", every.system, "$Work"),
        ):
            for change in (FlagChange.ADD, FlagChange.REPLACE):
                (uid,) = self.append(self.ann, "Team", MESSAGE).uids
                self.give("bob@example.org", "lr" + letters)
                bob = self.mail_for(self.bob)
                call = bob.store_flags(self.box(bob), UidSet.of([uid]), change, every, None)
                if keywords is None:
                    self.failure(call, NoPermission)
                    continue
                ((_, found, words, _),) = self.result(call).changed
                self.assertEqual((found, words), (system, keywords))
                own = self.result(self.own.read_messages(self.box(bob), UidSet.of([uid]), [Column.SYSTEM_FLAGS], list))
                self.assertEqual(own[0][0], system & ~SystemFlag.SEEN)
                result = self.result(
                    bob.store_flags(self.box(bob), UidSet.of([uid]), FlagChange.REPLACE, Flags(), None)
                )
                self.assertEqual((result.changed[0][1], result.changed[0][2]), (0, ""))

    def test_every_way_to_the_mail_looks_at_the_rights(self) -> None:
        """What is not done otherwise for another user goes through functions that are, or reads nothing."""
        elsewhere = {"read_messages", "read_piece", "read_in_steps", "read_octets", "octets_in_steps", "narrowed"}
        elsewhere |= {"append", "replace", "in_steps"}
        public = {name for name in dir(AccountMail) if not name.startswith("_")}
        self.assertEqual(public - vars(OthersMail).keys(), elsewhere)

    # --- messages that come and go

    @acceptance("S127")
    def test_each_method_needs_its_right(self) -> None:
        """With all rights but one a method fails, and with that one and the right to know of the mailbox it works."""
        uids = UidSet.of([1])
        methods: dict[str, tuple[str, Callable[[Any, MailboxId], Deferred[Any]]]] = {
            "select": ("r", lambda mail, _: mail.select("Team", False)),
            "read": ("r", lambda mail, team: mail.read_messages(team, uids, [Column.UID], len)),
            "octets": ("r", lambda mail, team: mail.read_octets(team, uids.ranges[0][0], 0, 10)),
            "narrow": ("r", lambda mail, team: mail.narrowed(team, [1], HoldsWords((TextField.BODY,), (b"tea",)), "")),
            "seen": ("rs", lambda mail, team: mail.store_flags(team, uids, FlagChange.ADD, SEEN, None)),
            "flagged": ("rw", lambda mail, team: mail.store_flags(team, uids, FlagChange.ADD, FLAGGED, None)),
            "deleted": ("rt", lambda mail, team: mail.store_flags(team, uids, FlagChange.ADD, DELETED, None)),
            "expunge": ("e", lambda mail, team: mail.expunge(team, UidSet.of([99]))),
            "append": ("i", lambda mail, _: mail.append("Team", [NewMessage(self.stage(MESSAGE))])),
            "replace": ("ite", lambda mail, team: mail.replace(team, last(), "Team", NewMessage(self.stage(MESSAGE)))),
            "copy": ("ri", lambda mail, team: mail.copy(team, uids, "Team")),
            "move": ("rite", lambda mail, team: mail.move(team, UidSet.of([99]), "Team")),
            "create": ("k", lambda mail, _: mail.create_mailbox("Team/Below", None)),
            "delete": ("x", lambda mail, _: mail.delete_mailbox("Team/Below")),
        }

        def last() -> Uid:
            return Uid(self.result(self.own.mailbox("Team")).uid_next - 1)

        self.append(self.ann, "Team", MESSAGE)
        bob = self.mail_for(self.bob)
        team = self.box(self.own)
        for name, (needed, call) in methods.items():
            target = "Team/Below" if name == "delete" else "Team"
            for letter in needed:
                self.give("bob@example.org", ALL_LETTERS.replace(letter, ""), target)
                self.failure(call(bob, team), NoPermission)
            for letters, error in ((ALL_LETTERS.replace("l", ""), None), ("", NoSuchMailbox)):
                self.give("bob@example.org", letters.replace(needed[0], ""), target)
                self.failure(call(bob, team), error or NoSuchMailbox)
            self.give("bob@example.org", needed, target)
            self.result(call(bob, team))

    def test_an_appended_message_is_seen_by_who_appended_it(self) -> None:
        self.give("bob@example.org", "lrsi")
        bob = self.mail_for(self.bob)
        every = Flags(SystemFlag.SEEN | SystemFlag.DELETED | SystemFlag.FLAGGED, frozenset({"$Work"}))
        appended = self.result(bob.append("Team", [NewMessage(self.stage(MESSAGE), every)] * 1))
        self.assertEqual(appended.uids, (1,))
        self.assertEqual((self.flags(bob), self.flags(self.own)), ({1: SystemFlag.SEEN}, {1: SystemFlag(0)}))
        self.assertEqual((self.unseen(bob), self.unseen(self.own)), (0, 1))
        self.assert_sound()

    def test_copies_and_moves_between_accounts(self) -> None:
        self.append(self.ann, "Team", *[MESSAGE] * 2, flags=Flags(SystemFlag.FLAGGED, frozenset({"$Work"})))
        self.give("bob@example.org", "lrstei")
        bob, mine = self.mail_for(self.bob), self.store.account_mail(self.bob.account_id)
        ids = self.bob.account_id, self.ann.account_id
        team = self.box(bob)
        self.result(bob.store_flags(team, UidSet.of([1]), FlagChange.ADD, SEEN, None))
        copied = self.result(self.sharing.copy(ids[0], ids[1], team, ALL_UIDS, ids[0], "Archive"))
        self.assertEqual((copied.source, copied.target), ((1, 2), (1, 2)))
        self.assertEqual(self.flags(mine, "Archive"), {1: SystemFlag.FLAGGED | SystemFlag.SEEN, 2: SystemFlag.FLAGGED})
        archive = self.box(mine, "Archive")
        moved = self.result(self.sharing.move(ids[0], ids[0], archive, UidSet.of([1]), ids[1], "Team"))
        self.assertEqual((moved.source, moved.target), ((1,), (3,)))
        self.assertEqual(list(self.flags(mine, "Archive")), [2])
        # Without w the flag is not kept, \Seen is that of who has moved it.
        self.assertEqual(self.flags(bob)[3], SystemFlag.SEEN)
        self.assertEqual(self.flags(self.own)[3], SystemFlag(0))
        self.result(self.sharing.move(ids[0], ids[1], team, UidSet.of([2]), ids[0], "INBOX"))
        self.assertEqual(list(self.flags(self.own)), [1, 3])
        octets = self.result(mine.read_octets(self.box(mine, "INBOX"), 1, 0, 100))
        self.assertEqual(octets, MESSAGE)
        self.assert_sound()
        self.give("bob@example.org", "lrsti")
        self.failure(self.sharing.move(ids[0], ids[1], team, UidSet.of([1]), ids[0], "INBOX"), NoPermission)
        self.give("bob@example.org", "lr")
        self.failure(self.sharing.copy(ids[0], ids[0], archive, ALL_UIDS, ids[1], "Team"), NoPermission)
        self.failure(self.sharing.copy(ids[0], ids[0], archive, ALL_UIDS, ids[1], "INBOX"), NoSuchMailbox)
        self.failure(self.sharing.copy(ids[0], ids[1], team, ALL_UIDS, ids[0], "NoSuch"), NoSuchMailbox)
        self.assertEqual(list(self.flags(self.own)), [1, 3])
        self.assert_sound()

    def test_a_mailbox_that_may_be_read_no_more_is_as_good_as_deleted(self) -> None:
        self.append(self.ann, "Team", MESSAGE)
        self.give("bob@example.org", "lr")
        bob = self.mail_for(self.bob)
        team, before = self.box(bob), self.result(bob.mailbox("Team")).highest_modseq
        self.assertTrue(self.result(bob.mailbox_changes(team, before)).exists)
        self.give("bob@example.org", "l")
        self.assertFalse(self.result(bob.mailbox_changes(team, before)).exists)

    def test_nobody_but_the_owner_takes_recent(self) -> None:
        self.append(self.ann, "Team", MESSAGE)
        self.give("bob@example.org", ALL_LETTERS)
        bob = self.mail_for(self.bob)
        selection = self.result(bob.select("Team", False))
        self.assertEqual(selection.recent, UidSet())
        self.assertEqual(selection.mailbox.first_recent, selection.mailbox.uid_next)
        self.assertEqual(self.result(bob.claim_recent(selection.mailbox.mailbox_id)), UidSet())
        self.assertEqual(str(self.result(self.own.select("Team", False)).recent), "1")
        self.assertEqual(selection.mailbox.rights, ALL_RIGHTS)

    def test_threads_are_told_to_readers(self) -> None:
        self.append(self.ann, "Team", MESSAGE)
        self.give("bob@example.org", "lr")
        bob = self.mail_for(self.bob)
        columns = (Column.THREAD_ID, Column.MODSEQ)
        rows = self.result(bob.read_messages(self.box(bob), ALL_UIDS, columns, list))
        self.assertIsNotNone(rows[0][0])
        self.give("bob@example.org", "l")
        self.failure(bob.read_messages(self.box(bob), ALL_UIDS, columns, list), NoPermission)

    def test_owner_is_an_identifier_of_its_own(self) -> None:
        self.assertEqual(self.acl()[0], f"{OWNER} {ALL_LETTERS}")
        self.assertEqual(str(ANYONE), "anyone")


class SharingWithAnyoneTests(InMemory):
    """Where users may not share with all others."""

    settings = StoreSection(share_with_anyone=False)

    def test_only_operators_share_with_anyone(self) -> None:
        ann = self.account()
        for by, is_refused in ((ann.account_id, True), (None, False)):
            for sign in (False, True):
                entry = AclEntry(ANYONE, Rights.parse("l"), sign)
                call = self.store.sharing.set_rights(ann.account_id, "INBOX", by, entry, RightsChange.REPLACE)
                if is_refused and not sign:
                    self.assertIn("administrator", str(self.failure(call, Refusal)))
                else:
                    self.result(call)
        entry = AclEntry(ANYONE, Rights.parse("r"))
        adding = self.store.sharing.set_rights(ann.account_id, "INBOX", ann.account_id, entry, RightsChange.ADD)
        self.failure(adding, Refusal)
        entry = AclEntry(ANYONE, NO_RIGHTS)
        self.result(self.store.sharing.set_rights(ann.account_id, "INBOX", ann.account_id, entry, RightsChange.REPLACE))


class SharingInMemoryTests(SharingContract, InMemory):
    settings = SharingContract.settings


class SharingOnDiskTests(SharingContract, OnDisk):
    settings = StoreSection(mailbox_rights=5, sqlite_checkpoint_interval=0.05)

    def test_a_right_that_is_just_being_withdrawn_serves_nobody_who_waits(self) -> None:
        self.append(self.ann, "Team", MESSAGE)
        self.give("bob@example.org", "lrswite")
        team = self.box(self.own)
        other = self.open_store()
        go, started = threading.Event(), threading.Event()

        def withdraw_txn(txn: Transaction) -> None:
            lock_account_txn(txn, self.ann.account_id)
            txn.execute("DELETE FROM mailbox_rights WHERE account_id = ?", (self.ann.account_id,))
            started.set()
            go.wait(10)

        withdrawn = self.store.database.run("withdraw", withdraw_txn)
        self.bell.advance(0)
        self.assertTrue(started.wait(10))
        mail = other.account_mail_for(self.ann.account_id, self.bob.account_id)
        waiting = mail.store_flags(team, ALL_UIDS, FlagChange.ADD, FLAGGED, None)
        go.set()
        self.result(withdrawn)
        self.failure(waiting, NoSuchMailbox)
        self.assertEqual(self.flags(self.own), {1: SystemFlag(0)})


del SharingContract
