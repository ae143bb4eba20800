"""Conversations that end: because the login has, and because the peer takes too long."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.errors import LoginEnded
from tests.smtp.conversations import Server

LOGIN = "AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ="
ALICE = "alice@mail.example"
ENVELOPE = (f"MAIL FROM:<{ALICE}>", "RCPT TO:<bob@mail.example>", "DATA")
LAST_WORDS = "421 4.7.0 mail.example Your login has ended: log in again\r\n"


class LoginEndsTests(SynchronousTestCase):
    """The password was set, or the account disabled or removed."""

    def setUp(self):
        self.server = Server(SubmissionSettings())
        self.client = self.server.connect(secure=True)
        self.client.say("EHLO client.example", LOGIN)

    def end_logins(self):
        self.server.portal.realm.end_logins(ALICE)
        return self.client.output().decode()

    def test_a_client_that_says_nothing_is_told(self):
        self.assertEqual(self.end_logins(), LAST_WORDS)
        self.assertTrue(self.client.ended())

    def test_a_message_under_way_comes_to_nothing(self):
        self.client.say(*ENVELOPE, "Subject: half")
        self.assertEqual(self.end_logins(), LAST_WORDS)
        self.client.receive(b"\r\ntext\r\n.\r\n")
        (message,) = self.server.intake.messages
        self.assertTrue(message.aborted)
        self.assertEqual(self.server.intake.committed, [])

    def test_the_answer_under_way_comes_first_and_nothing_after_it_is_done(self):
        waiting = Deferred()
        self.patch(self.server.resolver, "resolve", lambda address: waiting)
        self.client.say(*ENVELOPE, "text", ".")
        self.assertEqual(self.end_logins(), "")
        waiting.callback(())
        said = self.client.output().decode()
        self.assertEqual((said.count("\r\n"), said[-len(LAST_WORDS) :]), (2, LAST_WORDS))
        self.assertEqual(self.server.intake.messages, [])

    def test_what_takes_long_is_cut_off(self):
        self.patch(self.server.resolver, "resolve", lambda address: Deferred())
        self.client.say(*ENVELOPE)
        self.end_logins()
        self.server.clock.advance(2)
        self.assertTrue(self.client.transport.aborted)

    def test_a_message_that_the_store_does_not_take_for_it_ends_the_connection(self):
        self.server.intake.commit_answers.append(LoginEnded())
        said = self.client.say(*ENVELOPE, "text", ".", "NOOP")
        self.assertEqual(said.splitlines()[-1], "421 4.7.0 Your login has ended: log in again")
        self.assertTrue(self.client.ended())

    def test_the_intake_is_told_what_the_login_was_granted(self):
        self.client.say(*ENVELOPE, "text", ".")
        account = self.server.intake.committed[0].peer
        self.assertEqual((account.login, account.grant.epoch), (ALICE, 0))


class DeadlineTests(SynchronousTestCase):
    """No command now and then holds a connection that brings no mail."""

    def hold(self, server, client, *lines):
        """Say the same every 20 seconds; how long that went well."""
        spent = 0
        while spent < 5000 and not client.ended():
            client.say(*lines)
            server.clock.advance(20)
            spent += 20
        return spent

    def start(self):
        server = Server(SmtpMxSettings(conversation_timeout=600, max_transactions=1000))
        return server, server.connect()

    def test_a_conversation_without_mail_has_its_time(self):
        for lines in (["EHLO client.example"], ["HELO x", "MAIL FROM:<a@client.example>"]):
            server, client = self.start()
            self.assertEqual(self.hold(server, client, *lines), 600)
            self.assertIn(b"421 4.4.2", client.output())

    def test_each_message_begins_it_anew(self):
        server, client = self.start()
        client.say("EHLO client.example")
        message = ("MAIL FROM:<a@client.example>", "RCPT TO:<alice@mail.example>", "DATA", "text", ".")
        self.assertEqual(self.hold(server, client, *message), 5000)

    def test_whoever_waits_for_us_gets_the_answer_first(self):
        server, client = self.start()
        waiting = Deferred()
        client.say("EHLO client.example", "MAIL FROM:<a@client.example>")
        self.patch(server.resolver, "resolve", lambda address: waiting)
        client.say("RCPT TO:<alice@mail.example>")
        server.clock.advance(600)
        self.assertFalse(client.ended())
        waiting.callback(())
        self.assertEqual([line[:3] for line in client.output().splitlines()], [b"250", b"421"])
