"""What an alias sends on, and what our own users send: how it leaves."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.steps.forward import ForwardStep, SentOnBefore, forwarded_mark
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.interfaces import Column, QueueEntry, RemoteRecipient
from pymailsuite.interfaces.delivery import IDeliveryStep, IReturnPaths
from pymailsuite.interfaces.edits import NO_EDITS, Edits, ReplaceBody, ReplaceField
from pymailsuite.interfaces.keys import StoredKey
from pymailsuite.interfaces.signing import ISealer, ISealingMessage
from pymailsuite.policy.arc.results import ArcResult
from pymailsuite.policy.arc.sealing import ForwardSealer
from pymailsuite.policy.arc.verify import verify_arc
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.values import ALL_UIDS, MAX_CHUNK, Address, Envelope, Peer
from tests.acceptance import acceptance
from tests.policy.dkim.support import MESSAGE, NOW, private_key, resolver, result_of, run, signed, signing_key
from tests.support.delivery import planner_for
from tests.support.stores import make_account, make_store

SAM, ANN = Address("sam", "peer.example"), Address("ann", "example.org")
TEAM, BOB = Address("team", "example.org"), Address("bob", "b.example")
STRANGER = Peer("192.0.2.1", helo="mx.peer.example")
USER = Peer("192.0.2.2", login="ann@example.org")
FOUND = b"Authentication-Results: mx.example.org;\r\n\tspf=pass smtp.mailfrom=sam@peer.example;\r\n\tdmarc=pass\r\n"


class ForwardingCase(SynchronousTestCase):
    forwarding = ForwardingSettings()
    tags = BounceTagSettings()

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.ann = make_account(self.store, "ann@example.org").account_id
        self.successResultOf(self.store.directory.set_alias(TEAM, [ANN, BOB]))
        key = StoredKey("example.org", "s1", private_key().pem(), NOW, active_from=NOW)
        self.successResultOf(self.store.keys.add(key))
        self.use()

    def use(self, forwarding: dict[str, Any] | None = None, tags: dict[str, Any] | None = None, **arc: Any) -> None:
        rewriting, tagging = ForwardingSettings(**(forwarding or {})), BounceTagSettings(**(tags or {}))
        self.paths = paths = ReturnPaths(rewriting, tagging, self.store.secrets, self.clock, self.store.kept_paths)
        directory = RecipientResolver(DirectorySettings(), self.store.directory, self.clock)
        self.recipients = ReturnPathResolver(directory, paths)
        ring = KeyRing(DkimSignSettings(), self.store.keys, self.clock)
        self.dns = resolver(signing_key())
        self.sealer = ForwardSealer(ArcSettings(**arc), ring, self.dns, "mx.example.org", self.clock, maybeDeferred)
        self.planner = planner_for(
            self.store,
            self.clock,
            recipients=self.recipients,
            forwarding=rewriting,
            tags=tagging,
            paths=paths,
            sealer=self.sealer,
        )
        self.intake = MessageIntake(
            self.store, DeliverySettings(), self.planner, "mx.example.org", self.clock, "mx.example.org"
        )

    def take(
        self,
        *addresses: Address,
        octets: bytes = MESSAGE,
        sender: Address | None = SAM,
        peer: Peer = STRANGER,
        prefix: bytes = FOUND,
        edits: Edits = NO_EDITS,
    ) -> Deferred[Any]:
        recipients = [(address, self.successResultOf(self.recipients.resolve(address))) for address in addresses]
        message = self.intake.open(Envelope(sender, addresses), recipients, peer)
        for start in range(0, len(octets), 50):
            message.write(octets[start : start + 50])
        return message.commit(prefix, edits=edits)

    def taken(self, *addresses: Address, **more: Any) -> QueueEntry:
        self.successResultOf(self.take(*addresses, **more))
        entry = self.successResultOf(self.store.queue.entries())[-1]
        assert isinstance(entry, QueueEntry)
        return entry

    def leaving(self, entry: QueueEntry) -> bytes:
        return self.successResultOf(entry.source(self.store.read_content).read(0, entry.size))

    def chain(self, octets: bytes) -> ArcResult:
        return run(verify_arc(octets, self.dns, NOW))

    def inbox(self) -> list[bytes]:
        account = self.store.account_mail(self.ann)
        box = self.successResultOf(account.mailbox("INBOX"))
        rows = self.successResultOf(account.read_messages(box.mailbox_id, ALL_UIDS, [Column.OCTETS], list))
        return [row[0] for row in rows]


class ForwardingTests(ForwardingCase):
    def test_it_provides_the_interfaces(self) -> None:
        step = ForwardStep(ForwardingSettings(), BounceTagSettings(), self.paths, self.recipients, self.sealer)
        verifyObject(IDeliveryStep, step)
        verifyObject(IReturnPaths, self.paths)
        verifyObject(ISealer, self.sealer)
        verifyObject(ISealingMessage, self.sealer.listen())

    @acceptance("S076")
    def test_it_leaves_with_a_return_path_of_ours_and_a_seal_of_what_we_found(self) -> None:
        entry = self.taken(TEAM, octets=signed())
        assert entry.reverse_path is not None
        self.assertEqual(entry.reverse_path.domain, "example.org")
        self.assertEqual(self.successResultOf(self.recipients.resolve(entry.reverse_path)), (RemoteRecipient(SAM),))
        octets = self.leaving(entry)
        self.assertTrue(octets.startswith(b"ARC-Seal: "), octets)
        chain = self.chain(octets)
        self.assertEqual((chain.status.value, chain.instance), ("pass", 1))
        self.assertEqual(chain.hops[0].domain, "example.org")
        self.assertEqual(chain.hops[0].results, "mx.example.org; spf=pass smtp.mailfrom=sam@peer.example; dmarc=pass")
        self.assertTrue(result_of(octets, self.dns).passed)

    @acceptance("S076")
    def test_local_copies_are_as_they_were_sent(self) -> None:
        self.taken(TEAM)
        (octets,) = self.inbox()
        self.assertTrue(octets.startswith(b"Return-Path: <sam@peer.example>\r\n"))
        for field in (b"ARC-", b"X-Forwarded-Mark", b"SRS0"):
            self.assertNotIn(field, octets)

    @acceptance("S187")
    def test_the_seal_is_of_the_message_as_policies_have_changed_it(self) -> None:
        for edits in (
            Edits(header=(ReplaceField(b"Subject", b"Subject: other\r\n"),)),
            Edits(body=ReplaceBody(b"Another body\r\n")),
        ):
            octets = self.leaving(self.taken(TEAM, octets=signed(), edits=edits))
            self.assertEqual(self.chain(octets).status.value, "pass")
            # The author's own signature is not of what we have made of it.
            self.assertFalse(result_of(octets, self.dns).passed)

    @acceptance("S187")
    def test_what_policies_redirect_leaves_sealed_as_what_an_alias_sends_on(self) -> None:
        far = Address("joe", "far.example")
        for octets in (signed(), signed(MESSAGE + b"x" * (MAX_CHUNK + 9))):
            entry = self.taken(ANN, octets=octets, edits=Edits(redirected={ANN: far}))
            self.assertEqual([one.address for one in entry.recipients], [far])
            self.assertEqual(entry.reverse_path.domain if entry.reverse_path else None, "example.org")
            if entry.size < MAX_CHUNK:
                self.assertEqual(self.chain(self.leaving(entry)).status.value, "pass")
            self.assertTrue(entry.prefix.startswith(b"ARC-Seal: "))
        self.assertEqual(self.inbox(), [])

    def test_a_chain_goes_on(self) -> None:
        octets = self.leaving(self.taken(TEAM))
        carl = Address("carl", "example.org")
        self.successResultOf(self.store.directory.set_alias(carl, [Address("c", "c.example")]))
        chain = self.chain(self.leaving(self.taken(carl, octets=octets, prefix=FOUND[:-2] + b"; arc=pass\r\n")))
        self.assertEqual((chain.status.value, chain.instance), ("pass", 2))

    def test_results_that_the_message_brought_in_our_name_are_not_sealed(self) -> None:
        forged = b"Authentication-Results: mx.example.org; dkim=pass header.d=bank.example\r\n" + MESSAGE
        chain = self.chain(self.leaving(self.taken(TEAM, octets=forged, prefix=b"")))
        self.assertEqual((chain.status.value, chain.hops[0].results), ("pass", "mx.example.org; arc=none"))

    @acceptance("S076")
    def test_what_comes_back_to_the_same_alias_is_a_loop(self) -> None:
        octets = self.leaving(self.taken(TEAM))
        self.assertIn(f"X-Forwarded-Mark: {forwarded_mark(TEAM)}\r\n".encode(), octets)
        self.assertNotIn(b"team@", octets.partition(b"Received:")[0])
        self.failureResultOf(self.take(TEAM, octets=octets), SentOnBefore)
        self.assertEqual(len(self.inbox()), 1)
        self.successResultOf(self.take(ANN, octets=octets))

    @acceptance("S076")
    def test_it_can_be_switched_off_for_all_and_for_some(self) -> None:
        self.use({"srs": False}, seal_domain="other.example")
        entry = self.taken(TEAM)
        self.assertEqual(entry.reverse_path, SAM)
        self.assertNotIn(b"ARC-Seal", self.leaving(entry))
        for unchanged in ("team@example.org", "example.org"):
            self.use({"unchanged_for": (unchanged,)})
            entry = self.taken(TEAM)
            self.assertEqual(entry.reverse_path, SAM)
            self.assertNotIn(b"ARC-Seal", self.leaving(entry))
            self.failureResultOf(self.take(TEAM, octets=self.leaving(entry)), SentOnBefore)

    @acceptance("S076")
    def test_each_recipients_mail_leaves_as_that_recipient_wants_it(self) -> None:
        plain, other = Address("plain", "example.org"), Address("team", "example.net")
        self.successResultOf(self.store.directory.add_domain("example.net"))
        self.successResultOf(self.store.directory.set_alias(plain, [Address("c", "c.example")]))
        self.successResultOf(self.store.directory.set_alias(other, [Address("d", "d.example")]))
        self.use({"unchanged_for": ("plain@example.org",)})
        for addresses in ((plain, TEAM, other), (other, TEAM, plain)):
            self.successResultOf(self.take(*addresses, octets=signed()))
            entries = self.successResultOf(self.store.queue.entries())
            self.successResultOf(self.store.queue.delete([entry.entry_id for entry in entries]))
            envelopes = {entry.recipients[0].address.domain: entry for entry in entries}
            self.assertEqual([len(way.recipients) for way in envelopes.values()], [1, 1, 1])
            self.assertEqual(envelopes["c.example"].reverse_path, SAM)
            self.assertTrue(
                self.leaving(envelopes["c.example"]).startswith(
                    f"X-Forwarded-Mark: {forwarded_mark(plain)}\r\n".encode()
                )
            )
            for target, alias in (("b.example", TEAM), ("d.example", other)):
                path = envelopes[target].reverse_path
                assert path is not None
                self.assertEqual(path.domain, alias.domain)
                self.assertEqual(self.successResultOf(self.recipients.resolve(path)), (RemoteRecipient(SAM),))
                octets = self.leaving(envelopes[target])
                self.assertIn(f"X-Forwarded-Mark: {forwarded_mark(alias)}\r\n".encode(), octets)
                self.assertNotIn(forwarded_mark(plain).encode(), octets)
                self.assertEqual(self.chain(octets).status.value if alias is TEAM else "pass", "pass")
                self.assertEqual(envelopes[target].size, len(octets))

    def test_a_seal_that_breaks_keeps_nobody_waiting(self) -> None:
        def broken(*args: Any) -> None:
            raise KeyError("defect")

        self.patch(self.sealer.ring, "keys_for", broken)
        self.assertTrue(self.leaving(self.taken(TEAM)).startswith(b"X-Forwarded-Mark: "))
        self.assertEqual((len(self.inbox()), len(self.flushLoggedErrors(KeyError))), (1, 1))

    def test_what_came_back_to_one_alias_goes_to_the_others(self) -> None:
        octets = self.leaving(self.taken(TEAM))
        carl = Address("carl", "example.org")
        self.successResultOf(self.store.directory.set_alias(carl, [Address("c", "c.example")]))
        entry = self.taken(TEAM, carl, octets=octets)
        self.assertEqual([one.address.domain for one in entry.recipients], ["c.example"])
        self.assertEqual(len(self.inbox()), 1)

    def test_senders_of_ours_and_the_null_sender_stay_what_they_are(self) -> None:
        for sender in (ANN, None):
            self.assertEqual(self.taken(TEAM, sender=sender).reverse_path, sender)

    def test_what_is_sent_elsewhere_straight_away_is_nobodys_business(self) -> None:
        entry = self.taken(BOB, peer=USER, sender=ANN)
        self.assertEqual(entry.reverse_path, ANN)
        self.assertTrue(self.leaving(entry).startswith(FOUND + b"Received: "))

    def test_a_message_that_cannot_be_sealed_is_sent_on_without(self) -> None:
        for octets in (b"Subject: no From\r\n\r\n", b"no header\r\n"):
            entry = self.taken(TEAM, octets=octets)
            self.assertTrue(self.leaving(entry).startswith(b"X-Forwarded-Mark: "))


class BounceTagTests(ForwardingCase):
    @acceptance("S081")
    def test_own_mail_leaves_with_a_tag_that_leads_back(self) -> None:
        self.use(tags={"domains": ("example.org",)})
        for peer in (USER, Peer("127.0.0.1", trusted=True), Peer("")):
            entry = self.taken(BOB, TEAM, peer=peer, sender=ANN)
            path = entry.reverse_path
            assert path is not None
            self.assertTrue(path.local_part.startswith("prvs="))
            self.assertEqual(
                self.successResultOf(self.recipients.resolve(path)), self.successResultOf(self.recipients.resolve(ANN))
            )
        self.assertIn(b"Return-Path: <ann@example.org>", self.inbox()[0])

    def test_what_a_stranger_sends_in_our_name_gets_none(self) -> None:
        self.use(tags={"domains": ("example.org",)})
        self.assertEqual(self.taken(TEAM, sender=ANN).reverse_path, ANN)

    def test_domains_that_are_not_tagged_are_left_alone(self) -> None:
        self.use(tags={"domains": ("other.example",)})
        self.assertEqual(self.taken(BOB, peer=USER, sender=ANN).reverse_path, ANN)
