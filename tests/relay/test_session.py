"""The client's dialogue, without a network: what it says, what it makes of the replies."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.interfaces import RecipientState
from pymailsuite.relay.delivery_status import DeliveryStatus
from pymailsuite.relay.session import (
    ClientSession,
    Event,
    Finished,
    HostProblem,
    MessageEnvelope,
    Ready,
    Rules,
    SendContent,
    StartTls,
    Unusable,
    Wait,
)
from pymailsuite.values import Address
from tests.acceptance import acceptance

DELIVERED, DELAYED, FAILED = RecipientState.DELIVERED, RecipientState.DELAYED, RecipientState.FAILED
ALICE, BOB, CAROL = Address("alice", "a.example"), Address("bob", "b.example"), Address("carol", "b.example")
FULL = b"250-mx.b.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"


def envelope(*recipients: Address, size: int = 100, eight_bit: bool = False, utf8: bool = False) -> MessageEnvelope:
    return MessageEnvelope(ALICE, tuple(enumerate(recipients or (BOB,))), size, eight_bit, utf8)


class SessionTestCase(SynchronousTestCase):
    """``dialogue`` plays the server; octet by octet too, which must make no difference."""

    def start(self, rules: Rules | None = None) -> ClientSession:
        self.session = ClientSession(rules or Rules("us.example"))
        return self.session

    def events(self) -> list[Event]:
        found = []
        while (event := self.session.next_event()) is not None:
            found.append(event)
        return found

    def server(self, octets: bytes) -> bytes:
        for position in range(len(octets)):
            self.session.receive(octets[position : position + 1])
        return self.session.take_output()

    def ready(self, hello: bytes = FULL, rules: Rules | None = None) -> ClientSession:
        session = self.start(rules)
        self.assertEqual(self.server(b"220 mx.b.example ESMTP\r\n"), b"EHLO us.example\r\n")
        self.assertEqual(self.server(hello), b"")
        self.assertEqual(self.events(), [Ready()])
        self.assertTrue(session.idle)
        return session

    def begin(self, message: MessageEnvelope) -> bytes:
        self.session.begin(message)
        return self.session.take_output()

    def problem(self) -> HostProblem:
        (event,) = self.events()
        assert isinstance(event, Unusable), event
        return event.problem

    def finished(self) -> Finished:
        (event,) = self.events()
        assert isinstance(event, Finished), event
        return event


class OpeningTests(SessionTestCase):
    @acceptance("S006")
    def test_a_greeting_of_421_or_554_says_nothing_of_any_mail(self) -> None:
        for greeting, status in (
            (b"421 4.3.2 busy\r\n", "4.3.2"),
            (b"554 no SMTP service here\r\n", "4.3.2"),
            (b"554 5.7.1 go away\r\n", "4.3.2"),
            (b"450 4.7.1 later\r\n", "4.7.1"),
        ):
            self.start()
            self.assertEqual(self.server(greeting), b"")
            self.assertEqual(self.problem().status, status)
            self.assertFalse(self.session.idle)

    @acceptance("S017")
    def test_ehlo_refused_falls_back_to_helo_and_no_extension_is_used(self) -> None:
        self.start()
        self.server(b"220 old.example\r\n")
        self.assertEqual(self.server(b"502 what?\r\n"), b"HELO us.example\r\n")
        self.server(b"250-old.example\r\n250 SIZE 10\r\n")
        self.assertEqual(self.events(), [Ready()])
        self.assertEqual(self.session.extensions, {})
        self.assertEqual(self.begin(envelope()), b"MAIL FROM:<alice@a.example>\r\n")

    def test_helo_refused_too_is_a_problem_of_the_host(self) -> None:
        self.start()
        self.server(b"220 old.example\r\n502 what?\r\n502 what?\r\n")
        self.assertEqual(self.problem(), HostProblem("4.3.2", "502 what?"))

    def test_a_server_that_forgets_ehlo_over_tls_is_an_old_one_or_of_no_use(self) -> None:
        for reply in (b"250 old.example\r\n", b"502 what?\r\n"):
            self.start()
            self.server(b"220 x\r\n250-x\r\n250-8BITMIME\r\n250 STARTTLS\r\n")
            self.server(b"220 go\r\n")
            self.assertEqual(self.events(), [StartTls()])
            self.session.tls_started()
            self.assertEqual(self.session.take_output(), b"EHLO us.example\r\n")
            self.assertEqual(self.server(b"502 what?\r\n"), b"HELO us.example\r\n")
            self.server(reply)
            if reply.startswith(b"502"):
                self.assertEqual(self.problem(), HostProblem("4.3.2", "502 what?"))
                continue
            self.assertEqual(self.events(), [Ready()])
            self.begin(envelope(eight_bit=True))
            (unfit,) = self.finished().unfit.values()
            self.assertEqual((unfit.verdict.state, unfit.verdict.status), (RecipientState.DELAYED, "4.6.3"))
            self.assertTrue(unfit.takes_seven_bits)

    def test_what_is_no_reply_ends_the_session(self) -> None:
        for octets in (b"SSH-2.0-OpenSSH\r\n", b"220-a\r\n250 b\r\n", b"x" * 5000, b"220-a\r\n" * 300):
            self.start()
            self.server(octets)
            self.assertEqual(self.problem().status, "4.5.0")

    def test_a_reply_nobody_asked_for_ends_the_session(self) -> None:
        self.ready()
        self.server(b"421 4.4.2 idle for too long\r\n")
        self.assertEqual(self.problem(), HostProblem("4.4.2", "421 4.4.2 idle for too long"))

    def test_each_state_says_what_it_waits_for(self) -> None:
        session = self.start()
        seen = [session.waiting_for]
        for octets in (b"220 x\r\n", FULL):
            self.server(octets)
            seen.append(session.waiting_for)
        self.begin(envelope())
        seen.append(session.waiting_for)
        for octets in (b"250 ok\r\n250 ok\r\n", b"354 go\r\n"):
            self.server(octets)
            seen.append(session.waiting_for)
        session.content_sent()
        seen.append(session.waiting_for)
        self.server(b"250 ok\r\n")
        session.quit()
        seen.append(session.waiting_for)
        self.assertEqual(
            seen,
            [Wait.GREETING, Wait.COMMAND, Wait.IDLE, Wait.COMMAND, Wait.DATA, Wait.BLOCK, Wait.FINAL, Wait.QUIT],
        )


class StartTlsTests(SessionTestCase):
    OFFER = b"250-mx\r\n250-SIZE 77\r\n250 STARTTLS\r\n"

    def test_tls_is_begun_where_offered_and_nothing_from_before_survives(self) -> None:
        session = self.start()
        self.server(b"220 mx\r\n")
        self.assertEqual(self.server(self.OFFER), b"STARTTLS\r\n")
        session.receive(b"220 go\r\n250 injected\r\n250 injected\r\n")
        self.assertEqual(self.events(), [StartTls()])
        self.assertEqual(session.drop_unread(), 28)
        session.tls_started()
        self.assertEqual(session.take_output(), b"EHLO us.example\r\n")
        self.assertEqual(session.extensions, {})
        self.server(b"250-mx\r\n250 STARTTLS\r\n")
        self.assertEqual(self.events(), [Ready()])

    def test_a_refused_starttls_goes_on_without(self) -> None:
        self.start()
        self.server(b"220 mx\r\n" + self.OFFER + b"454 4.7.0 not now\r\n")
        self.assertEqual(self.events(), [Ready()])

    def test_required_tls_that_is_not_to_be_had_is_a_problem_of_the_host(self) -> None:
        for replies in (FULL, self.OFFER + b"454 4.7.0 not now\r\n"):
            self.start(Rules("us.example", require_tls=True))
            self.server(b"220 mx\r\n" + replies)
            self.assertEqual(self.problem().status[:3], "4.7")

    def test_tls_can_be_switched_off(self) -> None:
        self.ready(self.OFFER, Rules("us.example", starttls=False))


class LoginTests(SessionTestCase):
    RULES = Rules("us.example", login="me", password="secret")

    def secured(self, offer: bytes) -> bytes:
        self.start(self.RULES)
        self.server(b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n")
        self.events()
        self.session.tls_started()
        self.session.take_output()
        return self.server(b"250-mx\r\n250 " + offer + b"\r\n")

    def test_plain_goes_in_one_command(self) -> None:
        self.assertEqual(self.secured(b"AUTH LOGIN PLAIN"), b"AUTH PLAIN AG1lAHNlY3JldA==\r\n")
        self.server(b"235 2.7.0 ok\r\n")
        self.assertEqual(self.events(), [Ready()])

    def test_login_answers_two_questions(self) -> None:
        self.assertEqual(self.secured(b"AUTH LOGIN"), b"AUTH LOGIN\r\n")
        self.assertEqual(self.server(b"334 VXNlcm5hbWU6\r\n"), b"bWU=\r\n")
        self.assertEqual(self.server(b"334 UGFzc3dvcmQ6\r\n"), b"c2VjcmV0\r\n")
        self.server(b"235 2.7.0 ok\r\n")
        self.assertEqual(self.events(), [Ready()])

    def test_a_wrong_password_delays_mail_and_does_not_fail_it(self) -> None:
        self.secured(b"AUTH PLAIN")
        self.server(b"535 5.7.8 no\r\n")
        self.assertEqual(self.problem().status[0], "4")

    def test_the_password_never_goes_out_in_the_clear(self) -> None:
        self.start(self.RULES)
        self.server(b"220 mx\r\n")
        self.assertEqual(self.server(b"250-mx\r\n250 AUTH PLAIN\r\n"), b"")
        self.assertEqual(self.problem().status, "4.7.0")
        self.assertNotIn("secret", repr(self.RULES))

    def test_no_mechanism_in_common_is_a_problem_of_the_host(self) -> None:
        self.assertEqual(self.secured(b"AUTH GSSAPI"), b"")
        self.assertEqual(self.problem().status, "4.7.0")


class TransactionTests(SessionTestCase):
    def test_with_pipelining_the_envelope_leaves_in_one_piece(self) -> None:
        self.ready()
        self.assertEqual(
            self.begin(envelope(BOB, CAROL, eight_bit=True)),
            b"MAIL FROM:<alice@a.example> SIZE=100 BODY=8BITMIME\r\n"
            b"RCPT TO:<bob@b.example>\r\nRCPT TO:<carol@b.example>\r\nDATA\r\n",
        )
        self.server(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        self.assertEqual(self.events(), [SendContent()])
        self.session.content_sent()
        self.server(b"250 2.0.0 queued\r\n")
        verdict = DeliveryStatus(DELIVERED, "2.0.0", "250 2.0.0 queued")
        self.assertEqual(self.finished(), Finished({0: verdict, 1: verdict}))
        self.assertTrue(self.session.idle)

    def test_without_pipelining_it_leaves_line_by_line(self) -> None:
        self.ready(b"250 mx\r\n")
        self.assertEqual(self.begin(envelope()), b"MAIL FROM:<alice@a.example>\r\n")
        self.assertEqual(self.server(b"250 ok\r\n"), b"RCPT TO:<bob@b.example>\r\n")
        self.assertEqual(self.server(b"250 ok\r\n"), b"DATA\r\n")
        self.server(b"354 go\r\n")
        self.assertEqual(self.events(), [SendContent()])

    def test_the_null_reverse_path_and_odd_local_parts_go_out_as_they_must(self) -> None:
        self.ready()
        message = MessageEnvelope(None, ((0, Address("a b", "b.example")),), 5)
        self.assertEqual(self.begin(message), b'MAIL FROM:<> SIZE=5\r\nRCPT TO:<"a b"@b.example>\r\nDATA\r\n')

    def test_each_recipient_has_a_verdict_of_its_own(self) -> None:
        self.ready()
        self.begin(envelope(BOB, CAROL, Address("dan", "b.example")))
        self.server(b"250 ok\r\n550 5.1.1 unknown\r\n451 4.2.1 later\r\n250 ok\r\n354 go\r\n")
        self.events()
        self.session.content_sent()
        self.server(b"250 ok\r\n")
        self.assertEqual(
            self.finished().verdicts,
            {
                0: DeliveryStatus(FAILED, "5.1.1", "550 5.1.1 unknown"),
                1: DeliveryStatus(DELAYED, "4.2.1", "451 4.2.1 later"),
                2: DeliveryStatus(DELIVERED, "2.0.0", "250 ok"),
            },
        )

    def test_a_refused_sender_is_the_verdict_for_all(self) -> None:
        for hello in (FULL, b"250 mx\r\n"):
            self.ready(hello)
            self.begin(envelope(BOB, CAROL))
            self.server(b"550 5.7.1 not you\r\n")
            if hello is FULL:
                self.server(b"503 no\r\n503 no\r\n503 no\r\n")
            verdict = DeliveryStatus(FAILED, "5.7.1", "550 5.7.1 not you")
            self.assertEqual(self.finished().verdicts, {0: verdict, 1: verdict})

    def test_data_accepted_after_all_recipients_were_refused_is_ended_with_a_dot(self) -> None:
        self.ready()
        self.begin(envelope())
        self.assertEqual(self.server(b"250 ok\r\n550 5.1.1 unknown\r\n354 go\r\n"), b".\r\n")
        self.assertEqual(self.events(), [])
        self.server(b"554 5.5.1 no valid recipients\r\n")
        self.assertEqual(self.finished().verdicts[0].status, "5.1.1")

    def test_without_pipelining_data_is_not_asked_for_nobody(self) -> None:
        self.ready(b"250 mx\r\n")
        self.begin(envelope())
        self.server(b"250 ok\r\n")
        self.assertEqual(self.server(b"550 5.1.1 unknown\r\n"), b"")
        self.assertEqual(self.finished().verdicts[0].status, "5.1.1")

    def test_a_transaction_that_was_not_completed_is_reset_before_the_next(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n550 5.1.1 unknown\r\n503 no\r\n")
        self.finished()
        self.assertEqual(self.begin(envelope()).split(b"\r\n")[:2], [b"RSET", b"MAIL FROM:<alice@a.example> SIZE=100"])
        self.server(b"250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        self.assertEqual(self.events(), [SendContent()])

    def test_data_refused_is_the_verdict_of_the_accepted(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n250 ok\r\n451 4.3.0 trouble\r\n")
        self.assertEqual(self.finished().verdicts, {0: DeliveryStatus(DELAYED, "4.3.0", "451 4.3.0 trouble")})

    def test_a_message_refused_at_its_end_is_the_verdict_of_the_accepted(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.events()
        self.session.content_sent()
        self.server(b"554 5.7.1 spam\r\n")
        self.assertEqual(self.finished().verdicts, {0: DeliveryStatus(FAILED, "5.7.1", "554 5.7.1 spam")})

    def test_552_without_a_status_at_rcpt_means_too_many_recipients(self) -> None:
        self.ready()
        self.begin(envelope(BOB, CAROL))
        self.server(b"250 ok\r\n552 too many\r\n552 5.2.2 full\r\n503 no\r\n")
        verdicts = self.finished().verdicts
        self.assertEqual([verdicts[0].state, verdicts[1].state], [DELAYED, FAILED])

    def test_a_success_out_of_place_is_no_verdict_to_give_up_on(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"354 what?\r\n250 ok\r\n503 no\r\n")
        self.assertEqual(self.finished().verdicts[0].state, DELAYED)

    def test_an_address_with_a_line_end_is_never_sent(self) -> None:
        self.ready()
        self.assertEqual(self.begin(envelope(Address("x\r\nDATA", "b.example"))), b"")
        self.assertEqual(self.finished().verdicts[0].status, "5.1.3")
        self.assertEqual(self.begin(envelope())[:5], b"RSET\r")


class ReportParameterTests(SessionTestCase):
    asked = MessageEnvelope(
        ALICE, ((0, BOB), (1, CAROL)), 100, ret="FULL", envid="E=1", dsn={1: ("NEVER", "rfc822;list@a.example")}
    )

    def test_a_server_that_offers_dsn_is_told_what_the_sender_asked(self) -> None:
        self.ready(b"250-mx.b.example\r\n250-PIPELINING\r\n250 DSN\r\n")
        self.assertEqual(
            self.begin(self.asked),
            b"MAIL FROM:<alice@a.example> RET=FULL ENVID=E+3D1\r\n"
            b"RCPT TO:<bob@b.example>\r\n"
            b"RCPT TO:<carol@b.example> NOTIFY=NEVER ORCPT=rfc822;list@a.example\r\nDATA\r\n",
        )

    def test_another_is_not(self) -> None:
        self.ready(b"250-mx.b.example\r\n250 PIPELINING\r\n")
        self.assertEqual(
            self.begin(self.asked),
            b"MAIL FROM:<alice@a.example>\r\nRCPT TO:<bob@b.example>\r\nRCPT TO:<carol@b.example>\r\nDATA\r\n",
        )


class AbilityTests(SessionTestCase):
    def test_a_message_over_the_servers_limit_fails_unasked(self) -> None:
        self.ready()
        self.assertEqual(self.begin(envelope(size=1001)), b"")
        self.assertEqual(self.finished().verdicts[0].status, "5.3.4")

    def test_a_limit_of_zero_is_none(self) -> None:
        self.ready(b"250-mx\r\n250 SIZE 0\r\n")
        self.assertNotEqual(self.begin(envelope(size=10**9)), b"")

    def test_eight_bit_content_fails_where_it_cannot_be_taken(self) -> None:
        self.ready(b"250 mx\r\n")
        self.begin(envelope(eight_bit=True))
        self.assertEqual(self.finished().verdicts[0].status, "5.6.3")

    def test_utf8_is_asked_for_where_needed_and_fails_where_it_cannot_be_had(self) -> None:
        self.ready()
        self.assertIn(b" SMTPUTF8\r\nRCPT TO:<\xc3\xbc@b.example>", self.begin(envelope(Address("ü", "b.example"))))
        self.ready()
        self.assertIn(b" SMTPUTF8\r\n", self.begin(envelope(utf8=True)))
        for message in (envelope(Address("ü", "b.example")), envelope(utf8=True)):
            self.ready(b"250 mx\r\n")
            self.begin(message)
            self.assertEqual(self.finished().verdicts[0].status, "5.6.7")

    def test_a_unicode_domain_alone_goes_in_a_labels(self) -> None:
        self.ready()
        self.assertIn(b"RCPT TO:<bob@xn--bcher-kva.example>", self.begin(envelope(Address("bob", "bücher.example"))))


class LossTests(SessionTestCase):
    LOST = HostProblem("4.4.2", "connection lost")

    @acceptance("S006")
    def test_421_before_the_content_leaves_recipients_for_another_host(self) -> None:
        self.ready()
        self.begin(envelope(BOB, CAROL))
        self.server(b"250 ok\r\n550 5.1.1 unknown\r\n421 4.3.2 shutting down\r\n")
        finished = self.finished()
        self.assertEqual(list(finished.verdicts), [0])
        self.assertEqual(finished.problem, HostProblem("4.3.2", "421 4.3.2 shutting down"))

    def test_a_connection_lost_before_the_final_dot_leaves_recipients_for_another_host(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.events()
        self.session.fail(self.LOST)
        self.assertEqual(self.finished(), Finished({}, self.LOST))

    def test_a_lost_reply_to_the_final_dot_waits_and_is_not_tried_elsewhere(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.events()
        self.session.content_sent()
        self.session.fail(self.LOST)
        self.assertEqual(self.finished().verdicts[0].state, DELAYED)

    def test_421_to_the_final_dot_is_a_verdict_and_the_end_of_the_session(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.events()
        self.session.content_sent()
        self.server(b"421 4.3.2 no\r\n")
        finished = self.finished()
        self.assertEqual(finished.verdicts, {0: DeliveryStatus(DELAYED, "4.3.2", "421 4.3.2 no")})
        self.assertIsNotNone(finished.problem)
        self.assertFalse(self.session.idle)

    def test_a_refusal_while_the_content_goes_out_is_a_verdict(self) -> None:
        self.ready()
        self.begin(envelope())
        self.server(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.events()
        self.server(b"552 5.3.4 too big\r\n")
        self.assertEqual(self.finished().verdicts, {0: DeliveryStatus(FAILED, "5.3.4", "552 5.3.4 too big")})

    def test_failing_again_is_harmless(self) -> None:
        self.ready()
        self.session.fail(self.LOST)
        self.session.fail(self.LOST)
        self.assertEqual(self.events(), [Unusable(self.LOST)])
