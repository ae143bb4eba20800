"""Users who would be somebody else: what a header may hide, and what one message may leave behind for the next."""

from __future__ import annotations

import itertools
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.smtp import SubmissionSettings
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.send_as import SenderRights
from pymailsuite.interfaces import Column
from pymailsuite.values import ALL_UIDS, Address
from pymailsuite.wire.dot_stuffing import has_bare_line_end
from tests.acceptance import acceptance
from tests.smtp.conversations import HOST, Server, WireConversation
from tests.smtp.test_senders import ALICE, LOGIN
from tests.support.delivery import planner_for
from tests.support.stores import fired, make_account, make_store

BOB = "bob@mail.example"


class _WholeServer(Server):
    """With directory, intake and rights on a real store instead of fakes."""

    def __init__(self, **settings: object) -> None:
        clock = Clock()
        clock.advance(1_770_000_000)
        self.store = make_store(clock)
        self.accounts = {name: make_account(self.store, name) for name in (ALICE, BOB)}
        directory, section = self.store.directory, DirectorySettings()
        super().__init__(
            SubmissionSettings.model_validate(settings),
            clock=clock,
            resolver=RecipientResolver(section, directory, clock),
            intake=MessageIntake(self.store, DeliverySettings(), planner_for(self.store, clock), HOST, clock),
            rights=SenderRights(section, directory, self.store.send_as, clock),
        )

    def taken(self) -> list[bytes]:
        """What bob got."""
        mail = self.store.account_mail(self.accounts[BOB].account_id)
        inbox = fired(mail.mailbox("INBOX"))
        return [octets for (octets,) in fired(mail.read_messages(inbox.mailbox_id, ALL_UIDS, (Column.OCTETS,), list))]


class UserTests(SynchronousTestCase):
    def start(self, **settings: object) -> None:
        self.server = _WholeServer(**settings)
        self.conversation: WireConversation = self.server.connect(secure=True)
        self.conversation.say("EHLO client.example", LOGIN)

    def send(self, text: bytes, reverse_path: str = ALICE) -> str:
        """The code of the last reply to a message; it must leave the conversation in step."""
        self.conversation.say(f"MAIL FROM:<{reverse_path}>", f"RCPT TO:<{BOB}>", "DATA")
        self.conversation.receive(text + b"\r\n.\r\n")
        reply = self.conversation.output().decode()
        self.assertEqual(self.conversation.say("NOOP")[:4], "250 ")
        return reply[:3]

    @acceptance("S199")
    def test_no_second_author_is_hidden_in_the_header(self) -> None:
        self.start(max_bad_commands=1000, error_delay=0)
        own, other = f"From: {ALICE}".encode(), f": {BOB}".encode()
        names = (b"From", b"FROM", b"from ", b"From\t", b"From\r\n ", b"Sender", b"Resent-From", b"resent-sender \t")
        ends = (b"\r\n", b"\n", b"\r\r\n", b"\r\n \r\n", b"\r\nno field\r\n", b"\r\n\t\r\nX: y\r\n")
        for name, end in itertools.product(names, ends):
            for first, second in ((own, name + other), (name + other, own)):
                text = first + end + second + b"\r\nSubject: x\r\n\r\nx"
                # What begins with no field has no header: it is all text.
                self.assertEqual(self.send(text), "250" if text.startswith(b"From\r\n") else "550", text)
        for hidden in (b"Fr\0om", b"X: y\rFrom", b"From\x00"):
            self.assertEqual(self.send(own + b"\r\n" + hidden + other + b"\r\n\r\nx"), "550", hidden)
        # What is text is not the header's.
        for text in (own + b"\r\n\r\nFrom" + other, b"no field\r\nFrom" + other, b"\r\nFrom" + other):
            self.assertEqual(self.send(text), "250", text)
        for octets in self.server.taken():
            header = octets.partition(b"\r\n\r\n")[0]
            self.assertIn(own, header)
            self.assertNotIn(BOB.encode(), header.partition(b"Received:")[2].partition(b";")[2])

    def test_what_one_message_was_told_is_not_there_for_the_next(self) -> None:
        self.start()
        sales = "sales@mail.example"
        directory = self.server.store.directory
        fired(directory.set_alias(Address("sales", "mail.example"), [Address("alice", "mail.example")]))
        for _ in range(2):
            self.assertEqual(self.send(f"From: {BOB}\r\n\r\nx".encode()), "550")
            self.assertEqual(self.send(f"From: {sales}\r\n\r\nx".encode(), sales), "250")
        fired(directory.remove_alias(Address("sales", "mail.example")))
        self.server.clock.advance(DirectorySettings().cache_life)
        self.assertEqual(self.send(f"From: {sales}\r\n\r\nx".encode()), "550")
        self.assertIn("553 5.7.1", self.conversation.say(f"MAIL FROM:<{sales}>"))
        # Nobody is the last one who was allowed, and no recipient is left from before.
        self.assertEqual(
            [line[:3] for line in self.conversation.say(f"RCPT TO:<{BOB}>", "DATA").splitlines()], ["503"] * 2
        )
        self.assertEqual(self.send(f"From: {ALICE}\r\n\r\nx".encode()), "250")
        self.assertEqual(len(self.server.taken()), 3)

    def test_lists_of_thousands_of_addresses_are_refused_quickly(self) -> None:
        self.start()
        names = [b"a%d@mail.example" % number for number in range(3000)]
        began = time.process_time()
        for header in (
            b"From: " + b",\r\n ".join(names),
            b"From: " + ALICE.encode() + b"\r\n" + b"".join([b"Resent-From: %b\r\n" % name for name in names]),
            b"From: " + b"(" * 100_000,
            b"From: " + b"a:" * 50_000,
            b"From: " + ALICE.encode() + b"\r\nSender: " + b"<" * 100_000,
        ):
            self.assertEqual(self.send(header + b"\r\n\r\nx"), "550")
        self.assertLess(time.process_time() - began, 5)

    def test_a_header_that_is_too_long_is_refused_as_that(self) -> None:
        self.start()
        header = f"From: {ALICE}\r\n".encode() + b"X: y\r\n" * 100_000
        self.conversation.say(f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{BOB}>", "DATA")
        for at in range(0, len(header), 50_000):
            self.conversation.receive(header[at : at + 50_000])
        self.conversation.receive(b"\r\nx\r\n.\r\n")
        self.assertEqual(self.conversation.output(), b"552 5.3.4 Message header too long\r\n")

    @acceptance("S047")
    def test_no_message_is_smuggled_in_by_line_ends_that_are_repaired(self) -> None:
        self.start(max_transactions=10_000)
        ends = (b"\n", b"\r\n", b"\n\r\n", b"\r\r\n", b"\n\n")
        smuggled = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nFrom: {ALICE}\r\nSubject: smuggled\r\n".encode()
        taken = 0
        for before, after in itertools.product(ends, ends):
            if b"\r\n.\r\n" in before + b"." + after:
                continue  # the true end
            text = f"From: {ALICE}\r\nSubject: x\r\n\r\ntext".encode() + before + b"." + after + smuggled + b"\r\n.\r\n"
            for cut in range(len(text) - len(smuggled) - 15, len(text) - len(smuggled)):
                self.conversation.say(f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{BOB}>", "DATA")
                self.conversation.receive(text[:cut])
                self.conversation.receive(text[cut:])
                self.assertEqual(self.conversation.output()[:4], b"250 ", (before, after, cut))
                self.assertEqual(self.conversation.say("NOOP"), "250 2.0.0 Ok\r\n")
                taken += 1
        messages = self.server.taken()
        self.assertEqual(len(messages), taken)
        for octets in messages:
            self.assertFalse(has_bare_line_end(octets))
            self.assertIn(b"Subject: smuggled\r\n", octets.partition(b"\r\n\r\n")[2])
