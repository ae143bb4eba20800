"""Backups of stores in use, and whole stores restored from them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

from pymailsuite.errors import ConfigError, MailError
from pymailsuite.interfaces.quota import DomainQuota, FolderRule, Limits, Quota
from pymailsuite.store.migrate import migrate_txn
from pymailsuite.store.moving.backup import BackupResult, back_up
from pymailsuite.store.moving.backup_set import MANIFEST, BackupFolder
from pymailsuite.store.moving.pack_file import facts_of, places_in
from pymailsuite.store.moving.progress import NoProgress, Progress
from pymailsuite.store.moving.restore_store import MODSEQ_GAP, UID_GAP, RestoreResult, restore_store
from pymailsuite.store.moving.source import LEFT_BEHIND
from pymailsuite.store.moving.verifying import verify_backup
from pymailsuite.store.tables import declared_tables
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS
from tests.acceptance import acceptance
from tests.store.moving import CutOffError, Hook, MovingCase, cut_off
from tests.support.stores import fired, make_account


class BackupContract(MovingCase):
    def setUp(self) -> None:
        super().setUp()
        self.backup = BackupFolder(self.folder / "backup")

    def back_up(
        self, progress: Progress | None = None, *, keep: int | None = None, pack_file_octets: int = 1 << 20
    ) -> BackupResult:
        with self.session(self.source_url, writable=False) as source:
            return back_up(source, self.backup, progress or NoProgress(), keep=keep, pack_file_octets=pack_file_octets)

    def restore(
        self, name: str = "", progress: Progress | None = None, *, exact: bool = True, url: str = ""
    ) -> tuple[str, RestoreResult]:
        """The URL of a store filled from a set, the newest or the one of that name."""
        url = url or self.url(self.target_kind)
        sets = [one for one in self.backup.all_sets() if name in {"", one.name}]
        with self.session(url, writable=True) as target:
            result = restore_store(target, sets[-1], progress or NoProgress(), now=1.0, exact=exact, deep=True)
        return url, result

    def saved_octets(self) -> int:
        """Octets of messages in all segments."""
        return sum(place.size for place in places_in(self.backup.segments, self.backup.pack_file_names()))

    # --- sets

    @acceptance("S201")
    def test_each_set_restores_the_store_as_it_was(self) -> None:
        self.something_of_everything()
        first = self.digests(self.source_url)
        one = self.back_up()
        self.append("INBOX", 4)
        mail = self.store.account_mail(self.ann.account_id)
        fired(mail.remove_messages(fired(mail.mailbox("Archive")).mailbox_id, ALL_UIDS))
        fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))
        second = self.digests(self.source_url)
        two = self.back_up()
        self.assertEqual((one.faults, two.faults), ([], []))
        self.assertEqual(one.new_octets, one.octets)
        self.assertLess(two.new_octets, 2000)
        for result, expected in ((one, first), (two, second)):
            url, restored = self.restore(result.name)
            self.assertEqual((restored.is_complete, restored.faults), (True, []))
            self.assertEqual(self.digests(url), expected)
            self.assertEqual(fired(self.open_store(url).maintenance.verify(True)), [])

    def test_every_table_of_the_schema_is_in_a_set(self) -> None:
        self.back_up()
        (one,) = self.backup.all_sets()
        self.assertEqual(set(one.manifest.tables), set(declared_tables()) - set(LEFT_BEHIND))

    @acceptance("S262")
    def test_a_file_is_whole_under_its_name_and_never_changes(self) -> None:
        self.something_of_everything()
        seen: dict[Path, str] = {}

        def look() -> None:
            for path in self.backup.path.rglob("*"):
                if path.is_file() and path.name != "lock" and ".partial" not in str(path):
                    digest = facts_of(path).sha256
                    self.assertEqual(seen.setdefault(path, digest), digest)

        for number in range(3):
            self.append("INBOX", 3)
            for phase in ("messages", "accounts", "queue_recipients"):
                self.back_up(Hook(phase, look), pack_file_octets=1000)
            self.assertEqual(len(self.backup.set_names()), 3 * (number + 1))
        look()
        for one in self.backup.all_sets():
            manifest = json.loads((one.path / MANIFEST).read_text())
            self.assertEqual(set(manifest["files"]) | {MANIFEST}, {path.name for path in one.path.iterdir()})
            for name, facts in manifest["segments"].items():
                self.assertEqual(seen[self.backup.segments / name], facts["sha256"])
        self.assertEqual(verify_backup(self.backup, NoProgress()), [])

    def test_what_comes_and_goes_meanwhile_leaves_each_set_at_one_moment(self) -> None:
        self.something_of_everything()

        def change() -> None:
            mail = self.store.account_mail(self.ann.account_id)
            fired(mail.remove_messages(fired(mail.mailbox("Archive")).mailbox_id, ALL_UIDS))
            self.append("Sent", 2)
            fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))

        for phase in ("messages", "contents", "account_state", "messages"):
            self.back_up(Hook(phase, change, 1))
            url, restored = self.restore()
            self.assertEqual((restored.is_complete, restored.faults), (True, []))
            self.assertEqual(fired(self.open_store(url).maintenance.verify(True)), [])

    def test_a_run_that_was_cut_off_leaves_no_set_and_nothing_is_written_twice(self) -> None:
        self.something_of_everything()
        self.append("INBOX", 30)
        for phase, steps in (("messages", 15), ("messages", 30), ("accounts", 0), ("subscriptions", 0)):
            with self.assertRaises(CutOffError):
                self.back_up(Hook(phase, cut_off, steps), pack_file_octets=2000)
            self.assertEqual(self.backup.set_names(), [])
        result = self.back_up(pack_file_octets=2000)
        self.assertEqual(self.saved_octets(), result.octets)
        self.assertEqual(list(self.backup.path.rglob("*.partial")), [])
        url, _ = self.restore()
        self.assertEqual(self.digests(url), self.digests(self.source_url))

    def test_only_so_many_sets_are_kept_and_segments_that_none_needs_go(self) -> None:
        mail = self.store.account_mail(self.ann.account_id)
        names = []
        for _ in range(4):
            self.append("Drafts", 2)
            names.append(self.back_up(keep=2).name)
            fired(mail.remove_messages(fired(mail.mailbox("Drafts")).mailbox_id, ALL_UIDS))
            fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))
        self.assertEqual(self.backup.set_names(), names[-2:])
        named = {segment for one in self.backup.all_sets() for segment in one.manifest.segments}
        self.assertEqual(set(self.backup.pack_file_names()), named)
        self.assertEqual(len(named), 2)
        self.assertEqual(verify_backup(self.backup, NoProgress()), [])

    def test_a_folder_is_for_one_store_and_one_run_at_a_time(self) -> None:
        self.back_up()
        with self.backup.locked(), self.assertRaisesRegex(ConfigError, "another backup is being written"):
            self.back_up()
        self.clock.advance(1)
        self.source_url = self.url(self.source_kind)
        self.open_store(self.source_url)
        with self.assertRaisesRegex(ConfigError, "of another store"):
            self.back_up()

    def test_a_restored_store_goes_on_in_the_same_folder(self) -> None:
        self.something_of_everything()
        self.back_up()
        self.source_url, _ = self.restore()
        self.assertEqual(self.back_up().new_octets, 0)

    def test_damaged_files_are_found(self) -> None:
        self.something_of_everything()
        name = self.back_up().name

        def flip(path: Path) -> None:
            octets = bytearray(path.read_bytes())
            octets[len(octets) // 2] ^= 1
            path.write_bytes(octets)

        def cut(path: Path) -> None:
            path.write_bytes(path.read_bytes()[:-10])

        folder = self.backup.sets / name
        damages: list[tuple[Callable[[Path], None], Path]] = [
            (flip, self.backup.segments / self.backup.pack_file_names()[0]),
            (cut, self.backup.segments / self.backup.pack_file_names()[0]),
            (flip, folder / "messages.jsonl.gz"),
            (cut, folder / "places.jsonl.gz"),
            (Path.unlink, folder / "accounts.jsonl.gz"),
            (cut, folder / MANIFEST),
        ]
        for damage, path in damages:
            kept = path.read_bytes()
            damage(path)
            found = verify_backup(self.backup, NoProgress())
            path.write_bytes(kept)
            self.assertTrue(found and str(path) in found[0], (path, found))
        self.assertEqual(verify_backup(self.backup, NoProgress()), [])

    def test_damage_in_the_store_is_told_and_saved_as_it_is(self) -> None:
        self.something_of_everything()

        def damage_txn(txn: Transaction) -> None:
            txn.execute(
                "UPDATE content_chunks SET octets = ? WHERE position = 0 AND length(octets) > 2000", (b"?" * 9,)
            )

        fired(self.store.database.run("damage", damage_txn))
        result = self.back_up()
        self.assertTrue(any("do not match their digest" in fault for fault in result.faults))
        _, restored = self.restore()
        self.assertTrue(restored.is_complete and restored.faults)

    # --- restoring

    @acceptance("S201")
    def test_after_a_restore_no_number_comes_to_mean_another_message(self) -> None:
        self.something_of_everything()
        self.queue(b"Subject: waits\r\n\r\n")
        mail = self.store.account_mail(self.ann.account_id)
        before = fired(mail.mailbox("INBOX"))
        rows = fired(mail.select("INBOX", True)).rows
        self.back_up()
        self.append("INBOX", 3)  # what clients have seen of these must not be taken for what comes later
        seen = fired(mail.mailbox("INBOX"))
        url, result = self.restore(exact=False)
        self.assertTrue(result.is_complete)
        restored = self.open_store(url)
        mail = restored.account_mail(self.ann.account_id)
        after = fired(mail.mailbox("INBOX"))
        self.assertEqual(after.uid_validity, before.uid_validity)
        self.assertEqual(after.uid_next, before.uid_next + UID_GAP)
        self.assertGreater(after.uid_next, seen.uid_next)
        self.assertGreater(after.highest_modseq, seen.highest_modseq)
        self.assertGreaterEqual(after.highest_modseq, MODSEQ_GAP)
        self.assertEqual([row[:3] for row in fired(mail.select("INBOX", True)).rows], [row[:3] for row in rows])
        changes = fired(mail.mailbox_changes(after.mailbox_id, seen.highest_modseq))
        self.assertEqual([row[0] for row in changes.changed], [row[0] for row in rows])
        self.assertFalse(changes.is_complete)
        self.assertFalse(fired(mail.account_changes(seen.highest_modseq)).is_complete)
        self.assertTrue(fired(mail.account_changes(after.highest_modseq)).is_complete)
        self.assertTrue(all(entry.held for entry in fired(restored.queue.entries())))
        self.assertEqual(fired(restored.maintenance.verify(True)), [])

    def test_a_restore_that_was_cut_off_goes_on(self) -> None:
        self.something_of_everything()
        self.append("INBOX", 30)
        self.back_up()
        url = self.url(self.target_kind)
        for phase in ("contents", "messages", "expunged", "verify accounts"):
            with self.assertRaises(CutOffError):
                self.restore("", Hook(phase, cut_off), url=url)
            with self.assertRaisesRegex(MailError, "not whole yet"):
                self.open_store(url)
        _, result = self.restore(url=url)
        self.assertEqual((result.resumed, result.is_complete, result.rows), (True, True, 0))
        self.assertEqual(self.digests(url), self.digests(self.source_url))

    def test_a_store_with_mail_in_it_is_not_overwritten(self) -> None:
        self.back_up()
        with self.assertRaisesRegex(ConfigError, "not empty"):
            self.restore(url=self.source_url)

    def test_a_set_of_an_older_schema_is_brought_up_to_date(self) -> None:
        self.source_url = self.url(self.source_kind)
        with self.session(self.source_url, writable=True) as session:
            session.write("make", functools.partial(migrate_txn, engine=session.engine, now=5.0, upto=1))
            session.write("fill", lambda txn: txn.insert("domains", "name", [("example.org",)]))
        self.back_up()
        url, result = self.restore()
        self.assertTrue(result.is_complete)
        self.assertEqual([domain.name for domain in fired(self.open_store(url).directory.domains())], ["example.org"])

    # --- mail of one account

    def restore_mail(
        self,
        login_name: str = "ann@example.org",
        mailbox: str | None = None,
        to: str | None = None,
        dry_run: bool = False,
    ) -> tuple[dict[str, int], int]:
        """Messages that came back, by mailbox, and how many were there."""
        done = fired(self.store.maintenance.restore_mail(self.backup.path, None, login_name, mailbox, to, dry_run))
        return done.messages, done.there

    def texts(self, mailbox: str, login_name: str = "ann@example.org") -> list[bytes]:
        account = fired(self.store.directory.account(login_name))
        mail = self.store.account_mail(account.account_id)
        mailbox_id = fired(mail.mailbox(mailbox)).mailbox_id
        rows = fired(mail.select(mailbox, True)).rows
        return sorted(fired(mail.read_octets(mailbox_id, row[0], 0, 1 << 30)) for row in rows)

    def lose(self, mailbox: str, *, swept: bool) -> None:
        mail = self.store.account_mail(self.ann.account_id)
        fired(mail.remove_messages(fired(mail.mailbox(mailbox)).mailbox_id, ALL_UIDS))
        if swept:
            fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))

    @acceptance("S201")
    def test_lost_messages_come_back_and_the_others_are_not_doubled(self) -> None:
        self.something_of_everything()
        texts = {name: self.texts(name) for name in ("INBOX", "Archive")}
        self.back_up()
        for swept in (False, True):
            self.lose("Archive", swept=swept)
            self.append("INBOX", 1)
            there = len(texts["INBOX"])
            planned = self.restore_mail(dry_run=True)
            self.assertEqual(self.texts("Archive"), [])
            self.assertEqual(self.restore_mail(), planned)
            self.assertEqual(planned[0], {"Archive": len(texts["Archive"])})
            self.assertGreaterEqual(planned[1], there)
            self.assertEqual(self.texts("Archive"), texts["Archive"])
            self.assertEqual(self.restore_mail()[0], {})
            self.assertEqual(fired(self.store.maintenance.restore_expunged(self.ann.account_id, 0.0, "Archive")), 0)
            self.assertEqual(fired(self.store.maintenance.verify(True)), [])

    def test_one_mailbox_comes_back_into_another_account(self) -> None:
        self.something_of_everything()
        self.back_up()
        texts = self.texts("Archive")
        make_account(self.store, "carol@example.org")
        self.lose("INBOX", swept=True)
        self.assertEqual(self.restore_mail(mailbox="Archive", to="carol@example.org"), ({"Archive": len(texts)}, 0))
        self.assertEqual(self.texts("Archive", "carol@example.org"), texts)
        self.assertEqual(self.texts("INBOX"), [])
        self.assertEqual(fired(self.store.maintenance.verify(True)), [])

    def test_sessions_hear_of_a_mailbox_that_comes_back(self) -> None:
        self.something_of_everything()
        self.back_up()
        carol = make_account(self.store, "carol@example.org")
        since = fired(self.store.modseqs([carol.account_id]))[carol.account_id]
        name = "Gr\u00fc\u00dfe/\u4e2d\U0001f600"
        self.restore_mail(mailbox=name, to="carol@example.org")
        told = fired(self.store.account_mail(carol.account_id).account_changes(since))
        self.assertIn((name, True), [(one.mailbox.name, one.is_new) for one in told.mailboxes])
        self.assertEqual(told.subscriptions, {name: True})
        self.assertIn(name, [mailbox.name for mailbox in told.messages_in])

    def test_a_removed_account_and_its_mailboxes_are_made_again(self) -> None:
        self.something_of_everything()
        texts = {name: self.texts(name) for name in ("INBOX", "Archive", "Gr\u00fc\u00dfe/\u4e2d\U0001f600")}
        quota = Quota(storage=10**6, folders={"\\Trash": FolderRule(counted=False)})
        total = DomainQuota(total=Limits(storage=10**7))
        fired(self.store.directory.change_account_quota("ann@example.org", lambda _: quota))
        fired(self.store.directory.change_domain_quota("example.org", lambda _: total))
        self.back_up()
        fired(self.store.directory.set_password_hash(self.ann.account_id, "lost"))
        fired(self.store.directory.remove_account("ann@example.org"))
        fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))
        self.restore_mail()
        self.assertEqual({name: self.texts(name) for name in texts}, texts)
        self.assertNotEqual(fired(self.store.directory.credentials("ann@example.org")).password_hash, "lost")
        self.assertEqual(fired(self.store.directory.account("ann@example.org")).quota, quota)
        self.assertEqual(fired(self.store.maintenance.verify(True)), [])

    def test_what_the_set_does_not_have_is_an_error(self) -> None:
        self.back_up()
        for words, name, mailbox, to in (
            ("No account", "nobody@example.org", None, None),
            ("No mailbox", "ann@example.org", "Nowhere", None),
            ("No account", "ann@example.org", None, "nobody@example.org"),
        ):
            with self.assertRaisesRegex(MailError, words):
                self.restore_mail(name, mailbox, to)

    def test_mail_of_another_store_s_backup_comes_in_beside_what_is_there(self) -> None:
        self.something_of_everything()
        texts = self.texts("Archive")
        self.back_up()
        self.clock.rightNow -= 1.0  # so that content ids of both stores are alike
        self.store = self.open_store(self.url(self.source_kind))
        self.ann = make_account(self.store)
        self.append("INBOX", 30)
        inbox = self.texts("INBOX")
        self.restore_mail(mailbox="Archive")
        self.assertEqual((self.texts("Archive"), self.texts("INBOX")), (texts, inbox))
        self.assertEqual(fired(self.store.maintenance.verify(True)), [])


class BackupOfSqliteTests(BackupContract):
    pass


class BackupOfPostgresTests(BackupContract):
    source_kind = "postgres"
    target_kind = "postgres"


del BackupContract
