"""One account's mailboxes and messages, on every engine."""

from __future__ import annotations

from hashlib import sha256

from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from pymailsuite.errors import (
    AlreadyExists,
    MailboxHasChildren,
    MaildropInUse,
    NoSuchAccount,
    NoSuchMailbox,
    NoSuchMessage,
    Refusal,
    StoreUnavailable,
)
from pymailsuite.interfaces import (
    Column,
    IAccountMail,
    IChangeNotices,
    IContentWriter,
    IDirectoryStore,
    IMailStore,
    IQueueStore,
    IStoreMaintenance,
    NewMessage,
)
from pymailsuite.message.scan import scan
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, FlagChange, Flags, SpecialUse, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.store.support import NOW, InMemory, OnDisk, StoreTestCase

ONE = b"Subject: one\r\nFrom: a@example.org\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"
SEEN, DELETED, FLAGGED = Flags(SystemFlag.SEEN), Flags(SystemFlag.DELETED), Flags(SystemFlag.FLAGGED)


class MailContract(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.account()
        self.mail = self.store.account_mail(self.ann.account_id)

    def names(self) -> list[str]:
        return [mailbox.name for mailbox in self.result(self.mail.mailboxes())]

    def box(self, name: str):
        return self.result(self.mail.mailbox(name))

    def uids(self, name: str) -> list[int]:
        return [row[0] for row in self.result(self.mail.select(name, True)).rows]

    def read(self, name: str, *columns: Column, uids: UidSet = ALL_UIDS):
        return self.result(self.mail.read_messages(self.box(name).mailbox_id, uids, columns, list))

    def test_every_part_provides_its_interface(self) -> None:
        verifyObject(IMailStore, self.store)
        verifyObject(IDirectoryStore, self.store.directory)
        verifyObject(IQueueStore, self.store.queue)
        verifyObject(IChangeNotices, self.store.notices)
        verifyObject(IStoreMaintenance, self.store.maintenance)
        verifyObject(IAccountMail, self.mail)
        verifyObject(IContentWriter, self.store.new_content())

    # --- content on its way in

    def test_what_is_being_written_can_be_read_and_its_structure_is_known_before_it_is_accepted(self) -> None:
        """Whether it lies in memory, in the store or on its way there, and whatever the cut."""
        octets = b"Subject: x\r\n\r\n" + bytes(range(256)) * (MAX_CHUNK * 5 // 512)
        for pieces in ([octets[:900]], [octets], [octets[at : at + 70_001] for at in range(0, len(octets), 70_001)]):
            writer, whole = self.store.new_content(), b"".join(pieces)
            for piece in pieces:
                writer.write(piece)
            for start, stop in (
                (0, 10),
                (500, MAX_CHUNK + 400),
                (MAX_CHUNK - 3, MAX_CHUNK + 3),
                (len(whole) - 7, 1 << 40),
            ):
                wanted = whole[start : min(stop, start + MAX_CHUNK)]
                self.assertEqual(self.result(writer.read(start, stop)), wanted)
            self.assertEqual(self.result(writer.read(len(whole) + 5, len(whole) + 9)), b"")
            structure = writer.structure()
            self.assertEqual(structure, scan(whole))
            self.assertEqual(self.result(writer.read(5, 25)), whole[5:25])
            content = self.result(writer.finish())
            self.assertEqual((content.structure, content.size), (structure, len(whole)))
            self.assertEqual(content.digest, sha256(whole).digest())
            message = NewMessage(content)
            self.result(self.mail.append("INBOX", [message]))
        self.assertEqual(self.result(self.store.maintenance.verify(True)), [])

    def test_reading_ends_when_what_is_written_is_given_up(self) -> None:
        writer = self.store.new_content()
        writer.write(b"x" * (3 * MAX_CHUNK))
        reading = writer.read(0, 5)
        called_off = writer.read(0, 5)
        called_off.addErrback(lambda reason: reason.trap(CancelledError) and None)
        called_off.cancel()
        writer.abort()
        self.failure(writer.read(0, 5), StoreUnavailable)
        reading.addErrback(lambda reason: reason.trap(StoreUnavailable) and None)
        self.result(reading)
        self.result(called_off)

    # --- mailboxes

    def test_a_new_account_has_inbox_and_special_use_mailboxes_subscribed(self) -> None:
        found = {mailbox.name: mailbox.special_use for mailbox in self.result(self.mail.mailboxes())}
        self.assertEqual(
            found,
            {
                "INBOX": None,
                "Drafts": SpecialUse.DRAFTS,
                "Sent": SpecialUse.SENT,
                "Junk": SpecialUse.JUNK,
                "Trash": SpecialUse.TRASH,
                "Archive": SpecialUse.ARCHIVE,
            },
        )
        self.assertEqual(self.result(self.mail.subscriptions()), sorted(found))

    def test_create_makes_missing_levels(self) -> None:
        made = self.result(self.mail.create_mailbox("a/b/c", None))
        self.assertEqual(made.name, "a/b/c")
        self.assertEqual([name for name in self.names() if name.startswith("a")], ["a", "a/b", "a/b/c"])
        self.failure(self.mail.create_mailbox("a/b", None), AlreadyExists)
        self.failure(self.mail.create_mailbox("a//b", None), Refusal)

    def test_inbox_is_matched_in_any_case(self) -> None:
        self.assertEqual(self.box("inBox").name, "INBOX")
        self.failure(self.mail.create_mailbox("inbox", None), AlreadyExists)
        self.assertEqual(self.result(self.mail.create_mailbox("inbox/sub", None)).name, "INBOX/sub")
        self.failure(self.mail.delete_mailbox("Inbox"), Refusal)

    def test_uidvalidity_is_never_used_again(self) -> None:
        seen = {self.box(name).uid_validity for name in self.names()}
        for _ in range(3):
            made = self.result(self.mail.create_mailbox("again", None))
            self.assertNotIn(made.uid_validity, seen)
            seen.add(made.uid_validity)
            self.result(self.mail.delete_mailbox("again"))

    def test_deleting_a_mailbox_with_inferiors_leaves_its_name(self) -> None:
        self.result(self.mail.create_mailbox("a/b", None))
        self.append(self.ann, "a", ONE)
        opened = self.box("a")
        self.result(self.mail.delete_mailbox("a"))
        self.assertFalse(self.box("a").selectable)
        self.failure(self.mail.select("a", False), NoSuchMailbox)
        self.assertFalse(self.result(self.mail.mailbox_changes(opened.mailbox_id, opened.highest_modseq)).exists)
        self.failure(self.mail.delete_mailbox("a"), MailboxHasChildren)
        made = self.result(self.mail.create_mailbox("a", None))
        self.assertTrue(made.selectable)
        self.assertGreater(made.uid_validity, opened.uid_validity)
        self.assertEqual(self.uids("a"), [])
        self.assert_sound()

    def test_rename_takes_inferiors_along_and_keeps_uids(self) -> None:
        self.result(self.mail.create_mailbox("a/b", None))
        self.append(self.ann, "a/b", ONE, TWO)
        before = self.box("a/b")
        self.result(self.mail.rename_mailbox("a", "x/y"))
        after = self.box("x/y/b")
        self.assertEqual((after.uid_validity, after.uid_next), (before.uid_validity, before.uid_next))
        self.assertEqual(self.uids("x/y/b"), [1, 2])
        self.assertTrue({"x", "x/y", "x/y/b"} <= set(self.names()))
        self.assertFalse({"a", "a/b"} & set(self.names()))
        self.failure(self.mail.rename_mailbox("x", "x/y/z"), Refusal)
        self.failure(self.mail.rename_mailbox("x/y", "Sent"), AlreadyExists)
        self.failure(self.mail.rename_mailbox("none", "other"), NoSuchMailbox)

    def test_renaming_inbox_moves_its_messages_and_leaves_it(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        self.result(self.mail.rename_mailbox("INBOX", "old"))
        self.assertEqual((self.uids("INBOX"), self.uids("old")), ([], [1, 2]))
        self.assertEqual(self.box("INBOX").uid_next, 3)
        self.assert_sound()

    def test_subscriptions_need_no_mailbox_and_survive_its_end(self) -> None:
        self.result(self.mail.subscribe("nowhere"))
        self.result(self.mail.subscribe("nowhere"))
        self.result(self.mail.delete_mailbox("Junk"))
        self.assertIn("nowhere", self.result(self.mail.subscriptions()))
        self.assertIn("Junk", self.result(self.mail.subscriptions()))
        self.result(self.mail.unsubscribe("nowhere"))
        self.result(self.mail.unsubscribe("nowhere"))
        self.assertNotIn("nowhere", self.result(self.mail.subscriptions()))

    # --- messages

    def test_append_gives_ascending_uids_and_counts(self) -> None:
        first = self.append(self.ann, "INBOX", ONE, TWO, flags=SEEN)
        second = self.append(self.ann, "INBOX", ONE, flags=DELETED)
        self.assertEqual((first.uids, second.uids), ((1, 2), (3,)))
        box = self.box("INBOX")
        self.assertEqual((box.messages, box.unseen, box.deleted, box.uid_next), (3, 1, 1, 4))
        self.assertEqual(box.size, 2 * len(ONE) + len(TWO))
        self.failure(self.mail.append("none", [NewMessage(self.stage(ONE))]), NoSuchMailbox)

    def test_columns_hold_what_the_scan_found(self) -> None:
        flags = Flags(SystemFlag.SEEN | SystemFlag.DRAFT, frozenset({"$b", "$A"}))
        self.result(self.mail.append("INBOX", [NewMessage(self.stage(ONE), flags, 1234.5)]))
        structure = scan(ONE)
        ((*values,),) = self.read("INBOX", *Column)
        found = dict(zip(Column, values, strict=True))
        self.assertEqual(found[Column.UID], 1)
        self.assertEqual(found[Column.SYSTEM_FLAGS], 17)
        self.assertEqual(found[Column.KEYWORDS], "$A $b")
        self.assertEqual(found[Column.INTERNAL_DATE], 1234.5)
        self.assertEqual(found[Column.SAVE_DATE], NOW)
        self.assertEqual(found[Column.SIZE], len(ONE))
        self.assertEqual(found[Column.PREFIX_SIZE], 0)
        self.assertEqual(found[Column.HEADER_SIZE], structure.header_size)
        self.assertEqual(found[Column.ENVELOPE], structure.envelope)
        self.assertEqual(found[Column.BODY], structure.body)
        self.assertEqual(found[Column.BODYSTRUCTURE], structure.bodystructure)
        self.assertEqual(found[Column.PARTS], structure.parts)
        self.assertEqual(found[Column.HEADER], ONE[: structure.header_size])
        self.assertEqual(found[Column.OCTETS], ONE)

    def test_rows_come_by_ascending_uid_for_any_set(self) -> None:
        self.append(self.ann, "INBOX", *[ONE] * 60)
        wanted = UidSet(((50, 58), (3, 3), (7, 30), (1, 1), (59, 2**32 - 1)))
        rows = self.read("INBOX", Column.UID, uids=wanted)
        self.assertEqual([uid for (uid,) in rows], [1, 3, *range(7, 31), *range(50, 61)])
        self.assertEqual(self.read("INBOX", Column.UID, uids=UidSet()), [])
        many = UidSet.of(range(1, 5000, 2))
        self.assertEqual([uid for (uid,) in self.read("INBOX", Column.UID, uids=many)], list(range(1, 61, 2)))

    def test_an_error_of_convert_reaches_the_caller(self) -> None:
        inbox = self.box("INBOX").mailbox_id

        def convert(rows: object) -> None:
            raise ZeroDivisionError

        self.failure(self.mail.read_messages(inbox, ALL_UIDS, (Column.UID,), convert), ZeroDivisionError)
        self.assertEqual(self.read("INBOX", Column.UID), [])

    def test_octets_come_back_as_they_went_in_whatever_their_length(self) -> None:
        for number, length in enumerate((0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 5 * MAX_CHUNK + 17)):
            octets = (b"Subject: x\r\n\r\n" + bytes(range(256)) * (length // 256 + 1))[:length]
            writer = self.store.new_content()
            for start in range(0, length, 100_000):
                paused = writer.write(octets[start : start + 100_000])
                if paused is not None:
                    self.result(paused)
            self.assertEqual(writer.size, length)
            content = self.result(writer.finish())
            (uid,) = self.result(self.mail.append("INBOX", [NewMessage(content)])).uids
            inbox = self.box("INBOX").mailbox_id
            step = 200_000
            read = [
                self.result(self.mail.read_octets(inbox, uid, start, start + step))
                for start in range(0, length + step, step)
            ]
            self.assertEqual(b"".join(read), octets, length)
            ((whole, size),) = self.read("INBOX", Column.OCTETS, Column.SIZE, uids=UidSet.of([uid]))
            self.assertEqual(whole, octets if length <= MAX_CHUNK else None)
            self.assertEqual((size, uid), (length, number + 1))
            middle = self.result(self.store.read_content(content.content_id, length // 2, length // 2 + 10))
            self.assertEqual(middle, octets[length // 2 : length // 2 + 10])
        self.assert_sound()

    def test_a_header_longer_than_a_chunk_is_whole(self) -> None:
        octets = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 70) for n in range(8000)) + b"\r\nbody"
        self.append(self.ann, "INBOX", octets)
        ((header, size),) = self.read("INBOX", Column.HEADER, Column.HEADER_SIZE)
        self.assertGreater(size, MAX_CHUNK)
        self.assertEqual(header, octets[:size])

    def test_aborted_content_leaves_nothing(self) -> None:
        writer = self.store.new_content()
        writer.write(b"x" * (3 * MAX_CHUNK))
        writer.abort()
        writer.abort()
        self.append(self.ann, "INBOX", ONE)
        self.result(self.store.maintenance.sweep(NOW + 10 * 86400))
        self.assert_sound()

    # --- flags

    def store_flags(self, uids, change, flags, since=None):
        return self.result(self.mail.store_flags(self.box("INBOX").mailbox_id, uids, change, flags, since))

    def test_flags_are_added_removed_and_replaced(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        added = self.store_flags(ALL_UIDS, FlagChange.ADD, Flags(SystemFlag.SEEN, frozenset({"$x"})))
        self.assertEqual([row[:3] for row in added.changed], [(1, 1, "$x"), (2, 1, "$x")])
        self.assertEqual(self.box("INBOX").unseen, 0)
        self.store_flags(UidSet.of([2]), FlagChange.REMOVE, Flags(SystemFlag.SEEN, frozenset({"$X"})))
        replaced = self.store_flags(
            UidSet.of([1]), FlagChange.REPLACE, Flags(SystemFlag.DELETED, frozenset({"b", "a"}))
        )
        self.assertEqual([row[:3] for row in replaced.changed], [(1, 8, "a b")])
        box = self.box("INBOX")
        self.assertEqual((box.unseen, box.deleted), (2, 1))

    def test_a_keyword_keeps_the_case_it_was_first_given_in(self) -> None:
        self.append(self.ann, "INBOX", ONE)
        self.store_flags(ALL_UIDS, FlagChange.ADD, Flags(keywords=frozenset({"$Junk"})))
        again = self.store_flags(ALL_UIDS, FlagChange.ADD, Flags(keywords=frozenset({"$JUNK"})))
        self.assertEqual(again.changed[0][2], "$Junk")

    def test_a_message_whose_flags_do_not_change_keeps_its_modseq(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        self.store_flags(UidSet.of([1]), FlagChange.ADD, SEEN)
        before = {row[0]: row[3] for row in self.result(self.mail.select("INBOX", True)).rows}
        result = self.store_flags(ALL_UIDS, FlagChange.ADD, SEEN)
        self.assertEqual(result.changed[0][3], before[1])
        self.assertGreater(result.changed[1][3], before[2])

    def test_unchangedsince_names_the_messages_it_left_alone(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        since = self.box("INBOX").highest_modseq
        self.store_flags(UidSet.of([2]), FlagChange.ADD, SEEN)
        result = self.store_flags(UidSet(((1, 9),)), FlagChange.ADD, FLAGGED, since)
        self.assertEqual([row[0] for row in result.changed], [1])
        self.assertEqual(result.modified, UidSet.of([2]))

    # --- removal, copies

    def test_expunge_takes_only_the_deleted(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO, ONE)
        self.store_flags(UidSet.of([1, 3]), FlagChange.ADD, DELETED)
        inbox = self.box("INBOX").mailbox_id
        self.assertEqual(self.result(self.mail.expunge(inbox, UidSet.of([1, 2]))), UidSet.of([1]))
        self.assertEqual(self.uids("INBOX"), [2, 3])
        self.assertEqual(self.result(self.mail.remove_messages(inbox, UidSet.of([2, 9]))), UidSet.of([2]))
        box = self.box("INBOX")
        self.assertEqual((box.messages, box.deleted, box.size), (1, 1, len(ONE)))

    def test_a_uid_is_never_given_twice(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        inbox = self.box("INBOX").mailbox_id
        self.result(self.mail.remove_messages(inbox, ALL_UIDS))
        self.assertEqual(self.append(self.ann, "INBOX", ONE).uids, (3,))

    def test_an_expunged_message_can_be_read_by_who_still_sees_it(self) -> None:
        self.append(self.ann, "INBOX", ONE)
        inbox = self.box("INBOX").mailbox_id
        self.result(self.mail.remove_messages(inbox, ALL_UIDS))
        self.assertEqual(self.result(self.mail.read_octets(inbox, 1, 0, 1000)), ONE)

    def test_copy_keeps_flags_and_date_and_shares_octets(self) -> None:
        flags = Flags(SystemFlag.SEEN, frozenset({"$x"}))
        self.result(self.mail.append("INBOX", [NewMessage(self.stage(ONE), flags, 99.0)]))
        self.append(self.ann, "INBOX", TWO)
        inbox = self.box("INBOX").mailbox_id
        self.clock.advance(5)
        copied = self.result(self.mail.copy(inbox, UidSet.of([1, 2, 7]), "Trash"))
        self.assertEqual((copied.source, copied.target), ((1, 2), (1, 2)))
        self.assertEqual(copied.uid_validity, self.box("Trash").uid_validity)
        columns = (Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.INTERNAL_DATE, Column.CONTENT_ID, Column.SAVE_DATE)
        source, target = self.read("INBOX", *columns)[0], self.read("Trash", *columns)[0]
        self.assertEqual(source[:4], target[:4])
        self.assertEqual(target[4], NOW + 5)
        self.failure(self.mail.copy(inbox, ALL_UIDS, "none"), NoSuchMailbox)
        self.assert_sound()

    @acceptance("S119")
    def test_move_is_one_change_seen_whole_or_not_at_all(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        inbox = self.box("INBOX")
        self.failure(self.mail.move(inbox.mailbox_id, ALL_UIDS, "none"), NoSuchMailbox)
        self.assertEqual(self.uids("INBOX"), [1, 2])
        moved = self.result(self.mail.move(inbox.mailbox_id, UidSet.of([2]), "Archive"))
        self.assertEqual((moved.source, moved.target), ((2,), (1,)))
        self.assertEqual((self.uids("INBOX"), self.uids("Archive")), ([1], [1]))
        changes = self.result(self.mail.mailbox_changes(inbox.mailbox_id, inbox.highest_modseq))
        self.assertEqual((changes.changed, changes.expunged), ([], UidSet.of([2])))
        self.assertEqual(self.box("Archive").highest_modseq, self.box("INBOX").highest_modseq)
        self.assert_sound()

    def test_move_into_the_same_mailbox_gives_new_uids(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        inbox = self.box("INBOX").mailbox_id
        self.result(self.mail.move(inbox, UidSet.of([1]), "INBOX"))
        self.assertEqual(self.uids("INBOX"), [2, 3])
        self.assert_sound()

    def test_a_message_is_replaced_as_one_change_or_not_at_all(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        inbox = self.box("INBOX").mailbox_id
        new = NewMessage(self.stage(TWO), DELETED)
        self.failure(self.mail.replace(inbox, 1, "none", new), NoSuchMailbox)
        self.failure(self.mail.replace(inbox, 7, "Drafts", new), NoSuchMessage)
        self.assertEqual((self.uids("INBOX"), self.uids("Drafts")), ([1, 2], []))
        self.assertEqual(self.result(self.mail.replace(inbox, 1, "INBOX", new)).uids, (3,))
        self.assertEqual(self.result(self.mail.replace(inbox, 2, "Drafts", NewMessage(self.stage(ONE)))).uids, (1,))
        self.assertEqual((self.uids("INBOX"), self.uids("Drafts")), ([3], [1]))
        box = self.box("INBOX")
        self.assertEqual((box.messages, box.deleted, box.size), (1, 1, len(TWO)))
        self.assert_sound()

    # --- changes and recent

    def test_changes_tell_arrivals_flags_and_expunges_since_a_modseq(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        start = self.box("INBOX")
        inbox = start.mailbox_id
        nothing = self.result(self.mail.mailbox_changes(inbox, start.highest_modseq))
        self.assertEqual((list(nothing.changed), nothing.expunged, nothing.exists), ([], UidSet(), True))
        self.append(self.ann, "INBOX", *[ONE] * 130)
        arrived = self.result(self.mail.mailbox_changes(inbox, start.highest_modseq))
        self.assertEqual([row[0] for row in arrived.changed], list(range(3, 133)))
        self.store_flags(UidSet.of([1]), FlagChange.ADD, DELETED)
        self.result(self.mail.expunge(inbox, UidSet.of([1])))
        self.store_flags(UidSet.of([2]), FlagChange.ADD, SEEN)
        later = self.result(self.mail.mailbox_changes(inbox, arrived.modseq))
        self.assertEqual([row[:2] for row in later.changed], [(2, 1)])
        self.assertEqual(later.expunged, UidSet.of([1]))
        self.append(self.ann, "Sent", ONE)
        elsewhere = self.result(self.mail.mailbox_changes(inbox, later.modseq))
        self.assertEqual((list(elsewhere.changed), elsewhere.expunged), ([], UidSet()))
        self.assertGreater(elsewhere.modseq, later.modseq)

    def test_changes_of_a_deleted_mailbox_say_that_it_is_gone(self) -> None:
        made = self.result(self.mail.create_mailbox("gone", None))
        self.result(self.mail.delete_mailbox("gone"))
        self.assertFalse(self.result(self.mail.mailbox_changes(made.mailbox_id, made.highest_modseq)).exists)

    def test_recent_is_claimed_once_and_not_by_a_read_only_session(self) -> None:
        self.append(self.ann, "INBOX", ONE, TWO)
        self.assertEqual(self.result(self.mail.select("INBOX", True)).recent, UidSet())
        self.assertEqual(self.result(self.mail.select("INBOX", False)).recent, UidSet.of([1, 2]))
        self.assertEqual(self.result(self.mail.select("INBOX", False)).recent, UidSet())
        self.append(self.ann, "INBOX", ONE)
        inbox = self.box("INBOX").mailbox_id
        self.assertEqual(self.result(self.mail.claim_recent(inbox)), UidSet.of([3]))
        self.assertEqual(self.result(self.mail.claim_recent(inbox)), UidSet())

    def test_notices_tell_the_new_modseq_to_this_accounts_subscribers(self) -> None:
        other = self.account("bob@example.org")
        heard: list[int] = []
        stop = self.store.notices.subscribe(self.ann.account_id, heard.append)
        self.append(self.ann, "INBOX", ONE)
        self.append(other, "INBOX", ONE)
        self.assertEqual(heard, [self.box("INBOX").highest_modseq])
        stop()
        stop()
        self.append(self.ann, "INBOX", ONE)
        self.assertEqual(len(heard), 1)

    # --- POP3

    def test_the_maildrop_lock_is_exclusive_until_released_or_its_lease_ends(self) -> None:
        self.result(self.mail.lock_maildrop("one", 60))
        self.result(self.mail.lock_maildrop("one", 60))
        self.failure(self.mail.lock_maildrop("two", 60), MaildropInUse)
        self.result(self.mail.unlock_maildrop("two"))
        self.failure(self.mail.lock_maildrop("two", 60), MaildropInUse)
        self.clock.advance(61)
        self.result(self.mail.lock_maildrop("two", 60))
        self.result(self.mail.unlock_maildrop("two"))
        self.result(self.mail.lock_maildrop("one", 60))

    @acceptance("S146")
    def test_the_maildrop_locks_of_processes_that_are_gone_are_released(self) -> None:
        other = self.account("bob@example.org")
        self.result(self.mail.lock_maildrop("mx:1:aa:session", 60))
        self.result(self.store.account_mail(other.account_id).lock_maildrop("mx:1:aab:session", 60))
        self.assertEqual(self.result(self.store.maintenance.release_maildrops(["mx:1:aa", "never there"])), 1)
        self.result(self.mail.lock_maildrop("two", 60))
        self.failure(self.store.account_mail(other.account_id).lock_maildrop("two", 60), MaildropInUse)

    def test_a_removed_account_takes_no_mail(self) -> None:
        self.result(self.store.directory.remove_account("ann@example.org"))
        self.failure(self.mail.append("INBOX", [NewMessage(self.stage(ONE))]), NoSuchAccount)
        self.failure(self.mail.create_mailbox("x", None), NoSuchAccount)


class MailInMemoryTests(MailContract, InMemory):
    pass


class MailOnDiskTests(MailContract, OnDisk):
    pass


del MailContract
