"""SMTP with policies in front of the real intake and a real store in memory, which IMAP shows."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.history import HistorySettings
from pymailsuite.config.sections.quota import NO_QUOTA_SETTINGS
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.quota import RecipientQuotas
from pymailsuite.directory import RecipientResolver
from pymailsuite.interfaces import Column, QueueEntry
from pymailsuite.message.scan import scan
from pymailsuite.values import ALL_UIDS, Address
from tests.imap.conversation import Server as ImapServer
from tests.smtp.conversations import HOST, WireConversation
from tests.smtp.conversations import Server as SmtpServer
from tests.support.delivery import planner_for
from tests.support.policies import chain_of
from tests.support.stores import fired, make_account

ANN, BEA = Address("ann", "example.org"), Address("bea", "example.org")
HELLO = b"From: sam@peer.example\r\nTo: ann@example.org\r\nSubject: hello\r\n\r\nWorld\r\n"
_COLUMNS = (Column.OCTETS, Column.SIZE, Column.ENVELOPE, Column.BODYSTRUCTURE, Column.PREFIX_SIZE, Column.EXTRA_OCTETS)


class RealDoorTestCase(SynchronousTestCase):
    """Ann and Bea have accounts, everybody else is elsewhere."""

    quota = NO_QUOTA_SETTINGS

    def start(self, *policies: Any, settings: Any = None, delivery: Any = None, **options: Any) -> WireConversation:
        """A client at a server with these policies."""
        self.imap = ImapServer()
        self.store, self.clock = self.imap.store, self.imap.clock
        self.accounts = {ANN: self.imap.account.account_id}
        self.accounts[BEA] = make_account(self.store, str(BEA)).account_id
        self.chain = chain_of(*policies, clock=self.clock, **options)
        self.planner = planner_for(self.store, self.clock, quota=self.quota)
        self.history = HistoryRecorder(HistorySettings(), self.store.history, self.clock)
        quotas = RecipientQuotas(self.quota, self.store.quotas)
        intake = MessageIntake(
            self.store,
            delivery or DeliverySettings(),
            self.planner,
            HOST,
            self.clock,
            HOST,
            self.history,
            quotas=quotas,
        )
        self.resolver = RecipientResolver(DirectorySettings(), self.store.directory, self.clock)
        self.smtp = SmtpServer(
            settings,
            clock=self.clock,
            resolver=self.resolver,
            intake=intake,
            policies=self.chain,
            quotas=quotas,
            refusals=self.history,
        )
        self.client = self.smtp.connect()
        return self.client

    def begin(self, *recipients: Address, sender: str = "sam@peer.example") -> None:
        """Up to 354."""
        lines = [f"RCPT TO:<{recipient}>" for recipient in recipients or (ANN,)]
        said = self.client.say("EHLO client.example", f"MAIL FROM:<{sender}>", *lines, "DATA")
        self.assertIn("\n354 ", said)

    def send(self, octets: bytes = HELLO, *recipients: Address, piece: int = 0) -> str:
        """A message, in pieces of so many octets; the reply to it."""
        self.begin(*recipients)
        return self.give(octets, piece)

    def give(self, octets: bytes, piece: int = 0) -> str:
        """The text of the message that was begun."""
        octets += b".\r\n"
        for start in range(0, len(octets), piece or len(octets)):
            self.client.receive(octets[start : start + (piece or len(octets))])
        return self.client.output().decode()

    def mail(self, whose: Address = ANN, mailbox: str = "INBOX") -> list[bytes]:
        """What is in a mailbox; all that is known of each message fits its octets."""
        account = self.store.account_mail(self.accounts[whose])
        mailbox_id = fired(account.mailbox(mailbox)).mailbox_id  # type: ignore[attr-defined]
        rows: Any = fired(account.read_messages(mailbox_id, ALL_UIDS, _COLUMNS, list))
        for octets, size, envelope, bodystructure, in_front, extra in rows:
            structure = scan(octets[in_front:])
            self.assertEqual((size, extra), (len(octets), 0))
            self.assertEqual((envelope, bodystructure), (structure.envelope, structure.bodystructure))
        self.assertEqual(fired(self.store.maintenance.verify(True)), [])
        return [row[0] for row in rows]

    def queued(self) -> list[QueueEntry]:
        """What waits in the queue."""
        return fired(self.store.queue.entries())  # type: ignore[return-value]


def without_front(octets: bytes) -> bytes:
    """A message without the fields we have put in front of it."""
    return octets.partition(b"+0000\r\n")[2]
