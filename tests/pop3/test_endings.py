"""Sessions that end: because the login has, and because the client takes too long."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.pop3.support import ALICE, World

MESSAGE = b"Subject: one\r\n\r\nOne.\r\n"
LAST_WORDS = b"-ERR [AUTH] Your login has ended: log in again\r\n"


class LoginEndsTests(SynchronousTestCase):
    """The password was set, or the account disabled or removed."""

    def setUp(self):
        self.world = World(MESSAGE)
        self.client = self.world.logged_in()

    def end_logins(self):
        self.world.portal.realm.end_logins(ALICE)
        return self.client.output()

    def test_it_is_told_and_nothing_that_was_marked_goes(self):
        self.client.say("DELE 1")
        self.assertEqual(self.end_logins(), LAST_WORDS)
        self.assertTrue(self.client.ended())
        self.client.lose()
        self.assertEqual(self.world.mailbox.messages, 1)
        self.assertIn(b"+OK", self.world.logged_in().say("STAT"))

    def test_the_answer_under_way_comes_first_and_nothing_after_it_is_done(self):
        maildrop = self.client.protocol._maildrop
        waiting = Deferred()
        self.patch(maildrop, "message", lambda index: waiting)
        self.client.say("RETR 1", "DELE 1", "QUIT")
        self.assertEqual(self.end_logins(), b"")
        waiting.callback(MESSAGE)
        said = self.client.output()
        self.assertTrue(said.endswith(b"One.\r\n.\r\n" + LAST_WORDS), said)
        self.client.lose()
        self.assertEqual(self.world.mailbox.messages, 1)

    def test_what_takes_long_is_cut_off(self):
        self.patch(self.client.protocol._maildrop, "message", lambda index: Deferred())
        self.client.say("RETR 1")
        self.end_logins()
        self.world.clock.advance(2)
        self.assertTrue(self.client.transport.aborted)


class DeadlineTests(SynchronousTestCase):
    """No octet and no command now and then holds a connection."""

    def hold(self, client, line, every_s):
        """Say a line again and again; how long that went well."""
        spent = 0
        while spent < 5000 and not client.ended():
            client.receive(line)
            client.world.clock.advance(every_s)
            spent += every_s
        return spent

    def test_logging_in_has_its_time_whatever_is_said_meanwhile(self):
        for line in (b"CAPA\r\n", b"x"):
            self.assertEqual(self.hold(World(login_timeout=100).connect(), line, 10), 100)

    def test_stls_begins_that_time_anew_once(self):
        client = World(login_timeout=100).connect()
        client.world.clock.advance(90)
        client.say("STLS")
        self.assertEqual(self.hold(client, b"CAPA\r\n", 10), 100)

    def test_whoever_has_logged_in_has_as_long_as_he_likes(self):
        world = World(login_timeout=100)
        self.assertEqual(self.hold(world.logged_in(), b"NOOP\r\n", 10), 5000)

    def test_a_command_that_is_dripped_in_has_no_more_time_than_one_that_does_not_come(self):
        world = World(autologout=600)
        self.assertEqual(self.hold(world.logged_in(), b"x", 10), 600)
