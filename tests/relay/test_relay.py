"""Attempts against hosts in memory: from a domain to what became of each recipient."""

from __future__ import annotations

import random
from collections.abc import Sequence
from email import message_from_bytes
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces import Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.relay.connection import RelayConnection
from pymailsuite.relay.relay import Relay
from pymailsuite.values import MAX_CHUNK, Address, ContentId, QueueId
from tests.acceptance import acceptance
from tests.support.smtp_sink import CLOSE, SILENCE, MemoryInternet, SmtpSink

DELIVERED, DELAYED, FAILED = RecipientState.DELIVERED, RecipientState.DELAYED, RecipientState.FAILED
HELLO = b"Subject: hello\r\n\r\nWorld\r\n"
EIGHT_BIT = "Subject: x\r\n\r\nGrüße\r\n".encode()


class RelayTestCase(SynchronousTestCase):
    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.internet = MemoryInternet()
        self.resolver = FakeResolver(
            mx={"b.example": [(10, "mx1.b.example"), (20, "mx2.b.example")]},
            a={"mx1.b.example": ["192.0.2.1"], "mx2.b.example": ["192.0.2.2"], "one.example": ["192.0.2.3"]},
        )
        self.contents: dict[int, bytes] = {}
        self.relay = self.make_relay()

    def make_relay(self, **options: Any) -> Relay:
        settings = RelaySettings(**{**self.options, **options})
        return Relay(settings, "us.example", self.resolver, self.read, self.internet, random.Random(1))

    def read(self, content_id: ContentId, start: int, stop: int) -> Deferred[bytes]:
        assert stop - start <= MAX_CHUNK
        return succeed(self.contents[content_id][start:stop])

    def host(self, ip: str, script: Any = None, **options: Any) -> SmtpSink:
        sink = SmtpSink(self.internet, script, **options)
        self.internet.listen(ip, 25, sink)
        return sink

    def entry(self, *recipients: str, octets: bytes = HELLO, sender: str = "alice", **fields: Any) -> QueueEntry:
        content_id = len(self.contents) + 1
        self.contents[content_id] = octets
        rows = tuple(
            QueuedRecipient(position, Address(*text.split("@")), text.split("@")[1])
            for position, text in enumerate(recipients or ("bob@b.example",))
        )
        return QueueEntry(
            QueueId(f"Q{content_id}"),
            ContentId(content_id),
            len(octets),
            octets.find(b"\r\n\r\n") + 4,
            Address(sender, "a.example") if sender else None,
            rows,
            0.0,
            **fields,
        )

    def begin(self, entry: QueueEntry, relay: Relay | None = None) -> Deferred[list[Outcome]]:
        route = entry.recipients[0].route
        return Deferred.fromCoroutine((relay or self.relay).attempt(entry, route, entry.recipients))

    def attempt(self, entry: QueueEntry, relay: Relay | None = None) -> list[Outcome]:
        attempt = self.begin(entry, relay)
        self.internet.flush()
        return sorted(self.successResultOf(attempt), key=lambda outcome: outcome.position)

    def states(self, outcomes: Sequence[Outcome]) -> list[tuple[RecipientState, str]]:
        return [(outcome.state, outcome.status) for outcome in outcomes]


class AttemptTests(RelayTestCase):
    def test_a_message_arrives_as_it_is(self) -> None:
        sink = self.host("192.0.2.1")
        (outcome,) = self.attempt(self.entry())
        self.assertEqual(outcome, Outcome(0, DELIVERED, "2.0.0", "250 2.0.0 taken", "mx1.b.example"))
        (message,) = sink.messages
        self.assertEqual(message.content, HELLO)
        self.assertEqual((message.reverse_path, message.recipients), ("alice@a.example", ["bob@b.example"]))
        self.assertEqual(message.mail_parameters, f"SIZE={len(HELLO)}")

    def test_each_recipient_has_an_outcome_of_its_own(self) -> None:
        sink = self.host(
            "192.0.2.1",
            {"RCPT no@b.example": "550 5.1.1 unknown", "RCPT later@b.example": "450 4.2.1 busy"},
        )
        outcomes = self.attempt(self.entry("no@b.example", "later@b.example", "yes@b.example"))
        self.assertEqual(self.states(outcomes), [(FAILED, "5.1.1"), (DELAYED, "4.2.1"), (DELIVERED, "2.0.0")])
        self.assertEqual(sink.messages[0].recipients, ["yes@b.example"])
        self.assertEqual(outcomes[0].reply, "550 5.1.1 unknown")

    def test_a_definite_no_of_dns_fails_without_a_connection(self) -> None:
        outcomes = self.attempt(self.entry("bob@nosuch.example"))
        self.assertEqual(self.states(outcomes), [(FAILED, "5.1.2")])
        self.assertEqual(self.internet.attempts, [])

    @acceptance("S057")
    def test_a_host_on_loopback_fails_without_a_connection(self) -> None:
        self.resolver = FakeResolver(mx={"loop.example": [(10, "lo.example")]}, a={"lo.example": ["127.0.0.1"]})
        self.relay = self.make_relay()
        for domain in ("loop.example", "[127.0.0.1]", "[IPv6:::ffff:127.0.0.1]"):
            self.assertEqual(self.states(self.attempt(self.entry(f"joe@{domain}"))), [(FAILED, "5.4.6")], domain)
        self.assertEqual(self.internet.attempts, [])

    def test_a_host_that_refuses_connections_makes_way_for_the_next(self) -> None:
        sink = self.host("192.0.2.2")
        (outcome,) = self.attempt(self.entry())
        self.assertEqual((outcome.state, outcome.host), (DELIVERED, "mx2.b.example"))
        self.assertEqual(len(sink.messages), 1)
        self.assertEqual(self.internet.attempts, [("192.0.2.1", 25), ("192.0.2.2", 25)])

    @acceptance("S006")
    def test_a_host_that_is_not_ready_makes_way_for_the_next_and_never_bounces(self) -> None:
        for greeting in ("421 4.3.2 busy", "554 5.3.2 no service", CLOSE, "500 what"):
            self.setUp()
            first = self.host("192.0.2.1", {"GREETING": greeting})
            second = self.host("192.0.2.2")
            self.assertEqual(self.states(self.attempt(self.entry())), [(DELIVERED, "2.0.0")])
            self.assertEqual((len(first.messages), len(second.messages)), (0, 1))
            self.internet.unplug("192.0.2.2", 25)
            lone = self.make_relay()
            (outcome,) = self.attempt(self.entry(), lone)
            self.assertEqual(outcome.state, DELAYED)

    def test_when_no_host_can_be_reached_the_message_waits(self) -> None:
        self.assertEqual(self.states(self.attempt(self.entry())), [(DELAYED, "4.4.1")])

    def test_a_dead_host_is_left_alone_for_a_while(self) -> None:
        self.attempt(self.entry("bob@one.example"))
        self.attempt(self.entry("bob@one.example"))
        self.assertEqual(len(self.internet.attempts), 1)
        self.host("192.0.2.3")
        self.internet.pass_time(61)
        self.assertEqual(self.states(self.attempt(self.entry("bob@one.example"))), [(DELIVERED, "2.0.0")])

    def test_a_host_that_is_silent_at_connect_makes_way_for_the_next(self) -> None:
        self.internet.drop_packets_to("192.0.2.1")
        self.host("192.0.2.2")
        attempt = self.begin(self.entry())
        self.internet.flush()
        self.assertNoResult(attempt)
        self.internet.pass_time(31)
        self.assertEqual(self.states(self.successResultOf(attempt)), [(DELIVERED, "2.0.0")])

    def test_silence_in_the_dialogue_ends_at_the_limits_of_the_standard(self) -> None:
        for command, limit_s in (
            ("GREETING", 300),
            ("EHLO", 300),
            ("MAIL", 300),
            ("RCPT", 300),
            ("DATA", 300),
            (".", 600),
        ):
            self.setUp()
            sink = self.host("192.0.2.3", {command: SILENCE})
            attempt = self.begin(self.entry("bob@one.example"))
            self.internet.pass_time(limit_s - 200, step=20)
            self.assertNoResult(attempt)
            self.internet.pass_time(202, step=20)
            self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.4.2")], command)
            self.assertEqual(sink.open, [])

    def test_octets_that_drip_in_renew_no_limit(self) -> None:
        for command, limit_s in (("GREETING", 300), ("EHLO", 300), ("RCPT", 300), ("DATA", 300), (".", 600)):
            self.setUp()
            sink = self.host("192.0.2.3", {command: SILENCE})
            attempt = self.begin(self.entry("bob@one.example"))
            self.internet.pass_time(10)
            for octet in b"250-" + b"x" * (limit_s // 10):
                if not sink.open:
                    break
                sink.open[0].transport.write(bytes([octet]))
                self.internet.pass_time(10, step=10)
            self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.4.2")], command)
            self.assertEqual(sink.open, [])

    def test_a_reply_of_many_lines_has_the_time_of_one(self) -> None:
        sink = self.host("192.0.2.3", {"EHLO": SILENCE})
        attempt = self.begin(self.entry("bob@one.example"))
        self.internet.pass_time(10)
        while sink.open:
            sink.open[0].transport.write(b"250-more\r\n")
            self.internet.pass_time(20, step=20)
        self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.4.2")])
        self.assertLess(self.internet.seconds(), 400)

    def test_a_transaction_has_an_end_however_steadily_the_host_goes_on(self) -> None:
        relay = self.make_relay(transaction_timeout=1000.0)
        sink = self.host("192.0.2.3", {"RCPT": SILENCE})
        attempt = self.begin(self.entry(*(f"r{number}@one.example" for number in range(50))), relay)
        self.internet.pass_time(10)
        while sink.open:
            sink.open[0].transport.write(b"250 2.1.5 ok\r\n")
            self.internet.pass_time(100, step=50)
        self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.4.2")] * 50)
        self.assertLess(self.internet.seconds(), 1300)

    def test_replies_that_end_in_lf_alone_are_read(self) -> None:
        sink = self.host("192.0.2.3", line_end=b"\n")
        self.assertEqual(self.states(self.attempt(self.entry("bob@one.example"))), [(DELIVERED, "2.0.0")])
        self.assertEqual(len(sink.messages), 1)

    def test_a_connection_lost_before_the_dot_is_tried_at_the_next_host(self) -> None:
        self.host("192.0.2.1", {"DATA": CLOSE})
        second = self.host("192.0.2.2")
        self.assertEqual(self.states(self.attempt(self.entry())), [(DELIVERED, "2.0.0")])
        self.assertEqual(len(second.messages), 1)

    def test_a_lost_reply_to_the_dot_waits_and_is_not_tried_elsewhere(self) -> None:
        self.host("192.0.2.1", {".": CLOSE})
        second = self.host("192.0.2.2")
        self.assertEqual(self.states(self.attempt(self.entry())), [(DELAYED, "4.4.2")])
        self.assertEqual(second.connections, 0)

    def test_what_the_first_host_said_of_some_stands_when_the_rest_goes_elsewhere(self) -> None:
        self.host("192.0.2.1", {"RCPT no@b.example": "550 5.1.1 unknown", "RCPT x@b.example": "421 4.3.2 closing"})
        second = self.host("192.0.2.2")
        outcomes = self.attempt(self.entry("no@b.example", "x@b.example"))
        self.assertEqual(self.states(outcomes), [(FAILED, "5.1.1"), (DELIVERED, "2.0.0")])
        self.assertEqual(second.messages[0].recipients, ["x@b.example"])

    def test_many_recipients_go_in_several_transactions_of_one_connection(self) -> None:
        relay = self.make_relay(recipients_per_transaction=2)
        sink = self.host("192.0.2.3")
        outcomes = self.attempt(self.entry(*(f"r{n}@one.example" for n in range(5))), relay)
        self.assertEqual(self.states(outcomes), [(DELIVERED, "2.0.0")] * 5)
        self.assertEqual([len(message.recipients) for message in sink.messages], [2, 2, 1])
        self.assertEqual(sink.connections, 1)

    def test_only_so_many_addresses_are_tried(self) -> None:
        self.attempt(self.entry(), self.make_relay(hosts_per_attempt=1))
        self.assertEqual(self.internet.attempts, [("192.0.2.1", 25)])

    def test_old_servers_are_spoken_to_line_by_line(self) -> None:
        sink = self.host("192.0.2.3", {"EHLO": "502 what?"})
        self.assertEqual(self.states(self.attempt(self.entry("bob@one.example"))), [(DELIVERED, "2.0.0")])
        self.assertEqual(sink.messages[0].mail_parameters, "")


class ContentTests(RelayTestCase):
    def relayed(self, octets: bytes, **fields: Any) -> bytes:
        sink = self.host("192.0.2.3")
        outcomes = self.attempt(self.entry("bob@one.example", octets=octets, **fields))
        self.assertEqual(self.states(outcomes), [(DELIVERED, "2.0.0")])
        return sink.messages[0].content

    @acceptance("S048")
    def test_leading_dots_arrive(self) -> None:
        for octets in (b".\r\n", b"..\r\n.x\r\n\r\n.\r\n", b"a\r\n.\r\n.\r\n"):
            self.setUp()
            self.assertEqual(self.relayed(octets), octets)

    def test_a_long_message_is_streamed_in_pieces(self) -> None:
        octets = (b"Subject: long\r\n\r\n" + b".dots and a line of text that is quite ordinary\r\n" * 20000)[
            : 3 * MAX_CHUNK
        ]
        octets = octets[:-2] + b"\r\n"
        self.assertEqual(self.relayed(octets), octets)

    @given(st.lists(st.sampled_from([b".", b"..", b"x", b"", b".\xff\x00"]), max_size=30))
    @hypothesis_settings(max_examples=50, deadline=None)
    @acceptance("S048")
    def test_any_text_of_lines_arrives_octet_for_octet(self, lines: list[bytes]) -> None:
        self.setUp()
        octets = b"".join(line + b"\r\n" for line in lines)
        self.assertEqual(self.relayed(octets), octets)

    def test_an_end_without_crlf_is_given_one(self) -> None:
        self.assertEqual(self.relayed(b"Subject: x\r\n\r\nno end"), b"Subject: x\r\n\r\nno end\r\n")

    def test_bare_line_ends_are_never_sent(self) -> None:
        sink = self.host("192.0.2.3")
        ordinary = b"x" * 76 + b"\r\n"
        many = ordinary * (2 * MAX_CHUNK // len(ordinary))
        for octets in (
            b"a\nb\r\n",
            b"a\rb\r\n",
            # What other hosts might take for an end, and for what follows it.
            b"a\n.\r\nMAIL FROM:<x@y.example>\r\n",
            b"a\r.\r\nMAIL FROM:<x@y.example>\r\n",
            b"a\r\n.\rMAIL FROM:<x@y.example>\r\n",
            b"a\n.\n",
            b"\r.\r",
            b"a\r\r\n.\r\n",
            many[: MAX_CHUNK - 1] + b"\r.\r\n" + many,
        ):
            outcomes = self.attempt(self.entry("bob@one.example", octets=octets))
            self.assertEqual(self.states(outcomes), [(FAILED, "5.6.0")])
        self.assertEqual(sink.messages, [])

    def test_content_the_store_cannot_give_whole_is_never_ended(self) -> None:
        long = b"x" * 76 + b"\r\n"
        entry = self.entry("bob@one.example", octets=long * 10000)
        for broken in (lambda *_: fail(StoreUnavailable()), lambda *_: succeed(b"")):
            sink = self.host("192.0.2.3")
            first = self.contents[entry.content_id][:MAX_CHUNK]
            reads = iter([succeed(first)])
            relay = Relay(
                RelaySettings(),
                "us.example",
                self.resolver,
                lambda *a, b=broken, r=reads: next(r, None) or b(*a),
                self.internet,
            )
            self.assertEqual(self.states(self.attempt(entry, relay)), [(DELAYED, "4.3.0")])
            self.assertEqual((sink.messages, sink.open), ([], []))

    def test_what_one_host_said_stands_when_something_breaks_afterwards(self) -> None:
        sink = self.host("192.0.2.3")
        relay = self.make_relay(recipients_per_transaction=1)
        send, sent = RelayConnection.send_message, []

        def breaks_the_second_time(connection: RelayConnection, *args: Any) -> Any:
            sent.append(args)
            return send(connection, *args) if len(sent) == 1 else fail(RuntimeError("broken"))

        self.patch(RelayConnection, "send_message", breaks_the_second_time)
        outcomes = self.attempt(self.entry("x@one.example", "y@one.example"), relay)
        self.assertEqual(self.states(outcomes), [(DELIVERED, "2.0.0"), (DELAYED, "4.3.0")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(sink.messages), 1)

    def test_eight_bit_mail_goes_as_it_is_where_it_is_taken(self) -> None:
        self.assertEqual(self.relayed(EIGHT_BIT, body="8BITMIME"), EIGHT_BIT)

    @acceptance("S051")
    def test_eight_bit_mail_is_converted_where_it_is_not_taken(self) -> None:
        for fields in ({"body": "8BITMIME"}, {}):
            for options in ({"extensions": ["PIPELINING", "SIZE 1000"]}, {"script": {"EHLO": "502 what?"}}):
                self.setUp()
                sink = self.host("192.0.2.3", **options)
                entry = self.entry("bob@one.example", octets=EIGHT_BIT, **fields)
                self.assertEqual(self.states(self.attempt(entry)), [(DELIVERED, "2.0.0")])
                (taken,) = sink.messages
                self.assertTrue(taken.content.isascii())
                self.assertNotIn("BODY", taken.mail_parameters)
                self.assertEqual(message_from_bytes(taken.content).get_payload(decode=True), "Grüße\r\n".encode())
                if "extensions" in options:
                    self.assertEqual(taken.mail_parameters, f"SIZE={len(taken.content)}")

    @acceptance("S051")
    def test_a_message_that_its_sender_has_signed_is_not_converted(self) -> None:
        signed = b"DKIM-Signature: v=1; d=a.example\r\n" + EIGHT_BIT
        for script, outcome in (({}, (FAILED, "5.6.3")), ({"EHLO": "502 what?"}, (DELAYED, "4.6.3"))):
            self.setUp()
            sink = self.host("192.0.2.3", script, extensions=[])
            (result,) = self.attempt(self.entry("bob@one.example", octets=signed, body="8BITMIME"))
            self.assertEqual((result.state, result.status), outcome)
            self.assertIn("DKIM-Signature would break", result.reply)
            self.assertEqual(sink.messages, [])

    def test_our_own_signature_is_made_anew_when_the_message_is_converted(self) -> None:
        signed: list[bytes] = []

        @implementer(ISigner)
        class Signer:
            def sign(self, octets: bytes) -> Deferred[bytes]:
                signed.append(octets)
                return succeed(b"DKIM-Signature: new\r\n")

        settings = RelaySettings()
        relay = Relay(settings, "us.example", self.resolver, self.read, self.internet, signer=Signer())
        sink = self.host("192.0.2.3", extensions=[])
        self.assertEqual(
            self.states(self.attempt(self.entry("bob@one.example", octets=EIGHT_BIT), relay)), [(DELIVERED, "2.0.0")]
        )
        self.assertEqual(signed, [])
        prefix = b"DKIM-Signature: v=1;\r\n d=a.example\r\nX-Ours: yes\r\n"
        entry = evolve(self.entry("bob@one.example", octets=EIGHT_BIT), prefix=prefix)
        entry = evolve(entry, size=entry.size + len(prefix), header_size=entry.header_size + len(prefix))
        self.assertEqual(self.states(self.attempt(entry, relay)), [(DELIVERED, "2.0.0")])
        content = sink.messages[1].content
        self.assertTrue(content.startswith(b"DKIM-Signature: new\r\nX-Ours: yes\r\nSubject"))
        self.assertEqual(content, b"DKIM-Signature: new\r\n" + signed[0])

    def test_conversion_has_a_limit_of_size_and_can_be_switched_off(self) -> None:
        self.host("192.0.2.3", extensions=[])
        entry = self.entry("bob@one.example", octets=EIGHT_BIT)
        self.assertEqual(self.states(self.attempt(entry, self.make_relay(convert_size=0))), [(FAILED, "5.6.3")])

    def test_a_long_message_is_converted_and_sent_in_pieces(self) -> None:
        sink = self.host("192.0.2.3", extensions=[])
        octets = b"Subject: long\r\n\r\n" + ("Zeile für Zeile, und alle lang genug dafür\r\n" * 60_000).encode()
        self.assertEqual(
            self.states(self.attempt(self.entry("bob@one.example", octets=octets))), [(DELIVERED, "2.0.0")]
        )
        self.assertEqual(message_from_bytes(sink.messages[0].content).get_payload(decode=True), octets[17:])

    @acceptance("S051")
    def test_hosts_that_cannot_take_it_make_way_for_one_that_can(self) -> None:
        utf8 = "Subject: ü\r\n\r\nx\r\n".encode()
        for octets, fields, options in (
            (EIGHT_BIT, {"body": "8BITMIME"}, {"extensions": ["PIPELINING"]}),
            (EIGHT_BIT, {"body": "8BITMIME"}, {"script": {"EHLO": "502 what?"}}),
            (utf8, {"smtputf8": True}, {"extensions": ["8BITMIME"]}),
            (HELLO, {}, {"extensions": ["SIZE 10"]}),
        ):
            self.setUp()
            first, second = self.host("192.0.2.1", **options), self.host("192.0.2.2")
            (outcome,) = self.attempt(self.entry(octets=octets, **fields))
            self.assertEqual((outcome.state, outcome.host), (DELIVERED, "mx2.b.example"))
            self.assertEqual((first.messages, second.messages[0].content), ([], octets))

    def test_where_the_others_cannot_be_reached_the_message_waits_for_them(self) -> None:
        signed = b"DKIM-Signature: v=1; d=a.example\r\n" + EIGHT_BIT
        self.host("192.0.2.1", extensions=[])
        self.assertEqual(self.states(self.attempt(self.entry(octets=signed))), [(DELAYED, "4.4.1")])
        self.host("192.0.2.2", extensions=["SIZE 10"])
        self.assertEqual(self.states(self.attempt(self.entry(octets=signed), self.make_relay())), [(FAILED, "5.3.4")])

    def test_another_address_of_a_host_that_cannot_take_it_need_not_answer(self) -> None:
        for ip in ("192.0.2.1", "192.0.2.2"):
            self.setUp()
            self.resolver = FakeResolver(a={"two.example": ["192.0.2.1", "192.0.2.2"]})
            self.relay = self.make_relay()
            self.host(ip, extensions=["SIZE 10"])
            self.assertEqual(self.states(self.attempt(self.entry("bob@two.example"))), [(FAILED, "5.3.4")], ip)

    def test_a_converted_message_that_cannot_be_sent_now_waits(self) -> None:
        self.host("192.0.2.3", {"RCPT": CLOSE}, extensions=[])
        (outcome,) = self.attempt(self.entry("bob@one.example", octets=EIGHT_BIT))
        self.assertEqual((outcome.state, outcome.status), (DELAYED, "4.4.2"))

    def test_a_recipient_that_needs_smtputf8_does_not_keep_the_message_from_the_others(self) -> None:
        sink = self.host("192.0.2.3", extensions=["8BITMIME"])
        outcomes = self.attempt(self.entry("ü@one.example", "bob@one.example"))
        self.assertEqual(self.states(outcomes), [(FAILED, "5.6.7"), (DELIVERED, "2.0.0")])
        self.assertEqual(sink.messages[0].recipients, ["bob@one.example"])

    def test_after_a_lost_reply_to_the_dot_another_host_comes_first(self) -> None:
        self.host("192.0.2.1", {".": CLOSE})
        second = self.host("192.0.2.2")
        entry = self.entry()
        (outcome,) = self.attempt(entry)
        self.assertEqual((outcome.state, outcome.host), (DELAYED, "mx1.b.example"))
        told = evolve(entry.recipients[0], last_status=outcome.status, last_reply=outcome.reply, last_host=outcome.host)
        (outcome,) = self.attempt(evolve(entry, recipients=(told,)))
        self.assertEqual((outcome.state, outcome.host), (DELIVERED, "mx2.b.example"))
        self.assertEqual(len(second.messages), 1)

    def test_mail_only_declared_eight_bit_or_utf8_goes_anywhere(self) -> None:
        sink = self.host("192.0.2.3", extensions=[])
        outcomes = self.attempt(self.entry("bob@one.example", body="8BITMIME", smtputf8=True))
        self.assertEqual(self.states(outcomes), [(DELIVERED, "2.0.0")])
        self.assertEqual(sink.messages[0].mail_parameters, "")

    def test_an_address_that_the_host_cannot_be_told_fails_alone(self) -> None:
        sink = self.host("192.0.2.3", extensions=["8BITMIME"])
        outcomes = self.attempt(self.entry("ü@one.example", "a\r\nb@one.example", "bob@one.example", smtputf8=True))
        self.assertEqual(self.states(outcomes), [(FAILED, "5.6.7"), (FAILED, "5.1.3"), (DELIVERED, "2.0.0")])
        self.assertEqual(sink.messages[0].recipients, ["bob@one.example"])
        outcomes = self.attempt(self.entry("a\r\nb@one.example"))
        self.assertEqual(self.states(outcomes), [(FAILED, "5.1.3")])

    def test_a_header_in_utf8_needs_smtputf8(self) -> None:
        octets = "Subject: ü\r\n\r\nx\r\n".encode()
        self.host("192.0.2.3", extensions=["8BITMIME"])
        entry = self.entry("bob@one.example", octets=octets, smtputf8=True)
        self.assertEqual(self.states(self.attempt(entry)), [(FAILED, "5.6.7")])


class LeavingTests(RelayTestCase):
    """Whoever leaves, and whenever: everybody has an outcome, nothing is half sent, nothing is left open."""

    STEPS = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", ".")

    def nothing_is_left(self, sink: SmtpSink) -> None:
        closed = self.relay.close()
        self.internet.pass_time(12)
        self.successResultOf(closed)
        self.assertEqual(sink.open, [])
        self.assertEqual(self.relay._pool._open, 0)
        self.assertEqual([call for call in self.internet.getDelayedCalls() if call.active()], [])

    def test_the_host_leaves_at_every_step(self) -> None:
        for step in self.STEPS:
            self.setUp()
            sink = self.host("192.0.2.3", {step: [CLOSE, {"GREETING": "220 hi"}.get(step, "250 ok")]})
            outcomes = self.attempt(self.entry("bob@one.example", "sue@one.example"))
            self.assertEqual([outcome.state for outcome in outcomes], [DELAYED] * 2, step)
            self.assertEqual(sink.messages, [])
            self.nothing_is_left(sink)

    def test_the_attempt_is_given_up_at_every_step(self) -> None:
        for step in self.STEPS:
            self.setUp()
            sink = self.host("192.0.2.3", {step: SILENCE})
            attempt = self.begin(self.entry("bob@one.example"))
            self.internet.flush()
            attempt.cancel()
            self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.3.0")])
            self.internet.flush()
            self.nothing_is_left(sink)
            self.assertEqual([command for command in sink.commands if command == "QUIT"], [], step)

    def test_a_message_given_up_while_it_is_sent_is_not_ended(self) -> None:
        pieces: list[Deferred[bytes]] = []
        octets = b"Subject: long\r\n\r\n" + b"x" * 76 + b"\r\n" * 3 * MAX_CHUNK

        def read(content_id: ContentId, start: int, stop: int) -> Deferred[bytes]:
            if not start:
                return succeed(octets[:stop])
            pieces.append(Deferred())
            return pieces[-1]

        self.relay = Relay(RelaySettings(), "us.example", self.resolver, read, self.internet)
        sink = self.host("192.0.2.3")
        attempt = self.begin(self.entry("bob@one.example", octets=octets))
        self.internet.flush()
        self.assertEqual(len(pieces), 1)
        attempt.cancel()
        self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.3.0")])
        pieces[0].callback(octets[MAX_CHUNK:])
        self.internet.flush()
        self.assertEqual(len(sink.messages), 0)
        self.nothing_is_left(sink)

    def test_every_read_of_the_store_fails_once(self) -> None:
        octets = b"Subject: long\r\n\r\n" + (b"x" * 76 + b"\r\n") * (3 * MAX_CHUNK // 78)
        for number in range(4):
            self.setUp()
            reads: list[int] = []

            def read(content_id: ContentId, start: int, stop: int, number: int = number, reads: Any = reads) -> Any:
                reads.append(start)
                return fail(StoreUnavailable()) if len(reads) == number + 1 else succeed(octets[start:stop])

            self.relay = Relay(RelaySettings(), "us.example", self.resolver, read, self.internet)
            sink = self.host("192.0.2.3")
            entry = self.entry("bob@one.example", octets=octets)
            first = self.attempt(entry)
            expected = (DELIVERED, "2.0.0") if len(reads) <= number else (DELAYED, "4.3.0")
            self.assertEqual(self.states(first), [expected])
            reads += [0] * 10
            self.assertEqual(self.states(self.attempt(entry)), [(DELIVERED, "2.0.0")])
            self.assertTrue(all(message.content == octets for message in sink.messages))
            self.nothing_is_left(sink)


class ReuseTests(RelayTestCase):
    @acceptance("S055")
    def test_one_connection_serves_one_message_after_another(self) -> None:
        sink = self.host("192.0.2.3")
        for _ in range(5):
            self.attempt(self.entry("bob@one.example"))
        self.assertEqual((sink.connections, len(sink.messages)), (1, 5))

    @acceptance("S055")
    def test_a_connection_is_closed_after_so_many_messages(self) -> None:
        sink = self.host("192.0.2.3")
        relay = self.make_relay(messages_per_connection=2)
        for _ in range(5):
            self.attempt(self.entry("bob@one.example"), relay)
        self.assertEqual((sink.connections, len(sink.messages)), (3, 5))
        self.assertEqual(sink.commands.count("QUIT"), 2)

    def test_an_idle_connection_is_closed_politely(self) -> None:
        sink = self.host("192.0.2.3")
        self.attempt(self.entry("bob@one.example"))
        self.internet.pass_time(4)
        self.assertEqual(len(sink.open), 1)
        self.internet.pass_time(2)
        self.assertEqual((sink.open, sink.commands[-1]), ([], "QUIT"))

    def test_a_kept_connection_that_has_gone_stale_costs_nothing(self) -> None:
        sink = self.host("192.0.2.3", {"MAIL": ["250 ok", CLOSE, "250 ok"]})
        self.attempt(self.entry("bob@one.example"))
        self.assertEqual(self.states(self.attempt(self.entry("bob@one.example"))), [(DELIVERED, "2.0.0")])
        self.assertEqual((sink.connections, len(sink.messages)), (2, 2))

    def test_a_kept_connection_that_the_host_closed_is_not_used(self) -> None:
        sink = self.host("192.0.2.3")
        self.attempt(self.entry("bob@one.example"))
        sink.open[0].transport.loseConnection()
        self.internet.flush()
        self.assertEqual(self.states(self.attempt(self.entry("bob@one.example"))), [(DELIVERED, "2.0.0")])

    def many(self, count: int, relay: Relay) -> list[RecipientState]:
        attempts = [self.begin(self.entry("bob@one.example"), relay) for _ in range(count)]
        self.internet.flush()
        return [self.successResultOf(attempt)[0].state for attempt in attempts]

    def test_a_host_gets_no_more_connections_than_allowed(self) -> None:
        sink = self.host("192.0.2.3")
        self.assertEqual(self.many(50, self.make_relay(connections_per_host=3)), [DELIVERED] * 50)
        self.assertEqual((sink.connections, sink.most_open), (3, 3))

    def test_all_hosts_together_get_no_more_connections_than_allowed(self) -> None:
        relay = self.make_relay(connections=2)
        first, second = self.host("192.0.2.3"), self.host("192.0.2.1")
        attempts = [self.begin(self.entry(f"bob@{domain}"), relay) for domain in ("one.example", "b.example") * 10]
        self.internet.pass_time(1)
        for attempt in attempts:
            self.assertEqual(self.states(self.successResultOf(attempt)), [(DELIVERED, "2.0.0")])
        self.assertLessEqual(max(first.most_open, second.most_open), 2)

    def test_a_host_that_takes_fewer_connections_gets_fewer(self) -> None:
        greetings = ["220 hi", "421 4.7.0 too many", "421 4.7.0 too many", "421 4.7.0 too many", "220 hi"]
        sink = self.host("192.0.2.3", {"GREETING": greetings})
        self.assertEqual(self.many(20, self.make_relay(connections_per_host=4)), [DELIVERED] * 20)
        self.assertEqual(sink.connections, 4)

    def test_all_who_wait_for_a_dead_host_hear_of_it_at_once(self) -> None:
        self.assertEqual(self.many(50, self.make_relay(connections_per_host=2)), [DELAYED] * 50)
        self.assertEqual(len(self.internet.attempts), 2)

    def test_nobody_waits_for_ever_for_a_host_whose_connections_are_all_in_use(self) -> None:
        relay = self.make_relay(connections_per_host=1)
        self.host("192.0.2.3", {"MAIL": SILENCE})
        first, second = (self.begin(self.entry("bob@one.example"), relay) for _ in range(2))
        self.internet.pass_time(70)
        self.assertEqual(self.states(self.successResultOf(second)), [(DELAYED, "4.4.5")])
        self.assertNoResult(first)
        self.internet.pass_time(240, step=10)
        self.assertEqual(self.states(self.successResultOf(first)), [(DELAYED, "4.4.2")])

    def test_closing_does_not_wait_for_hosts_that_do_not_greet_or_answer_at_all(self) -> None:
        sink = self.host("192.0.2.3", {"GREETING": SILENCE})
        self.internet.drop_packets_to("192.0.2.1")
        attempts = [self.begin(self.entry(f"bob@{domain}")) for domain in ("one.example", "b.example")]
        self.internet.flush()
        closed = self.relay.close()
        self.internet.flush()
        self.successResultOf(closed)
        for attempt in attempts:
            self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.3.2")])
        self.assertEqual(sink.open, [])

    def test_closing_cuts_what_does_not_end(self) -> None:
        sink = self.host("192.0.2.3", {".": SILENCE})
        attempt = self.begin(self.entry("bob@one.example"))
        self.internet.flush()
        closed = self.relay.close()
        self.internet.pass_time(9)
        self.assertNoResult(closed)
        self.internet.pass_time(2)
        self.successResultOf(closed)
        self.assertEqual(self.states(self.successResultOf(attempt)), [(DELAYED, "4.4.2")])
        self.assertEqual(sink.open, [])

    def test_closing_takes_leave_and_delays_what_still_waits(self) -> None:
        sink = self.host("192.0.2.3")
        self.attempt(self.entry("bob@one.example"))
        closed = self.relay.close()
        self.internet.flush()
        self.successResultOf(closed)
        self.assertEqual((sink.open, sink.commands[-1]), ([], "QUIT"))
        self.assertEqual(self.states(self.attempt(self.entry("bob@one.example"))), [(DELAYED, "4.3.2")])
