"""The lock of a maildrop, through the protocol."""

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import MaildropInUse, StorageFull, StoreUnavailable
from tests.acceptance import acceptance
from tests.pop3.support import MESSAGES, World, slow

_IN_USE = b"+OK send PASS\r\n-ERR [IN-USE] Maildrop already locked\r\n"
_LOGIN = ("USER alice@mail.example", "PASS wonderland")


class LockTests(SynchronousTestCase):
    def setUp(self):
        self.world = World(MESSAGES["one"])

    def second(self):
        """What a second session is told when it logs in."""
        conversation = self.world.connect()
        conversation.output()
        return conversation.say(*_LOGIN)

    @acceptance("S146")
    def test_second_session_is_refused_and_may_try_again(self):
        first = self.world.logged_in()
        second = self.world.connect()
        second.output()
        self.assertEqual(second.say(*_LOGIN), _IN_USE)
        first.say("QUIT")
        self.assertIn(b"+OK maildrop has 1 message", second.say(*_LOGIN))

    @acceptance("S146")
    def test_lost_connection_frees_the_maildrop_at_once(self):
        self.world.logged_in().lose()
        self.assertIn(b"+OK maildrop has", self.second())

    @acceptance("S146")
    def test_living_session_keeps_its_lock_for_ever(self):
        first = self.world.logged_in()
        for _ in range(20):
            self.world.clock.advance(29)
            first.say("NOOP")
            self.assertEqual(self.second(), _IN_USE)

    @acceptance("S146")
    def test_lock_of_a_process_that_died_ends_with_its_lease(self):
        first = self.world.logged_in()
        # A process that is gone renews nothing.
        first.protocol._maildrop._timer.cancel()
        self.world.clock.advance(89)
        self.assertEqual(self.second(), _IN_USE)
        self.world.clock.advance(1)
        self.assertIn(b"+OK maildrop has", self.second())

    def test_other_accounts_are_not_locked(self):
        self.world.logged_in()
        other = self.world.connect()
        self.assertIn(b"+OK maildrop has 0", other.say("USER bob@mail.example", "PASS builder"))

    def test_session_whose_lock_another_has_taken_ends_and_removes_nothing(self):
        mail = slow(self.world)
        first = self.world.logged_in()
        first.say("DELE 1")
        mail.failures["lock_maildrop"] = MaildropInUse()
        self.world.clock.advance(30)
        self.assertEqual(first.output(), b"-ERR [SYS/TEMP] lost the lock of the maildrop\r\n")
        self.assertTrue(first.ended())
        self.assertEqual(self.world.mailbox.messages, 1)

    def test_renewal_may_fail_for_as_long_as_the_lease_lasts(self):
        mail = slow(self.world)
        first = self.world.logged_in()
        mail.failures["lock_maildrop"] = StoreUnavailable()
        self.world.clock.pump([30, 30])
        self.assertFalse(first.ended())
        del mail.failures["lock_maildrop"]
        self.world.clock.pump([29])
        mail.failures["lock_maildrop"] = StoreUnavailable()
        self.world.clock.pump([30, 30, 30, 30])
        self.assertTrue(first.ended())

    def test_lock_lost_while_a_message_is_read_cuts_the_connection(self):
        mail = slow(self.world)
        first = self.world.logged_in()
        mail.held = True
        first.say("RETR 1")
        mail.failures["lock_maildrop"] = MaildropInUse()
        self.world.clock.advance(30)
        self.assertTrue(first.transport.aborted)

    def test_maildrop_that_cannot_be_read_is_unlocked_again(self):
        mail = slow(self.world)
        mail.failures["read_messages"] = StoreUnavailable()
        self.assertEqual(self.second(), b"+OK send PASS\r\n-ERR [SYS/TEMP] Mail store unavailable\r\n")
        del mail.failures["read_messages"]
        self.assertIn(b"+OK maildrop has", self.second())

    def test_connection_lost_while_logging_in_leaves_no_lock(self):
        mail = slow(self.world)
        mail.held = True
        first = self.world.connect()
        first.say(*_LOGIN)
        first.lose()
        mail.release()
        self.assertIn(b"+OK maildrop has", self.second())

    def test_every_login_is_logged_out(self):
        first = self.world.logged_in()
        first.say("QUIT")
        first.lose()
        self.world.logged_in().lose()
        self.assertEqual(len(self.world.portal.realm.logged_out), 2)

    def test_unlocking_that_fails_is_logged_and_harms_nobody(self):
        mail = slow(self.world)
        first = self.world.logged_in()
        mail.failures["unlock_maildrop"] = StoreUnavailable()
        self.assertIn(b"signing off (maildrop empty)", first.say("DELE 1", "QUIT"))


class UpdateTests(SynchronousTestCase):
    def setUp(self):
        self.world = World(MESSAGES["one"], MESSAGES["two"])
        self.mail = slow(self.world)
        self.session = self.world.logged_in()

    @acceptance("S139")
    def test_quit_is_answered_after_the_removal_is_done(self):
        self.session.say("DELE 2")
        self.mail.held = True
        self.assertEqual(self.session.say("QUIT"), b"")
        self.mail.release()
        self.assertEqual(self.session.output(), b"+OK mail.example POP3 server signing off (1 message left)\r\n")
        self.assertEqual(self.world.mailbox.messages, 1)

    def test_failed_removal_is_told_and_nothing_is_claimed(self):
        self.session.say("DELE 1")
        self.mail.failures["remove_messages"] = StorageFull()
        self.assertEqual(self.session.say("QUIT"), b"-ERR [SYS/TEMP] marked messages were not removed\r\n")
        self.assertTrue(self.session.ended())
        self.assertEqual(self.world.mailbox.messages, 2)
        # The lock has been given back all the same.
        self.assertIn(b"+OK maildrop has 2", self.world.connect().say("USER alice@mail.example", "PASS wonderland"))

    def test_connection_lost_after_quit_still_removes(self):
        self.session.say("DELE 1")
        self.mail.held = True
        self.session.say("QUIT")
        self.session.lose()
        self.mail.release()
        self.assertEqual(self.world.mailbox.messages, 1)
        self.assertIn(b"+OK maildrop has 1", self.world.connect().say("USER alice@mail.example", "PASS wonderland"))

    def test_quit_without_marks_writes_nothing(self):
        self.session.say("QUIT")
        self.assertNotIn("remove_messages", self.mail.asked)

    @acceptance("S145")
    def test_unique_ids_are_the_same_in_every_session(self):
        before = self.session.say("UIDL")
        self.session.say("QUIT")
        self.world.add(MESSAGES["dots"])
        after = self.world.logged_in().say("UIDL")
        self.assertTrue(after.replace(b"3 messages", b"2 messages").split(b"\r\n")[1:3] == before.split(b"\r\n")[1:3])
        self.assertEqual(after.count(b"\r\n"), 5)

    def test_login_delay_between_sessions(self):
        self.world.configure(login_delay=60)
        self.session.say("QUIT")
        self.world.logged_in().say("QUIT")
        soon = self.world.connect()
        self.assertIn(b"-ERR [LOGIN-DELAY] ", soon.say("USER alice@mail.example", "PASS wonderland"))
        self.world.clock.advance(60)
        self.assertIn(b"+OK maildrop has", soon.say("USER alice@mail.example", "PASS wonderland"))
