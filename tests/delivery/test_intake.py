"""Messages through the intake, into the real store in memory."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.delivery.incoming import HeaderTooLong, NoAuthor, TooManyHops
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.plan import route_of
from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces import Column, IIncomingMessage, IMessageIntake, LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.delivery import IDeliveryStep
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, AccountId, Address, BodyType, Envelope, Peer, QueueId
from pymailsuite.wire.line_ends import extra_octets
from tests.acceptance import acceptance
from tests.support.delivery import planner_for
from tests.support.stores import make_account, make_store

HELLO = b"From: ann@example.org\r\nSubject: hello\r\n\r\nWorld\r\n"
PEER = Peer("192.0.2.1", helo="mx.peer.example", rdns="out.peer.example", esmtp=True)
SENDER = Address("sam", "peer.example")
Given = Sequence[tuple[Address, Sequence[LocalRecipient | RemoteRecipient]]]


class IntakeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.store = make_store(self.clock)
        self.ann = make_account(self.store, "ann@example.org").account_id
        self.bea = make_account(self.store, "bea@example.org").account_id
        self.use(DeliverySettings())

    def use(self, settings: DeliverySettings, *steps: IDeliveryStep) -> None:
        planner = planner_for(self.store, self.clock, *steps)
        self.intake = MessageIntake(self.store, settings, planner, "mx.example.org", self.clock)

    def local(self, name: str, account_id: AccountId, mailbox: str = "INBOX") -> Given:
        address = Address(name, "example.org")
        return [(address, [LocalRecipient(account_id, address, mailbox)])]

    def open(self, recipients: Given, peer: Peer = PEER, **fields: object) -> IIncomingMessage:
        envelope = Envelope(fields.pop("reverse_path", SENDER), tuple(a for a, _ in recipients), **fields)
        return self.intake.open(envelope, recipients, peer)

    def take(self, recipients: Given, octets: bytes = HELLO, **fields: object) -> QueueId:
        message = self.open(recipients, **fields)
        self.assertIsNone(message.write(octets))
        queue_id = self.successResultOf(message.commit())
        self.assertEqual(queue_id, message.queue_id)
        return queue_id

    def mail(self, account_id: AccountId, mailbox: str = "INBOX") -> list[bytes]:
        return [octets for octets, _ in self.mail_counted(account_id, mailbox)]

    def mail_counted(self, account_id: AccountId, mailbox: str = "INBOX") -> list[tuple[bytes, int]]:
        account = self.store.account_mail(account_id)
        box = self.successResultOf(account.mailbox(mailbox))
        columns = [Column.OCTETS, Column.EXTRA_OCTETS]
        rows: list[tuple[bytes, int]] = self.successResultOf(
            account.read_messages(box.mailbox_id, ALL_UIDS, columns, list)
        )
        return rows


class AcceptanceTests(IntakeTestCase):
    def test_it_provides_the_interfaces(self) -> None:
        verifyObject(IMessageIntake, self.intake)
        verifyObject(IIncomingMessage, self.open(self.local("ann", self.ann)))

    @acceptance("S054")
    def test_a_copy_begins_with_its_own_fields_then_our_trace_then_the_message(self) -> None:
        queue_id = self.take(self.local("ann", self.ann))
        (octets,) = self.mail(self.ann)
        self.assertTrue(octets.endswith(HELLO))
        header = octets[: -len(HELLO)].decode()
        self.assertTrue(
            header.startswith("Return-Path: <sam@peer.example>\r\nDelivered-To: ann@example.org\r\nReceived: "), header
        )
        trace = " ".join(header.partition("Received: ")[2].split())
        self.assertTrue(
            trace.startswith("from mx.peer.example (out.peer.example [192.0.2.1]) by mx.example.org "), trace
        )
        self.assertIn(f"with ESMTP id {queue_id} for <ann@example.org>; ", trace)

    def _behind_trace(self, *pieces: bytes) -> bytes:
        message = self.open(self.local("ann", self.ann))
        for piece in pieces:
            self.assertIsNone(message.write(piece))
        self.successResultOf(message.commit())
        octets = self.mail(self.ann)[-1]
        return octets[octets.index(b"Received: ") :].partition(b"+0000\r\n")[2]

    @acceptance("S053")
    def test_a_message_without_a_header_stays_one(self) -> None:
        for octets in (
            b"no header here\r\nat all\r\n",
            b"word",
            b" folded: into nothing\r\n",
            b":x\r\n",
            b"\rx",
            b"\xe4: x",
        ):
            for pieces in ((octets,), [octets[at : at + 1] for at in range(len(octets))]):
                self.assertEqual(self._behind_trace(*pieces), b"\r\n" + octets)

    @acceptance("S053")
    def test_a_header_follows_our_trace_at_once(self) -> None:
        for octets in (HELLO, b"\r\nbody only\r\n", b"Old : x\r\n\r\n", b"From ann Sun Nov 22\r\n" + HELLO, b""):
            for pieces in ((octets,), [octets[at : at + 1] for at in range(len(octets))]):
                self.assertEqual(self._behind_trace(*pieces), octets)

    @acceptance("S054")
    def test_several_recipients_are_not_told_of_each_other(self) -> None:
        self.take([*self.local("ann", self.ann), *self.local("bea", self.bea)])
        for account_id, name in ((self.ann, b"ann"), (self.bea, b"bea")):
            (octets,) = self.mail(account_id)
            other = b"bea" if name == b"ann" else b"ann"
            self.assertIn(b"Delivered-To: " + name, octets)
            self.assertNotIn(other + b"@", octets[: -len(HELLO)])

    def test_an_account_gets_one_copy_under_the_address_that_came_first(self) -> None:
        alias, team = Address("boss", "example.org"), Address("team", "example.org")
        ann = LocalRecipient(self.ann, Address("ann", "example.org"))
        bea = LocalRecipient(self.bea, Address("bea", "example.org"))
        self.take([(alias, [ann]), (team, [bea, ann])])
        (octets,) = self.mail(self.ann)
        self.assertIn(b"Delivered-To: boss@example.org\r\n", octets)
        self.assertEqual(len(self.mail(self.bea)), 1)

    def test_the_same_account_in_two_mailboxes_gets_two_copies(self) -> None:
        self.take([*self.local("ann", self.ann), *self.local("ann+junk", self.ann, "Junk")])
        self.assertEqual((len(self.mail(self.ann)), len(self.mail(self.ann, "Junk"))), (1, 1))

    def test_the_null_reverse_path_is_kept(self) -> None:
        self.take(self.local("ann", self.ann), reverse_path=None)
        self.assertTrue(self.mail(self.ann)[0].startswith(b"Return-Path: <>\r\n"))

    def test_remote_recipients_are_queued_each_once_by_route(self) -> None:
        bob, carl = Address("bob", "B.example"), Address("carl", "bücher.example")
        recipients: Given = [(each, [RemoteRecipient(each)]) for each in (bob, carl, bob)]
        queue_id = self.take(recipients, peer=Peer("192.0.2.1", login="ann@example.org"), body=BodyType.EIGHTBITMIME)
        (entry,) = self.successResultOf(self.store.queue.entries(queue_id))
        rows = [(row.position, row.address, row.route, row.original) for row in entry.recipients]
        self.assertEqual(rows, [(0, bob, "b.example", None), (1, carl, "xn--bcher-kva.example", None)])
        self.assertEqual((entry.reverse_path, entry.body, entry.origin), (SENDER, "8BITMIME", "ann@example.org"))
        self.assertEqual(entry.recipients[0].next_attempt, self.clock.seconds())
        content = self.successResultOf(self.store.read_content(entry.content_id, 0, entry.size))
        self.assertTrue(content.startswith(b"Received: ") and content.endswith(HELLO))

    def test_a_message_may_come_in_any_cut_or_be_empty(self) -> None:
        message = self.open(self.local("ann", self.ann))
        for position in range(len(HELLO)):
            message.write(HELLO[position : position + 1])
        self.successResultOf(message.commit())
        self.successResultOf(self.open(self.local("ann", self.ann)).commit())
        first, second = self.mail(self.ann)
        self.assertTrue(first.endswith(b"\r\n" + HELLO))
        self.assertIn(b"Received: ", second)

    def test_an_account_that_has_just_gone_is_no_refusal_for_the_others(self) -> None:
        message = self.open([*self.local("ann", self.ann), *self.local("gone", AccountId(999))])
        message.write(HELLO)
        gone = self.failureResultOf(message.commit(), NoSuchAccount).value
        # For good it is of that one only, and said at the next RCPT.
        self.assertEqual((gone.smtp_code, gone.enhanced_code), (451, "4.2.1"))
        self.assertEqual(self.mail(self.ann), [])

    def test_an_aborted_message_leaves_nothing(self) -> None:
        message = self.open(self.local("ann", self.ann))
        message.write(HELLO)
        message.abort()
        message.abort()
        self.assertEqual(self.mail(self.ann), [])


class LoopTests(IntakeTestCase):
    @acceptance("S054")
    def test_more_than_a_hundred_hops_are_a_loop(self) -> None:
        hop = b"Received: from a by b;\r\n\tSun, 22 Nov 2026 03:00:00 +0000\r\n"
        self.take(self.local("ann", self.ann), hop * 100 + HELLO)
        message = self.open(self.local("ann", self.ann))
        for position in range(0, 101 * len(hop), 50):
            message.write((hop * 101)[position : position + 50])
        message.write(HELLO)
        error = self.failureResultOf(message.commit(), TooManyHops).value
        self.assertEqual((error.smtp_code, error.enhanced_code), (554, "5.4.6"))
        self.assertEqual(len(self.mail(self.ann)), 1)

    def test_what_the_body_quotes_is_not_counted(self) -> None:
        self.take(self.local("ann", self.ann), HELLO + b"Received: x\r\n" * 200)
        self.take(self.local("ann", self.ann), b"\r\n" + b"Received: x\r\n" * 200)

    @given(
        st.lists(
            st.sampled_from([b"Received: x", b"RECEIVED:", b"X-Received: y", b"Receive", b" Received: fold", b"A: b"]),
            max_size=12,
        ),
        st.integers(1, 30),
    )
    def test_the_count_does_not_depend_on_the_cut(self, lines: list[bytes], size: int) -> None:
        octets = b"".join(line + b"\r\n" for line in [b"A: b", *lines]) + b"\r\nReceived: body\r\n"
        hops = sum(line.lower().startswith(b"received:") for line in lines)
        for limit in (hops, hops - 1):
            self.use(DeliverySettings(max_received=limit))
            message = self.open(self.local("ann", self.ann))
            for position in range(0, len(octets), size):
                message.write(octets[position : position + size])
            if limit == hops:
                self.successResultOf(message.commit())
                self.assertTrue(self.mail(self.ann)[-1].endswith(octets))
            else:
                self.failureResultOf(message.commit(), TooManyHops)


class _Listener:
    def __init__(self) -> None:
        self.octets = b""

    def write(self, octets: bytes) -> None:
        self.octets += octets


class PolicyTests(IntakeTestCase):
    """What policies hear of a message, and what they put in front of it."""

    FORGED = b"Authentication-Results: mx.example.org; spf=pass\r\nAuthentication-Results: other.example; spf=fail\r\n"

    def test_results_in_our_name_are_taken_out_and_nothing_else(self) -> None:
        for size in (1, 7, 10_000):
            message = self.open(self.local("ann", self.ann))
            octets = self.FORGED + HELLO
            for position in range(0, len(octets), size):
                message.write(octets[position : position + size])
            self.successResultOf(message.commit())
            stored = self.mail(self.ann)[-1]
            self.assertNotIn(b"mx.example.org; spf", stored)
            self.assertTrue(stored.endswith(b"Authentication-Results: other.example; spf=fail\r\n" + HELLO))

    def test_a_score_that_comes_in_is_taken_out(self) -> None:
        self.take(self.local("ann", self.ann), b"X-Policy-Score: 0 (spf)\r\nx-policy-score :\r\n\t-9\r\n" + HELLO)
        (stored,) = self.mail(self.ann)
        self.assertNotIn(b"-score", stored.lower())
        self.assertTrue(stored.endswith(b"+0000\r\n" + HELLO))

    def test_policies_hear_what_the_client_sent_and_see_its_header(self) -> None:
        listener = _Listener()
        envelope = Envelope(SENDER, (Address("ann", "example.org"),))
        message = self.intake.open(envelope, self.local("ann", self.ann), PEER, [listener])
        message.write(self.FORGED + HELLO[:30])
        message.write(HELLO[30:])
        self.assertEqual(listener.octets, self.FORGED + HELLO)
        received = message.received({"ear": listener})
        self.assertEqual(received.header, self.FORGED + HELLO[: HELLO.index(b"World")])
        self.assertEqual((received.size, received.queue_id), (len(listener.octets), message.queue_id))
        self.assertIs(received.taps["ear"], listener)

    def test_a_listener_that_fails_does_not_keep_the_message_away(self) -> None:
        broken = _Listener()
        del broken.octets
        message = self.intake.open(
            Envelope(SENDER, (Address("ann", "example.org"),)), self.local("ann", self.ann), PEER, [broken]
        )
        message.write(HELLO)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.successResultOf(message.commit())

    def test_a_prefix_stands_behind_the_fields_of_the_copy(self) -> None:
        message = self.open(self.local("ann", self.ann))
        message.write(HELLO)
        self.successResultOf(message.commit(b"X-Found: nothing\r\n"))
        (octets,) = self.mail(self.ann)
        names = [line.partition(b":")[0] for line in octets.split(b"\r\n")[:4]]
        self.assertEqual(names, [b"Return-Path", b"Delivered-To", b"X-Found", b"Received"])

    def test_a_header_without_end_is_refused(self) -> None:
        message = self.open(self.local("ann", self.ann))
        for _ in range(70):
            message.write(b"A: " + b"b" * 20_000 + b"\r\n")
        error = self.failureResultOf(message.commit(), HeaderTooLong).value
        self.assertEqual((error.smtp_code, error.enhanced_code), (552, "5.3.4"))


class RouteTests(SynchronousTestCase):
    def test_a_route_is_the_domain_in_one_form(self) -> None:
        for domain, route in (
            ("B.Example", "b.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
            ("\u2028.example", "\u2028.example"),
        ):
            self.assertEqual(route_of(domain), route)


class Tap:
    """Hears a message."""

    def __init__(self) -> None:
        self.octets = b""

    def write(self, octets: bytes) -> None:
        self.octets += octets


class LineEndTests(IntakeTestCase):
    """What POP3 adds to a message is counted as it comes in, or known to be nothing."""

    USER = Peer("192.0.2.9", esmtp=True, login="ann@example.org")
    TEXTS = (
        b"",
        HELLO,
        b"no header at all\r\n",
        b"\r\nno field\r\n",
        b"Subject: no author, no body\r\n",
        b"Authentication-Results: mx.example.org; spf=pass\r\nBcc: bea@example.org,\r\n ann@example.org\r\n\r\nx\r\n",
        HELLO + b"a line of a long one\r\n" * (3 * MAX_CHUNK // 22),
    )

    def test_of_whole_lines_we_make_whole_lines_only(self) -> None:
        for peer in (PEER, self.USER):
            for text in self.TEXTS:
                message = self.open(self.local("ann", self.ann), peer)
                message.whole_lines = True
                message.write(text)
                self.successResultOf(message.commit(b"Authentication-Results: mx.example.org; none\r\n"))
                octets, counted = self.mail_counted(self.ann)[-1]
                self.assertEqual((counted, extra_octets(octets)), (0, 0), text[:60])

    def test_all_else_is_counted(self) -> None:
        for text in (HELLO + b"a\nb\rc", HELLO + b"\n" * MAX_CHUNK):
            message = self.open(self.local("ann", self.ann))
            message.write(text)
            self.successResultOf(message.commit())
            _, counted = self.mail_counted(self.ann)[-1]
            self.assertEqual(counted, extra_octets(text))
            self.assertGreater(counted, 0)


class CompletionTests(IntakeTestCase):
    """Messages that are handed in."""

    USER = Peer("192.0.2.9", esmtp=True, login="ann@example.org")
    HOST = Peer("192.0.2.9", esmtp=True, trusted=True)

    def configure(self, **settings: object) -> None:
        self.use(DeliverySettings.model_validate(settings))

    def hand_in(self, *pieces: bytes, peer: Peer = USER, **fields: object) -> tuple[bytes, bytes]:
        """What was stored of it behind our trace, and what was heard of it."""
        tap = Tap()
        fields = {"reverse_path": Address("ann", "example.org"), **fields}
        recipients = self.local("bea", self.bea)
        envelope = Envelope(fields.pop("reverse_path"), tuple(a for a, _ in recipients), **fields)
        message = self.intake.open(envelope, recipients, peer, [tap])
        for piece in pieces:
            message.write(piece)
        self.header = message.received({}).header
        self.successResultOf(message.commit())
        octets = self.mail(self.bea)[-1]
        trace_end = octets.index(b"+0000\r\n") + 7
        return octets[trace_end:], tap.octets

    @acceptance("S044")
    def test_a_user_s_message_is_stored_signed_and_known_as_completed_in_any_cut(self) -> None:
        text = b"To: joe@far.example\r\nBcc: secret@example.org,\r\n\tmore@example.org\r\nSubject: x\r\n\r\nHello\r\n"
        for cut in (1, 7, 30, len(text)):
            stored, heard = self.hand_in(*[text[at : at + cut] for at in range(0, len(text), cut)])
            self.assertEqual(stored, heard)
            self.assertRegex(
                stored,
                rb"\ADate: Mon, 02 Feb 2026 02:40:00 \+0000\r\nFrom: ann@example.org\r\n"
                rb"Message-ID: <\w+@mx.example.org>\r\nTo: joe@far.example\r\nSubject: x\r\n\r\nHello\r\n\Z",
            )
            self.assertEqual(self.header, stored.removesuffix(b"Hello\r\n"))

    @acceptance("S044")
    def test_what_is_complete_is_stored_octet_for_octet(self) -> None:
        text = b"From: ann@example.org\r\nDate: x\r\nMessage-ID: <1@x>\r\nX: \xff\r\n\r\n" + b"\xe9" * 100 + b"\r\n"
        self.assertEqual(self.hand_in(text), (text, text))

    def test_mail_of_others_goes_on_as_it_came(self) -> None:
        text = b"Bcc: secret@example.org\r\n\r\nHello\r\n"
        for peer in (PEER, self.HOST):
            self.assertEqual(self.hand_in(text, peer=peer), (text, text))
        self.configure(complete="nobody")
        self.assertEqual(self.hand_in(text), (text, text))
        self.configure(complete="trusted")
        self.assertEqual(self.hand_in(text, peer=PEER), (text, text))
        for reverse_path, author in ((SENDER, b"From: sam@peer.example\r\n"), (None, b"")):
            stored, heard = self.hand_in(text, peer=self.HOST, reverse_path=reverse_path)
            self.assertEqual(stored, heard)
            self.assertRegex(stored, rb"\ADate: [^\r]*\r\n%bMessage-ID: [^\r]*\r\n\r\nHello\r\n\Z" % author)

    def test_a_message_without_header_gets_one(self) -> None:
        for text, body in ((b"no header here\r\n", b"no header here\r\n"), (b"\r\nbody\r\n", b"body\r\n"), (b"", b"")):
            stored, heard = self.hand_in(text)
            self.assertEqual(stored, heard)
            self.assertEqual(stored, self.header + body)
            self.assertRegex(self.header, rb"\ADate: [^\r]*\r\nFrom: ann@example.org\r\nMessage-ID: [^\r]*\r\n\r\n\Z")

    def test_a_user_who_bounces_is_the_author_himself(self) -> None:
        stored, _ = self.hand_in(b"Subject: x\r\n\r\n", reverse_path=None)
        self.assertIn(b"\r\nFrom: ann@example.org\r\n", stored)

    def test_a_message_without_from_is_refused_where_none_can_be_added(self) -> None:
        author = Address("zo\xeb", "example.org")
        _, heard = self.hand_in(b"Subject: x\r\n\r\n", reverse_path=author, smtputf8=True)
        self.assertIn("\r\nFrom: zo\xeb@example.org\r\n".encode(), heard)
        for settings, fields in (
            ({}, {"reverse_path": None, "peer": Peer("192.0.2.9", login="zo\xeb@example.org")}),
            ({"missing_from": "refuse"}, {"peer": self.USER}),
            ({"missing_from": "refuse", "complete": "trusted"}, {"peer": self.HOST}),
        ):
            self.configure(**settings)
            for text in (b"Subject: x\r\n\r\n", b"no header\r\n", b""):
                message = self.open(self.local("bea", self.bea), **fields)
                message.write(text)
                error = self.failureResultOf(message.commit(), NoAuthor).value
                self.assertEqual((error.smtp_code, error.enhanced_code), (550, "5.7.1"))
            self.hand_in(b"From: x@example.org\r\n\r\n", **fields)
