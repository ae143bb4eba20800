"""Return paths of forwarded mail and of our own: made, read again, and not believed from others."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.bounce_tags import BounceTags, is_tagged
from pymailsuite.directory.return_paths import SECRET, ReturnPathResolver, ReturnPaths, secrets_kept_s
from pymailsuite.directory.signed_paths import NotOurReturnPath
from pymailsuite.directory.srs import SenderRewriting, is_rewritten
from pymailsuite.errors import NoSuchUser, StoreUnavailable
from pymailsuite.interfaces import IRecipientResolver, LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.values import Address
from tests.acceptance import acceptance
from tests.support.stores import make_account, make_store

NOW, DAY = 1_770_000_000.0, 86_400.0
SAM = Address("sam", "peer.example")
ANN = Address("ann", "example.org")
ours = SenderRewriting(b"ours", 21)
theirs = SenderRewriting(b"theirs", 21)
tags = BounceTags(b"ours", 7)

local_parts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=64)
domains = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9-]{1,10}){0,3}|\[192\.0\.2\.[0-9]\]", fullmatch=True)
addresses = st.builds(Address, local_parts, domains)
times = st.floats(0, 4e9)


def changed(text: str, position: int) -> str:
    """With another letter at a place of it."""
    return text[:position] + ("a" if text[position] not in "aA" else "b") + text[position + 1 :]


class SenderRewritingTests(SynchronousTestCase):
    @given(addresses, times, st.floats(0, 20 * DAY))
    def test_what_is_rewritten_is_restored(self, sender: Address, now: float, later: float) -> None:
        path = ours.rewrite(sender, "example.org", now)
        self.assertTrue(is_rewritten(path))
        self.assertEqual(ours.restore(path, now + later), sender)

    @given(addresses, times)
    def test_however_many_forward_it_finds_its_way_back(self, sender: Address, now: float) -> None:
        first = theirs.rewrite(sender, "first.example", now)
        second = ours.rewrite(first, "example.org", now)
        third = theirs.rewrite(second, "third.example", now)
        self.assertEqual(theirs.restore(third, now), first)
        self.assertEqual(ours.restore(second, now), first)
        self.assertEqual(theirs.restore(first, now), sender)
        self.assertLessEqual(len(third.local_part), len(second.local_part))

    @acceptance("S076")
    def test_the_forms_are_those_of_the_scheme(self) -> None:
        first = ours.rewrite(SAM, "example.org", NOW)
        self.assertRegex(str(first), r"^SRS0=[a-z2-7]{8}=[a-z2-7]{2}=peer\.example=sam@example\.org$")
        for local_part in ("SRS0=HH=TT=peer.example=sam", "srs0+HH=TT=peer.example=sam"):
            second = ours.rewrite(Address(local_part, "first.example"), "example.org", NOW)
            self.assertRegex(str(second), r"^SRS1=[a-z2-7]{8}=first\.example=[=+]HH=TT=peer\.example=sam@example\.org$")

    def test_a_host_that_changes_the_case_does_no_harm(self) -> None:
        for make in (str.upper, str.lower):
            path = ours.rewrite(SAM, "example.org", NOW)
            restored = ours.restore(Address(make(path.local_part), path.domain), NOW)
            self.assertEqual((restored.local_part.lower(), restored.domain), ("sam", "peer.example"))

    @acceptance("S076")
    @given(st.integers(5, 200), addresses)
    def test_what_was_made_elsewhere_or_changed_is_refused(self, position: int, sender: Address) -> None:
        for first in (sender, theirs.rewrite(sender, "first.example", NOW)):
            path = ours.rewrite(first, "example.org", NOW)
            self.assertRaises(NotOurReturnPath, theirs.restore, path, NOW)
            local_part = changed(path.local_part, min(position, len(path.local_part) - 1))
            if local_part.lower() != path.local_part.lower():
                self.assertRaises(NotOurReturnPath, ours.restore, Address(local_part, path.domain), NOW)

    @acceptance("S076")
    def test_what_is_too_old_is_refused(self) -> None:
        path = ours.rewrite(SAM, "example.org", NOW)
        self.assertEqual(ours.restore(path, NOW + 21 * DAY), SAM)
        self.assertRaises(NotOurReturnPath, ours.restore, path, NOW + 22 * DAY)
        self.assertRaises(NotOurReturnPath, ours.restore, path, NOW - DAY)

    @given(local_parts)
    def test_nonsense_is_refused(self, text: str) -> None:
        for start in ("SRS0=", "SRS1=", ""):
            self.assertRaises(NotOurReturnPath, ours.restore, Address(start + text, "example.org"), NOW)


class BounceTagTests(SynchronousTestCase):
    @given(addresses, times, st.floats(0, 6 * DAY))
    def test_what_is_tagged_is_untagged(self, sender: Address, now: float, later: float) -> None:
        tagged = tags.tag(sender, now)
        self.assertTrue(is_tagged(tagged))
        self.assertEqual(tags.untag(tagged, now + later), sender)

    @acceptance("S081")
    def test_a_tag_of_another_or_an_old_one_is_refused(self) -> None:
        tagged = tags.tag(ANN, NOW)
        self.assertRegex(str(tagged), r"^prvs=0\d{3}[a-z2-7]{8}=ann@example\.org$")
        for position in range(5, 17):
            self.assertRaises(
                NotOurReturnPath, tags.untag, Address(changed(tagged.local_part, position), tagged.domain), NOW
            )
        self.assertRaises(NotOurReturnPath, tags.untag, Address(tagged.local_part, "other.example"), NOW)
        self.assertRaises(NotOurReturnPath, BounceTags(b"theirs", 7).untag, tagged, NOW)
        self.assertEqual(tags.untag(tagged, NOW + 7 * DAY), ANN)
        self.assertRaises(NotOurReturnPath, tags.untag, tagged, NOW + 8 * DAY)

    @given(local_parts)
    def test_nonsense_is_refused(self, text: str) -> None:
        for start in ("prvs=", ""):
            self.assertRaises(NotOurReturnPath, tags.untag, Address(start + text, "example.org"), NOW)


class ReturnPathTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = make_store(self.clock)
        self.ann = make_account(self.store, "ann@example.org").account_id
        self.paths = self.make_paths()
        inner = RecipientResolver(DirectorySettings(), self.store.directory, self.clock)
        self.resolver = ReturnPathResolver(inner, self.paths)

    def make_paths(self) -> ReturnPaths:
        store = self.store
        return ReturnPaths(ForwardingSettings(), BounceTagSettings(), store.secrets, self.clock, store.kept_paths)

    def path(self, make: Callable[..., object], *arguments: object) -> Address:
        found = self.successResultOf(Deferred.fromCoroutine(make(*arguments)))  # type: ignore[arg-type]
        assert isinstance(found, Address)
        return found

    def test_the_secret_is_made_once_for_all_nodes(self) -> None:
        verifyObject(ISecretStore, self.store.secrets)
        (secret,) = self.successResultOf(self.store.secrets.secrets("x"))
        self.assertEqual(len(secret.octets), 32)
        self.assertEqual(self.successResultOf(self.store.secrets.secrets("x")), [secret])
        self.assertNotEqual(self.successResultOf(self.store.secrets.secrets("y")), [secret])

    def rotate(self) -> None:
        kept_s = secrets_kept_s(ForwardingSettings(), BounceTagSettings())
        self.successResultOf(self.store.secrets.rotate(SECRET, self.clock.seconds() - kept_s))

    @acceptance("S076", "S081")
    def test_after_a_rotation_old_paths_are_good_until_they_are_too_old_and_new_ones_at_every_node(self) -> None:
        here, there = self.make_paths(), self.make_paths()
        old = self.path(here.rewritten, SAM, "example.org")
        self.path(there.rewritten, SAM, "example.org")
        self.rotate()
        # Both nodes remember the secrets of a while ago: whatever one of them signs now, the other one believes.
        for _ in range(30):
            self.clock.advance(5)
            for path in (self.path(here.rewritten, SAM, "example.org"), self.path(here.tagged, ANN)):
                self.assertIn(self.path(there.restored, path), (SAM, ANN))
        self.assertNotEqual(old, self.path(here.rewritten, SAM, "example.org"))
        self.clock.advance(21 * DAY - 600)
        self.assertEqual(SAM, self.path(there.restored, old))

    def test_a_secret_is_not_believed_and_then_forgotten_when_nothing_made_with_it_can_be_good(self) -> None:
        first = self.path(self.paths.rewritten, Address("SRS0=HH=TT=peer.example=sam", "first.example"), "example.org")
        self.rotate()
        self.clock.advance(22 * DAY)
        # This form has no time of its own.
        self.assertEqual("first.example", self.path(self.paths.restored, first).domain)
        self.clock.advance(2 * DAY)
        self.failureResultOf(Deferred.fromCoroutine(self.paths.restored(first)), NotOurReturnPath)
        self.rotate()
        self.assertEqual(2, len(self.successResultOf(self.store.secrets.secrets(SECRET))))

    def test_a_store_that_is_away_is_not_missed_once_the_secret_is_known(self) -> None:
        path = self.path(self.paths.rewritten, SAM, "example.org")
        self.clock.advance(DAY)
        self.patch(self.store.secrets, "secrets", lambda name: fail(StoreUnavailable()))
        self.assertEqual(SAM, self.path(self.paths.restored, path))
        self.failureResultOf(Deferred.fromCoroutine(self.make_paths().restored(path)), StoreUnavailable)

    @acceptance("S076")
    def test_a_bounce_to_forwarded_mail_goes_on_to_its_sender_from_any_node(self) -> None:
        verifyObject(IRecipientResolver, self.resolver)
        path = self.path(self.make_paths().rewritten, SAM, "example.org")
        self.assertEqual(self.successResultOf(self.resolver.resolve(path)), (RemoteRecipient(SAM),))
        self.clock.advance(30 * DAY)
        self.failureResultOf(self.resolver.resolve(path), NoSuchUser)

    def test_a_bounce_to_a_tagged_sender_is_the_senders(self) -> None:
        path = self.path(self.paths.tagged, ANN)
        self.assertEqual(self.successResultOf(self.resolver.resolve(path)), (LocalRecipient(self.ann, ANN),))
        nobody = self.path(self.paths.tagged, Address("nobody", "example.org"))
        self.failureResultOf(self.resolver.resolve(nobody), NoSuchUser)

    def test_forged_paths_are_unknown_users(self) -> None:
        for local_part in ("SRS0=abc=de=peer.example=sam", "prvs=0123abcdef=ann", "SRS1=x=y=z"):
            self.failureResultOf(self.resolver.resolve(Address(local_part, "example.org")), NotOurReturnPath)

    def test_other_hosts_paths_are_theirs(self) -> None:
        path = Address("SRS0=abc=de=peer.example=sam", "other.example")
        self.assertEqual(self.successResultOf(self.resolver.resolve(path)), (RemoteRecipient(path),))

    @acceptance("S076")
    @given(addresses)
    def test_no_local_part_is_longer_than_hosts_take(self, sender: Address) -> None:
        for known in (
            sender,
            theirs.rewrite(sender, "first.example", NOW),
            theirs.rewrite(ours.rewrite(sender, "first.example", NOW), "second.example", NOW),
        ):
            path = self.path(self.paths.rewritten, known, "example.org")
            self.assertLessEqual(len(path.quoted_local_part.encode()), 64)
            self.assertTrue(is_rewritten(path))
            # Another node knows it too, and whoever forwards it again leads back to it.
            self.assertEqual(self.path(self.make_paths().restored, path), theirs.bounces_to(known))
            again = theirs.rewrite(path, "third.example", NOW)
            self.assertEqual(theirs.restore(again, NOW), theirs.bounces_to(path))

    def test_an_address_that_does_not_fit_is_kept_as_long_as_its_path_is_good(self) -> None:
        verifyObject(IKeptPaths, self.store.kept_paths)
        long = Address("bounce-4IDNASXYtY_FG21s4IoV1XzCfCtHkb2RZY_qdGZ8Q-6A", "sender.example")
        path = self.path(self.paths.rewritten, long, "example.org")
        self.assertRegex(str(path), r"^SRS0=[a-z2-7]{8}=[a-z2-7]{2}==[a-z2-7]{24}@example\.org$")
        for make in (str.upper, str.lower):
            changed_case = Address(make(path.local_part), path.domain)
            self.assertEqual(self.successResultOf(self.resolver.resolve(changed_case)), (RemoteRecipient(long),))
        forged = Address(changed(path.local_part, 5), path.domain)
        self.failureResultOf(self.resolver.resolve(forged), NotOurReturnPath)
        self.clock.advance(10 * DAY)
        later = self.path(self.paths.rewritten, long, "example.org")
        self.clock.advance(21 * DAY)
        self.sweep(0)
        self.failureResultOf(Deferred.fromCoroutine(self.paths.restored(path)), NotOurReturnPath)
        self.assertEqual(self.path(self.paths.restored, later), long)
        self.clock.advance(3 * DAY)
        self.sweep(1)
        self.failureResultOf(Deferred.fromCoroutine(self.paths.restored(later)), NotOurReturnPath)

    def sweep(self, dropped: int) -> None:
        self.assertEqual(
            self.successResultOf(self.store.maintenance.sweep(self.clock.seconds())).get("state", 0), dropped
        )

    def test_who_sends_again_costs_no_write(self) -> None:
        long = Address("x" * 64, "sender.example")
        path = self.path(self.paths.rewritten, long, "example.org")
        self.patch(self.store.database, "run", lambda *args: fail(StoreUnavailable()))
        self.assertEqual(self.path(self.paths.rewritten, long, "example.org"), path)

    def test_dots_that_went_without_quotes_go_on_so(self) -> None:
        dots = Address("a..b.", "peer.example", unquoted=True)
        first = ours.rewrite(dots, "example.org", NOW)
        for path, restored in (
            (first, ours.restore(first, NOW)),
            (second := theirs.rewrite(first, "x.example", NOW), theirs.restore(second, NOW)),
            (tagged := tags.tag(dots, NOW), tags.untag(tagged, NOW)),
        ):
            self.assertNotIn('"', f"{path} {restored}")

    def test_a_long_sender_of_ours_is_named_the_same_way(self) -> None:
        ann = Address("ann" + "+" + "x" * 60, "example.org")
        path = self.path(self.paths.tagged, ann)
        self.assertTrue(is_rewritten(path))
        self.assertLessEqual(len(path.local_part), 64)
        self.assertEqual(self.path(self.paths.restored, path), ann)

    def test_paths_of_an_earlier_release_are_good(self) -> None:
        for parts in (("SRS0", "u2", "peer.example", "sam"), ("SRS1", "first.example", "=HH=TT=peer.example=sam")):
            digest = hmac.new(b"ours", "\0".join(parts).lower().encode(), hashlib.sha256).digest()
            mark = base64.b32encode(digest[:8]).decode().rstrip("=")
            path = Address("=".join((parts[0], mark, *parts[1:])), "example.org")
            now = (20 * 32 + 28) * DAY if parts[0] == "SRS0" else NOW
            self.assertIn(ours.restore(path, now), (SAM, Address("SRS0=HH=TT=peer.example=sam", "first.example")))

    def test_a_path_that_would_be_too_long_is_left_as_it_is(self) -> None:
        long = Address("x" * 64, "y" * 250)
        self.assertEqual(self.path(self.paths.rewritten, long, "z" * 250), long)
        self.assertEqual(self.path(self.paths.tagged, long), long)
