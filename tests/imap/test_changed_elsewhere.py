"""Another session changes the selected mailbox, or the mailbox itself: renamed, deleted, made again."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap import snapshots
from pymailsuite.values import FlagChange, Flags, SystemFlag, UidSet
from tests.acceptance import acceptance
from tests.imap.conversation import Server, message
from tests.support.stores import fired

DAY = 86400.0


class ChangedElsewhere(SynchronousTestCase):
    """Two sessions with one mailbox."""

    def setUp(self) -> None:
        self.server = Server()
        fired(self.server.mail.create_mailbox("work/one", None))
        self.server.deliver(1, 2, 3, mailbox="work/one")
        self.watching, self.other = (self.server.connect().login() for _ in range(2))
        for client in (self.other, self.watching):
            client.command('SELECT "work/one"')

    @acceptance("S087")
    def test_a_flag_is_told_with_the_next_command(self) -> None:
        self.other.command("STORE 2 +FLAGS (\\Flagged)")
        self.assertEqual(self.watching.command("NOOP"), ["* 2 FETCH (FLAGS (\\Flagged))", "x OK NOOP completed"])
        self.assertEqual(self.watching.command("NOOP"), ["x OK NOOP completed"])

    @acceptance("S087", "S120")
    def test_a_flag_is_told_in_idle_with_its_modseq(self) -> None:
        self.watching.command("ENABLE CONDSTORE")
        self.watching.send(b"i IDLE\r\n")
        lines = self.other.command("STORE 2 +FLAGS (\\Flagged)")
        self.other.clock.advance(0)
        modseq = fired(self.server.mail.mailbox("work/one")).highest_modseq  # type: ignore[attr-defined]
        self.assertEqual(lines[-1], "x OK STORE completed")
        self.assertEqual(self.watching.output(), b"* 2 FETCH (FLAGS (\\Flagged) MODSEQ (%d))\r\n" % modseq)

    def test_what_others_do_elsewhere_in_the_account_tells_nothing(self) -> None:
        self.watching.send(b"i IDLE\r\n")
        for line in ("CREATE a", "RENAME a b", "SUBSCRIBE b", "UNSUBSCRIBE b", "DELETE b"):
            self.assertIn(" OK ", self.other.command(line)[-1])
        self.assertEqual(self.watching.output(), b"")
        self.assertEqual(self.watching.send(b"DONE\r\n"), b"i OK IDLE completed\r\n")

    def test_a_renamed_mailbox_stays_selected_and_is_known_by_its_new_name(self) -> None:
        self.assertEqual(self.other.command("RENAME work play"), ["x OK RENAME completed"])
        self.other.command("STORE 1 +FLAGS (\\Seen)")
        self.assertEqual(self.watching.command("NOOP")[0], "* 1 FETCH (FLAGS (\\Seen))")
        # What the session puts there itself it hears of with the answer, though no notice may have come.
        self.server.factory.shared.notices = None  # type: ignore[assignment]
        octets = message(4)
        self.watching.send(b"x APPEND play/one {%d}\r\n" % len(octets))
        self.assertIn(b"* 4 EXISTS\r\n", self.watching.send(octets + b"\r\n"))

    def test_a_view_of_a_renamed_mailbox_serves_who_opens_it_by_the_new_name(self) -> None:
        self.patch(snapshots, "_WORTH_KEEPING", 1)
        self.other.command("RENAME work play")
        self.watching.command("NOOP")
        self.watching.command("UNSELECT")
        kept = self.server.factory.shared.snapshots
        account_id = self.server.account.account_id
        self.assertIsNone(kept.find((account_id, account_id, "work/one")))
        self.assertIsNotNone(kept.find((account_id, account_id, "play/one")))
        self.assertIn("* 3 EXISTS", self.watching.command("SELECT play/one"))

    def test_another_of_the_same_name_is_not_taken_for_it(self) -> None:
        self.other.command("UNSELECT")
        self.other.command("RENAME work/one play")
        self.other.command("CREATE work/one")
        self.server.deliver(7, mailbox="work/one")
        self.assertEqual(self.watching.command("NOOP"), ["x OK NOOP completed"])
        self.assertIn("* 1 EXISTS", self.other.command("SELECT work/one"))

    def test_one_deleted_and_made_again_ends_the_session(self) -> None:
        self.other.command("DELETE work/one")
        self.other.command("CREATE work/one")
        self.assertEqual(self.watching.command("NOOP")[0], "* BYE The selected mailbox was deleted")

    def test_what_the_store_forgot_is_found_by_comparing_all(self) -> None:
        mail: Any = self.server.mail
        box = fired(mail.mailbox("work/one")).mailbox_id  # type: ignore[attr-defined]
        # The watching session hears of none of it.
        session: Any = self.watching.protocol._session  # type: ignore[attr-defined]
        session._stop_notices()
        fired(mail.remove_messages(box, UidSet.of([1])))
        self.server.deliver(4, mailbox="work/one")
        fired(mail.store_flags(box, UidSet.of([3]), FlagChange.ADD, Flags(SystemFlag.FLAGGED), None))
        fired(self.server.store.maintenance.sweep(self.server.clock.seconds() + 200 * DAY))
        self.assertFalse(fired(mail.mailbox_changes(box, session.view.modseq)).is_complete)  # type: ignore[attr-defined]
        self.assertEqual(
            self.watching.command("NOOP"),
            [
                "* 1 EXPUNGE",
                "* 3 EXISTS",
                "* 1 RECENT",
                "* 2 FETCH (FLAGS (\\Flagged))",
                "x OK NOOP completed",
            ],
        )
        self.assertEqual(self.watching.command("NOOP"), ["x OK NOOP completed"])
