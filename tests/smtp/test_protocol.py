"""The protocol of the SMTP server: answers that come late, peers that go early, and what is logged."""

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.errors import DnsFailure, Refusal, StorageFull, StoreUnavailable
from pymailsuite.interfaces import IIncomingMessage, IMessageIntake, IRecipientResolver, ISubmissionAvatar
from pymailsuite.smtp.protocol import SmtpProtocol
from pymailsuite.values import Address, BodyType, Envelope, Peer
from tests.acceptance import acceptance
from tests.smtp.conversations import HOST, Server
from tests.support.logs import captured_logs

GREETING = b"220 mail.example ESMTP ready\r\n"
ENVELOPE = ("MAIL FROM:<a@client.example>", "RCPT TO:<alice@mail.example>", "DATA")
LOGIN = "AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQBzZWNyZXQ="


def codes(output):
    """The codes of the replies, one for each."""
    return [line[:3] for line in output.splitlines() if line[3:4] == " "]


class SmtpProtocolTests(SynchronousTestCase):
    """SmtpProtocol with its factory."""

    def start(self, settings=None, **more):
        """A server and a connection to it, greeted; after EHLO."""
        self.server = Server(settings, **more)
        conversation = self.server.connect()
        conversation.say("EHLO client.example")
        return conversation

    def test_the_fakes_are_what_they_stand_for(self):
        conversation = self.start()
        verifyObject(IRecipientResolver, self.server.resolver)
        verifyObject(IMessageIntake, self.server.intake)
        conversation.say(*ENVELOPE)
        verifyObject(IIncomingMessage, self.server.intake.messages[0])

    @acceptance("S001")
    def test_the_greeting_is_there_at_once(self):
        self.assertEqual(Server().connect().output(), GREETING)

    @acceptance("S005")
    def test_the_version_is_told_only_by_setting(self):
        self.assertNotIn(b"pymailsuite", Server().connect().output())
        server = Server(SmtpMxSettings(show_version=True))
        self.assertRegex(server.connect().output(), rb"\A220 mail\.example ESMTP ready pymailsuite \S+\r\n\Z")

    @acceptance("S208")
    def test_replies_are_not_heaped_up_for_a_peer_that_does_not_read(self):
        conversation = self.start()
        conversation.protocol.pauseProducing()
        for _ in range(50):
            self.assertEqual(conversation.say("NOOP"), "")
        conversation.protocol.resumeProducing()
        self.assertEqual(conversation.output().count(b"250 "), 50)
        conversation.protocol.pauseProducing()
        conversation.say("NOOP")
        self.server.clock.advance(300)
        self.assertTrue(conversation.ended())

    @acceptance("S053")
    def test_the_message_passes_octet_for_octet(self):
        text = (
            bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" * 3 + b"\r\n".join([b"x" * 998] * 99)
        )
        conversation = self.start()
        conversation.say(*ENVELOPE)
        conversation.receive(text + b"\r\n.\r\n")
        self.assertEqual(self.server.intake.committed[0].octets, text + b"\r\n")

    @acceptance("S008", "S037")
    def test_the_intake_learns_who_sent_what_to_whom(self):
        conversation = self.start()
        mail = "MAIL FROM:<a@client.example> SIZE=5 BODY=8BITMIME SMTPUTF8"
        conversation.say(mail, *ENVELOPE[1:], "text", ".")
        message = self.server.intake.committed[0]
        alice = Address("alice", "mail.example")
        sender = Address("a", "client.example")
        parameters = {"SIZE": 5, "BODY": BodyType.EIGHTBITMIME, "SMTPUTF8": True}
        expected = Envelope(sender, (alice,), BodyType.EIGHTBITMIME, True, 5, parameters)
        self.assertEqual(message.envelope, expected)
        self.assertEqual(message.peer, Peer("192.0.2.7", 2525, helo="client.example", esmtp=True))
        [[(given, resolved)]] = self.server.intake.recipients
        self.assertEqual((given, resolved[0].account_id), (alice, 1))

    @acceptance("S049")
    def test_250_waits_for_the_commit_and_carries_the_queue_id(self):
        conversation = self.start()
        commit = Deferred()
        self.server.intake.commit_answers = [commit]
        self.assertEqual(codes(conversation.say(*ENVELOPE)), ["250", "250", "354"])
        self.assertEqual(conversation.say("text", ".", "NOOP"), "")
        commit.callback(self.server.intake.messages[0].queue_id)
        self.assertEqual(
            conversation.output(),
            b"250 2.0.0 000000000001 Message accepted for delivery\r\n250 2.0.0 Ok\r\n",
        )
        self.assertEqual(len(conversation.transport.writes), 4)

    @acceptance("S049")
    def test_what_is_accepted_is_logged_with_its_queue_id(self):
        with captured_logs() as events:
            self.start().say(*ENVELOPE, "text", ".")
        [accepted] = [event for event in events if event.get("event") == "smtp.accepted"]
        self.assertEqual(accepted["queue_id"], "000000000001")
        self.assertEqual(accepted["peer_ip"], "192.0.2.7")
        self.assertEqual(accepted["reverse_path"], "a@client.example")
        self.assertEqual((accepted["recipients"], accepted["size"], accepted["tls"]), (1, 6, ""))
        self.assertEqual(accepted["reply"], "250 2.0.0 000000000001 Message accepted for delivery")

    def test_what_is_refused_is_logged_with_the_reason(self):
        with captured_logs() as events:
            conversation = self.start()
            conversation.say("MAIL FROM:<>", "RCPT TO:<nobody@mail.example>", "RCPT TO:<alice@mail.example>", "DATA")
            self.server.intake.commit_answers = [StorageFull(cause="no inode left")]
            conversation.say("text", ".")
        by_name = {event.get("event"): event for event in events}
        self.assertEqual(by_name["smtp.recipient_refused"]["recipient"], "nobody@mail.example")
        self.assertEqual(by_name["smtp.refused"]["reply"], "452 4.3.1 Insufficient system storage")
        self.assertEqual(by_name["smtp.refused"]["reason"], "no inode left")

    def test_a_message_that_cannot_be_committed_is_answered_with_the_error(self):
        conversation = self.start()
        for error, answer in (
            (StorageFull(), "452 4.3.1 Insufficient system storage"),
            (StoreUnavailable(), "451 4.3.0 Mail store unavailable"),
            (Refusal("virus found"), "550 5.7.1 virus found"),
        ):
            self.server.intake.commit_answers = [error]
            output = conversation.say(*ENVELOPE, "text", ".", "NOOP")
            self.assertEqual(output.splitlines()[3:], [answer, "250 2.0.0 Ok"])

    def test_a_defect_is_answered_451_and_logged(self):
        conversation = self.start()
        self.server.intake.commit_answers = [KeyError("secret detail")]
        output = conversation.say(*ENVELOPE, "text", ".", "NOOP")
        self.assertEqual(output.splitlines()[3:], ["451 4.3.0 Internal error, try again later", "250 2.0.0 Ok"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_defect_within_a_turn_ends_the_connection_politely(self):
        conversation = self.start()
        self.server.resolver.resolve = None
        output = conversation.say(*ENVELOPE)
        self.assertEqual(output.splitlines()[-1], "421 4.3.0 mail.example Internal error, closing connection")
        self.assertTrue(conversation.ended())
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_an_intake_that_will_not_open_refuses_data(self):
        conversation = self.start()
        self.server.intake.open_error = StoreUnavailable()
        output = conversation.say(*ENVELOPE, "NOOP")
        self.assertEqual(codes(output), ["250", "250", "451", "250"])

    def test_a_recipient_that_cannot_be_looked_up_is_answered_451(self):
        conversation = self.start()
        self.server.resolver.errors["alice@mail.example"] = DnsFailure()
        output = conversation.say(*ENVELOPE[:2])
        self.assertEqual(output.splitlines()[1], "451 4.4.3 DNS look-up failed")

    def test_replies_keep_the_order_of_commands_while_answers_are_late(self):
        conversation = self.start()
        self.server.resolver.held = []
        self.assertEqual(codes(conversation.say(*ENVELOPE)), ["250"])
        self.assertEqual(conversation.say("text", ".", "QUIT"), "")
        self.server.resolver.release()
        self.assertEqual(codes(conversation.output().decode()), ["250", "354", "250", "221"])
        self.assertEqual(len(conversation.transport.writes), 4)
        self.assertTrue(conversation.ended())

    @acceptance("S208")
    def test_a_peer_that_does_not_wait_for_answers_is_made_to(self):
        conversation = self.start()
        self.server.resolver.held = []
        conversation.say(*ENVELOPE)
        for _ in range(6):
            conversation.receive(b"text\r\n" * 3000)
        self.assertEqual(conversation.transport.producerState, "paused")
        self.assertLess(len(conversation.protocol._receiver), 120_000)
        self.server.resolver.release()
        self.assertEqual(conversation.transport.producerState, "producing")
        conversation.say(".")
        self.assertEqual(len(self.server.intake.committed[0].octets), 6 * 18000)

    def test_text_waits_for_a_store_that_is_slow(self):
        conversation = self.start()
        conversation.say(*ENVELOPE)
        slow = Deferred()
        self.server.intake.write_answers = [slow]
        conversation.receive(b"one\r\n")
        conversation.receive(b"two\r\n.\r\n")
        self.assertEqual(self.server.intake.messages[0].octets, b"one")
        slow.callback(None)
        self.assertEqual(self.server.intake.committed[0].octets, b"one\r\ntwo\r\n")

    def test_a_chunk_that_cannot_be_stored_refuses_the_message_and_stays_in_step(self):
        conversation = self.start()
        conversation.say(*ENVELOPE)
        slow = Deferred()
        self.server.intake.write_answers = [slow]
        conversation.receive(b"one\r\n")
        slow.errback(StorageFull())
        self.assertEqual(conversation.say("two", ".", "NOOP").splitlines()[0], "452 4.3.1 Insufficient system storage")
        self.assertTrue(self.server.intake.messages[0].aborted)
        self.assertEqual(self.server.intake.committed, [])

    def test_a_peer_that_vanishes_before_the_end_leaves_nothing(self):
        conversation = self.start()
        conversation.say(*ENVELOPE, "text")
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.server.intake.messages[0].aborted)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_a_peer_that_vanishes_during_the_commit_leaves_the_message(self):
        conversation = self.start()
        commit = Deferred()
        self.server.intake.commit_answers = [commit]
        conversation.say(*ENVELOPE, "text", ".")
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        with captured_logs() as events:
            commit.callback(self.server.intake.messages[0].queue_id)
        self.assertFalse(self.server.intake.messages[0].aborted)
        self.assertIn("smtp.accepted", [event.get("event") for event in events])
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_a_half_closed_peer_still_gets_the_answer_it_is_owed(self):
        conversation = self.start()
        commit = Deferred()
        self.server.intake.commit_answers = [commit]
        conversation.say(*ENVELOPE, "text", ".")
        conversation.protocol.readConnectionLost()
        self.assertFalse(conversation.ended())
        commit.callback(self.server.intake.messages[0].queue_id)
        self.assertEqual(codes(conversation.output().decode()), ["250"])
        self.assertTrue(conversation.ended())

    def test_a_half_closed_peer_within_the_text_is_let_go(self):
        conversation = self.start()
        conversation.say(*ENVELOPE, "text")
        conversation.protocol.readConnectionLost()
        self.assertTrue(conversation.ended())
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.server.intake.messages[0].aborted)

    def test_silence_is_answered_421(self):
        conversation = self.start()
        self.server.clock.advance(299)
        self.assertEqual(conversation.output(), b"")
        self.server.clock.advance(2)
        self.assertEqual(conversation.output(), b"421 4.4.2 mail.example Timeout, closing connection\r\n")
        self.assertTrue(conversation.ended())

    def test_a_dripping_command_has_no_more_time_than_a_silent_peer(self):
        conversation = self.start()
        for octet in b"NOOP" * 20:
            self.server.clock.advance(5)
            if conversation.ended():
                break
            conversation.receive(bytes([octet]))
        self.assertTrue(conversation.ended())

    def test_a_dripping_message_ends_with_its_time(self):
        conversation = self.start(SmtpMxSettings(message_timeout=600))
        conversation.say(*ENVELOPE)
        for _ in range(11):
            self.server.clock.advance(60)
            conversation.receive(b"x")
        self.assertTrue(conversation.ended())
        self.assertTrue(self.server.intake.messages[0].aborted)

    def test_silence_within_the_text_has_its_own_limit(self):
        conversation = self.start()
        conversation.say(*ENVELOPE)
        self.server.clock.advance(179)
        self.assertFalse(conversation.ended())
        self.server.clock.advance(2)
        self.assertTrue(conversation.ended())

    def test_no_clock_runs_against_the_peer_while_we_work(self):
        conversation = self.start()
        commit = Deferred()
        self.server.intake.commit_answers = [commit]
        conversation.say(*ENVELOPE, "text", ".")
        self.server.clock.advance(1000)
        self.assertFalse(conversation.ended())
        commit.callback(self.server.intake.messages[0].queue_id)
        self.server.clock.advance(301)
        self.assertTrue(conversation.ended())

    @acceptance("S055")
    def test_many_messages_pass_on_one_connection_up_to_the_limit(self):
        conversation = self.start(SmtpMxSettings(max_transactions=50))
        for _ in range(50):
            self.assertEqual(codes(conversation.say(*ENVELOPE, "text", ".")), ["250", "250", "354", "250"])
        self.assertEqual(codes(conversation.say(ENVELOPE[0])), ["421"])
        self.assertTrue(conversation.ended())

    @acceptance("S006")
    def test_one_connection_too_many_is_told_to_come_back(self):
        server = Server(SmtpMxSettings(connections_per_address=1))
        server.connect()
        busy = server.connect()
        self.assertEqual(busy.output(), b"421 4.3.2 mail.example Service unavailable, too many connections\r\n")
        self.assertTrue(busy.ended())

    def test_a_server_that_stops_says_so_between_transactions(self):
        conversation = self.start()
        conversation.protocol.shut_down()
        self.assertEqual(conversation.output(), b"421 4.3.2 mail.example Service shutting down\r\n")
        self.assertTrue(conversation.ended())

    def test_a_server_that_stops_owes_an_answer_first(self):
        conversation = self.start()
        commit = Deferred()
        self.server.intake.commit_answers = [commit]
        conversation.say(*ENVELOPE, "text", ".")
        stopped = self.server.factory.shut_down()
        self.assertFalse(conversation.ended())
        commit.callback(self.server.intake.messages[0].queue_id)
        self.assertEqual(codes(conversation.output().decode()), ["250", "421"])
        self.assertTrue(conversation.ended())
        self.assertNoResult(stopped)
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)

    def test_a_server_that_stops_takes_the_message_that_is_coming_in(self):
        conversation = self.start()
        conversation.say(*ENVELOPE, "text")
        conversation.protocol.shut_down()
        self.assertEqual(codes(conversation.say("more", ".", "NOOP")), ["250", "250", "421"])

    # --- TLS and login

    @acceptance("S189")
    def test_commands_in_the_packet_of_starttls_are_never_executed(self):
        conversation = self.start()
        output = conversation.say("STARTTLS", *ENVELOPE, "text", ".", "QUIT")
        self.assertEqual(codes(output), ["220"])
        self.assertEqual(conversation.transport.tls_contexts, ["the context"])
        conversation.protocol.handshakeCompleted()
        self.assertEqual(codes(conversation.say("MAIL FROM:<a@client.example>")), ["503"])
        self.assertEqual(self.server.resolver.asked, [])

    def test_starttls_without_a_certificate_is_not_offered(self):
        conversation = self.start(tls=False)
        self.assertNotIn("STARTTLS", conversation.say("EHLO client.example"))
        self.assertEqual(codes(conversation.say("STARTTLS")), ["502"])

    @acceptance("S003")
    def test_implicit_tls_offers_login_and_no_starttls(self):
        server = Server(SubmissionSettings())
        conversation = server.connect(secure=True)
        conversation.output()
        offered = conversation.say("EHLO client.example")
        self.assertIn("AUTH PLAIN LOGIN", offered)
        self.assertNotIn("STARTTLS", offered)

    def login(self, settings=None):
        self.server = Server(settings or SubmissionSettings())
        conversation = self.server.connect(secure=True)
        conversation.output()
        conversation.say("EHLO client.example")
        return conversation

    def test_the_intake_learns_who_logged_in_and_how_safely(self):
        conversation = self.login()
        conversation.say(LOGIN, *ENVELOPE, "text", ".")
        peer = self.server.intake.committed[0].peer
        self.assertEqual((peer.login, peer.tls), ("alice@mail.example", "TLSv1.3 TLS_AES_256_GCM_SHA384"))

    def test_logging_out_comes_with_the_end_of_the_connection(self):
        conversation = self.login()
        conversation.say(LOGIN)
        self.assertEqual(self.server.portal.realm.logged_out, [])
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.server.portal.realm.logged_out, ["alice@mail.example"])

    def test_a_login_whose_client_has_gone_is_called_off(self):
        conversation = self.login()
        called_off = []
        self.patch(self.server.portal, "login", lambda *_: Deferred(called_off.append))
        conversation.say(LOGIN)
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(called_off), 1)

    def test_a_login_that_comes_too_late_is_logged_out_at_once(self):
        conversation = self.login()
        logged_out = []
        too_late = (ISubmissionAvatar, None, lambda: logged_out.append(True))
        self.patch(self.server.portal, "login", lambda *_: Deferred(lambda login: login.callback(too_late)))
        conversation.say(LOGIN)
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(logged_out, [True])

    def test_a_portal_that_fails_is_answered_454(self):
        conversation = self.login()
        for error, logged in ((StoreUnavailable(), 0), (KeyError("defect"), 1)):
            failing = Deferred()
            failing.errback(error)
            self.server.portal.login = lambda *_, failing=failing: failing
            self.assertEqual(conversation.say(LOGIN), "454 4.7.0 Temporary authentication failure\r\n")
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), logged)

    def test_a_peer_that_leaves_while_its_login_is_held_back_leaves_no_clock(self):
        conversation = self.login()
        conversation.say("AUTH PLAIN AGFsaWNlQG1haWwuZXhhbXBsZQB3cm9uZw==")
        conversation.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_no_password_is_ever_logged(self):
        with captured_logs() as events:
            self.login().say(LOGIN, "AUTH LOGIN", "c2VjcmV0")
        self.assertNotIn("secret", repr(events))
        self.assertNotIn("AGFsaWNl", repr(events))

    @acceptance("S196")
    def test_passwords_in_the_clear_need_the_setting_and_a_network_that_it_names(self):
        for setting, offered_to in ((True, "127.0.0.1"), (["192.0.2.0/24", "2001:db8::/32"], "192.0.2.7")):
            server = Server(SubmissionSettings(plaintext_login=setting))
            for ip in ("127.0.0.1", "192.0.2.7", "198.51.100.1"):
                conversation = server.connect(ip)
                conversation.output()
                self.assertEqual("AUTH" in conversation.say("EHLO client.example"), ip == offered_to)
        conversation = Server(SubmissionSettings()).connect("127.0.0.1")
        self.assertNotIn("AUTH", conversation.say("EHLO client.example"))

    @acceptance("S196")
    def test_a_warning_is_logged_where_passwords_may_pass_in_the_clear(self):
        with captured_logs() as events:
            Server(SubmissionSettings(plaintext_login=True))
        self.assertIn("smtp.plaintext_login_allowed", [event.get("event") for event in events])

    @acceptance("S235")
    def test_trusted_networks_are_those_of_the_setting(self):
        server = Server(SmtpMxSettings(trusted_networks=["198.51.100.0/24", "2001:db8::/32"]))
        for ip, code in (("198.51.100.9", "250"), ("2001:db8::5", "250"), ("127.0.0.1", "550"), ("192.0.2.7", "550")):
            conversation = server.connect(ip)
            conversation.output()
            output = conversation.say("HELO x", ENVELOPE[0], "RCPT TO:<b@elsewhere.example>")
            self.assertEqual(codes(output)[-1], code)

    def test_submission_trusts_no_network(self):
        conversation = Server(SubmissionSettings(), tls=False).connect("127.0.0.1")
        conversation.output()
        self.assertEqual(codes(conversation.say("HELO x", ENVELOPE[0])), ["250", "530"])

    def test_a_protocol_can_be_made_without_a_factory(self):
        server = Server()
        service = evolve(server.factory.service, hostname=HOST)
        protocol = SmtpProtocol(server.clock, service, server.resolver, server.intake)
        self.assertIsNone(protocol.factory)
