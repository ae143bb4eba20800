"""Mailboxes opened again."""

from array import array

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.imap.flags import flag_state
from pymailsuite.imap.snapshots import Snapshot, SnapshotKey, Snapshots
from pymailsuite.values import AccountId, MailboxId, ModSeq
from tests.imap.conversation import Server
from tests.support.imap import VOCABULARY


def snapshot(messages: int) -> Snapshot:
    """One of that many messages."""
    uids = array("I", range(1, messages + 1))
    states = [flag_state(0, "")] * messages
    return Snapshot(MailboxId(1), 1, ModSeq(5), uids, states, array("Q", uids), frozenset())


class Keeping(SynchronousTestCase):
    """What is kept, and for how long."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.snapshots = Snapshots(self.clock, 1000)

    def key(self, name: str) -> SnapshotKey:
        """Of a mailbox of the one user."""
        return AccountId(1), AccountId(1), name

    def test_those_used_last_are_kept(self) -> None:
        for name in ("a", "b"):
            self.snapshots.keep(self.key(name), snapshot(400))
        self.assertIsNotNone(self.snapshots.find(self.key("a")))
        self.snapshots.keep(self.key("c"), snapshot(400))
        found = [name for name in "abc" if self.snapshots.find(self.key(name))]
        self.assertEqual(found, ["a", "c"])

    def test_one_replaces_the_one_before(self) -> None:
        for _ in range(5):
            self.snapshots.keep(self.key("a"), snapshot(600))
        self.assertIsNotNone(self.snapshots.find(self.key("a")))

    def test_small_ones_huge_ones_and_old_ones_are_not_kept(self) -> None:
        self.snapshots.keep(self.key("small"), snapshot(10))
        self.snapshots.keep(self.key("huge"), snapshot(1001))
        self.snapshots.keep(self.key("old"), snapshot(500))
        found = [name for name in ("small", "huge", "old") if self.snapshots.find(self.key(name))]
        self.assertEqual(found, ["old"])
        self.clock.advance(3600)
        self.assertIsNone(self.snapshots.find(self.key("old")))


class Reopening(SynchronousTestCase):
    """A session that starts from what another left behind sees what one without would see."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.deliver(*range(1, 301))
        self.first = self.server.connect().login()
        self.first.command("SELECT INBOX")
        self.first.command("STORE 7 FLAGS ($seven)")
        self.other = self.server.connect().login()

    def _agree(self, command: str) -> None:
        """The same said with a snapshot and without one."""
        account_id = self.server.account.account_id
        self.assertIsNotNone(self.server.factory.shared.snapshots.find((account_id, account_id, "INBOX")))
        again = self.other.command(command)
        listed = self.other.command("FETCH 1:* (UID FLAGS)")
        fresh = Server.__new__(Server)
        fresh.__dict__.update(self.server.__dict__)
        factory = type(self.server.factory)
        fresh.factory = factory(
            self.server.settings,
            "x",
            self.server.portal,
            self.server.store.notices,
            self.server.store,
            VOCABULARY,
            None,
            self.server.clock,
        )
        plain = fresh.connect().login()
        # HIGHESTMODSEQ may be any between the mailbox's own and the account's.
        without = [line for line in plain.command(command.replace("SELECT", "EXAMINE")) if "*" in line]
        self.assertEqual(_bare(again), _bare(without))
        self.assertEqual(
            [line.replace(" \\Recent", "").replace("\\Recent", "") for line in listed],
            plain.command("FETCH 1:* (UID FLAGS)"),
        )

    def test_unchanged(self) -> None:
        self.first.command("UNSELECT")
        self._agree("SELECT INBOX")

    def test_after_changes_of_every_kind(self) -> None:
        self.first.command("CLOSE")
        third = self.server.connect().login()
        third.command("SELECT Trash")
        self.server.deliver(1000)
        changer = self.server.connect().login()
        changer.command("SELECT INBOX")
        changer.command("STORE 1:5 +FLAGS (\\Seen)")
        changer.command("UID MOVE 3,10:20 Archive")
        changer.command("STORE 2 +FLAGS ($new)")
        changer.close()
        self.server.deliver(1001)
        self._agree("SELECT INBOX")

    def test_a_mailbox_of_the_same_name_is_another(self) -> None:
        self.first.command("UNSELECT")
        self.first.command("RENAME INBOX saved")
        self.assertIn("* 0 EXISTS", self.other.command("SELECT INBOX"))

    def test_recent_is_claimed_all_the_same(self) -> None:
        self.first.command("UNSELECT")
        self.server.deliver(1000)
        self.assertIn("* 1 RECENT", self.other.command("SELECT INBOX"))
        self.assertIn("* 0 RECENT", self.first.command("SELECT INBOX"))

    def test_a_view_that_owes_expunges_leaves_nothing_behind(self) -> None:
        self.other.command("SELECT INBOX")
        self.other.command("UID MOVE 1 Trash")
        self.first.command("FETCH 1 FLAGS")
        self.first.command("UNSELECT")
        self.assertIn("* 299 EXISTS", self.first.command("SELECT INBOX"))


def _bare(lines: list[str]) -> list[str]:
    return [
        line for line in lines if line.startswith(("* FLAGS", "* OK [UID", "* OK [UNSEEN")) or line.endswith("EXISTS")
    ]
