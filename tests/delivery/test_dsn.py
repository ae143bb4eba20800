"""Reports of our own, as they leave."""

from __future__ import annotations

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.delivery.dsn import DsnWriter
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.interfaces import Acceptance, Column
from pymailsuite.interfaces.keys import StoredKey
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.message.dsn import Action, Dsn, DsnRecipient
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.policy.dkim.own_mail import OwnMailSigner
from pymailsuite.values import ALL_UIDS, Address
from tests.acceptance import acceptance
from tests.policy.dkim.support import NOW, private_key, resolver, result_of, signing_key
from tests.support.delivery import planner_for
from tests.support.stores import make_account, make_store

HEADER = b"From: ann@example.org\r\n\r\n"


class SignedReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.ann = make_account(self.store, "ann@example.org").account_id
        settings = DkimSignSettings()
        self.signer = OwnMailSigner(settings, KeyRing(settings, self.store.keys, self.clock), self.clock, maybeDeferred)

    def report(self, reverse_path: Address, host: str = "mx.example.org") -> Acceptance:
        planner = planner_for(self.store, self.clock)
        writer = DsnWriter(OwnMessages(self.store, planner, self.signer), self.clock, 1000)
        failed = DsnRecipient(Address("bob", "b.example"), Action.FAILED, "5.1.1")
        report = Dsn(host, "1", NOW, reverse_path, (failed,), HEADER, len(HEADER))
        acceptance = self.successResultOf(Deferred.fromCoroutine(writer.write(report)))
        assert acceptance is not None
        return acceptance

    def keep_key(self) -> None:
        key = StoredKey("example.org", "s1", private_key().pem(), NOW, active_from=NOW)
        self.successResultOf(self.store.keys.add(key))

    @acceptance("S194")
    def test_a_report_is_signed_with_the_key_of_its_authors_domain_wherever_it_goes(self) -> None:
        verifyObject(ISigner, self.signer)
        self.keep_key()
        sent = self.report(Address("sam", "peer.example"))
        self.successResultOf(self.store.queue.accept(sent))
        self.assertTrue(result_of(self.queued(), resolver(signing_key())).passed)
        self.successResultOf(self.store.queue.accept(self.report(Address("ann", "example.org"))))
        self.assertTrue(result_of(self.inbox(), resolver(signing_key())).passed)

    def test_without_a_key_it_leaves_as_it_is(self) -> None:
        (envelope,) = self.report(Address("sam", "peer.example")).outgoing
        self.assertEqual(envelope.prefix, b"")
        self.keep_key()
        (envelope,) = self.report(Address("sam", "peer.example"), host="mx.other.example").outgoing
        self.assertEqual(envelope.prefix, b"")

    def queued(self) -> bytes:
        (entry,) = self.successResultOf(self.store.queue.entries())
        return self.successResultOf(entry.source(self.store.read_content).read(0, entry.size))

    def inbox(self) -> bytes:
        account = self.store.account_mail(self.ann)
        box = self.successResultOf(account.mailbox("INBOX"))
        ((octets,),) = self.successResultOf(account.read_messages(box.mailbox_id, ALL_UIDS, [Column.OCTETS], list))
        assert isinstance(octets, bytes)
        return octets
