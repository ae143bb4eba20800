"""Whole stores copied from one database to another."""

from __future__ import annotations

import functools

from pymailsuite.errors import ConfigError, MailError
from pymailsuite.store.migrate import migrate_txn
from pymailsuite.store.moving.copying import CopyResult, copy_store
from pymailsuite.store.moving.progress import NoProgress, Progress
from pymailsuite.store.tables import declared_tables
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import ALL_UIDS
from tests.acceptance import acceptance
from tests.store.moving import CutOffError, Hook, MovingCase, cut_off
from tests.support.stores import fired


class CopyContract(MovingCase):
    def setUp(self) -> None:
        super().setUp()
        self.target_url = self.url(self.target_kind)

    def copy(self, progress: Progress | None = None, *, deep: bool = True, to: str = "") -> CopyResult:
        with (
            self.session(self.source_url, writable=False) as source,
            self.session(to or self.target_url, writable=True) as target,
        ):
            return copy_store(source, target, progress or NoProgress(), now=1.0, deep=deep)

    def close_source(self) -> None:
        """As a server that stops does."""
        fired(self.store.close())

    def assert_is_copy(self) -> None:
        self.assertEqual(self.digests(self.target_url), self.digests(self.source_url))

    @acceptance("S201")
    def test_everything_arrives_as_it_was(self) -> None:
        self.something_of_everything()
        numbers = fired(self.store.account_mail(self.ann.account_id).mailboxes())
        self.close_source()
        result = self.copy()
        self.assertEqual((result.is_current, result.faults, result.source_faults), (True, [], []))
        self.assert_is_copy()
        self.assertTrue(all(self.digests(self.source_url)[name].rows for name in ("messages", "expunged", "aliases")))
        moved = self.open_store(self.target_url)
        self.assertEqual(fired(moved.maintenance.verify(True)), [])
        self.assertEqual(fired(moved.account_mail(self.ann.account_id).mailboxes()), numbers)

    def test_what_was_cut_off_goes_on_where_it_was(self) -> None:
        self.something_of_everything()
        self.append("INBOX", 30)
        self.close_source()
        everything = self.copy(to=self.url(self.target_kind))
        written = 0
        for phase, steps in (
            ("messages", 1),
            ("contents", 0),
            ("messages", 0),
            ("expunged", 0),
            ("verify messages", 0),
        ):
            with self.assertRaises(CutOffError):
                self.copy(Hook(phase, cut_off, steps))
            half = self.open_fails()
            self.assertIn("not whole yet", str(half))
        result = self.copy()
        self.assertTrue(result.resumed and result.is_current)
        written += result.rows
        self.assertEqual(written, 0)
        self.assertGreater(everything.rows, 80)
        self.assert_is_copy()

    def open_fails(self) -> Exception:
        with self.assertRaises(MailError) as caught:
            self.open_store(self.target_url)
        return caught.exception

    def test_what_changes_meanwhile_is_never_half_there(self) -> None:
        self.something_of_everything()

        def change() -> None:
            mail = self.store.account_mail(self.ann.account_id)
            fired(mail.remove_messages(fired(mail.mailbox("INBOX")).mailbox_id, ALL_UIDS))
            self.append("Sent", 3)

        before = self.digests(self.source_url)
        result = self.copy(Hook("subscriptions", change))
        self.assertEqual((result.is_current, result.faults), (False, []))
        copied = self.digests(self.target_url)
        self.assertEqual({name: copied[name] for name in before}, before)
        self.open_fails()
        self.close_source()
        result = self.copy()
        self.assertTrue(result.is_current)
        self.assertLess(result.rows, 40)
        self.assert_is_copy()

    def test_octets_that_come_and_go_during_the_first_pass_are_dealt_with(self) -> None:
        self.something_of_everything()

        def change() -> None:
            self.append("Sent", 2)
            fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))

        self.assertEqual(self.copy(Hook("messages", change, 1)).faults, [])
        self.assert_is_copy()

    def test_a_source_in_use_makes_no_finished_copy(self) -> None:
        self.clock.advance(1e9)  # its claim on a node number lasts
        self.store = self.open_store(self.source_url)
        self.assertFalse(self.copy().is_current)

    def test_a_copy_that_is_finished_is_left_alone(self) -> None:
        self.something_of_everything()
        self.close_source()
        self.assertTrue(self.copy().is_current)
        again = self.copy()
        self.assertEqual((again.is_current, again.resumed, again.rows, again.octets), (True, True, 0, 0))
        self.assert_is_copy()

    def test_a_finished_copy_that_has_a_life_of_its_own_is_refused(self) -> None:
        self.something_of_everything()
        self.close_source()
        self.assertTrue(self.copy().is_current)
        moved = self.open_store(self.target_url)
        fired(moved.account_mail(self.ann.account_id).create_mailbox("Later", None))
        fired(moved.close())
        with self.assertRaisesRegex(ConfigError, "one of the two has changed since"):
            self.copy()

    def test_a_target_with_mail_in_it_is_refused(self) -> None:
        self.close_source()
        self.assertTrue(self.copy().is_current)
        self.source_url = self.url(self.source_kind)
        self.clock.advance(1)
        fired(self.open_store(self.source_url).close())
        with self.assertRaisesRegex(ConfigError, "not empty: .*accounts"):
            self.copy()

    def test_a_half_made_copy_of_another_store_is_refused(self) -> None:
        with self.assertRaises(CutOffError):
            self.copy(Hook("contents", cut_off))
        self.source_url = self.url(self.source_kind)
        self.clock.advance(1)
        self.open_store(self.source_url)
        with self.assertRaisesRegex(ConfigError, "half made from something else"):
            self.copy()

    def test_damage_in_the_source_is_told_and_copied_as_it_is(self) -> None:
        self.something_of_everything()

        def damage_txn(txn: Transaction) -> None:
            txn.execute(
                "UPDATE content_chunks SET octets = ? WHERE position = 0 AND length(octets) > 2000", (b"?" * 9,)
            )

        fired(self.store.database.run("damage", damage_txn))
        self.close_source()
        with self.assertRaises(CutOffError):
            self.copy(Hook("subscriptions", cut_off))
        result = self.copy()
        self.assertEqual((result.is_current, result.faults), (True, []))
        self.assertTrue(any("do not match their digest" in fault for fault in result.source_faults))

    def test_a_store_of_an_older_schema_is_brought_up_to_date_by_being_copied(self) -> None:
        old = self.source_url = self.url(self.source_kind)
        with self.session(old, writable=True) as session:
            session.write("make", functools.partial(migrate_txn, engine=session.engine, now=5.0, upto=1))
            session.write("fill", lambda txn: txn.insert("domains", "name", [("example.org",)]))
        self.assertTrue(self.copy().is_current)
        moved = self.open_store(self.target_url)
        self.assertEqual([domain.name for domain in fired(moved.directory.domains())], ["example.org"])
        self.assertEqual(self.digests(self.target_url).keys(), self.digests(self.target_url).keys() & declared_tables())


class SqliteToSqliteTests(CopyContract):
    def test_a_source_that_is_not_there_is_not_made(self) -> None:
        self.source_url = self.url("sqlite")
        with self.assertRaisesRegex(ConfigError, "no store at"):
            self.copy()
        self.assertEqual(len(list(self.folder.glob("3.sqlite*"))), 0)


class SqliteToPostgresTests(CopyContract):
    target_kind = "postgres"


class PostgresToSqliteTests(CopyContract):
    source_kind = "postgres"


del CopyContract
