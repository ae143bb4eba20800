"""What the policies of DKIM answer the chain, and which keys sign."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.dkim import DkimSettings, DkimSignSettings, SigningKeyFile
from pymailsuite.directory.send_as import SenderRights
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.keys import IKeyStore, StoredKey
from pymailsuite.interfaces.policy import (
    Action,
    IMessageTap,
    IPolicy,
    MailTransaction,
    ReceivedMessage,
    Stage,
    Verdict,
)
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.policy.arc.policy import ArcPolicy
from pymailsuite.policy.base import Policy
from pymailsuite.policy.dkim import SigningKey
from pymailsuite.policy.dkim.key_ring import KeyRing, choose, parent_domains
from pymailsuite.policy.dkim.policy import DkimPolicy
from pymailsuite.policy.dkim.private_keys import write_key_file
from pymailsuite.policy.dkim.sign_policy import DkimSignPolicy
from pymailsuite.store import MailStore
from pymailsuite.values import Peer, QueueId
from tests.acceptance import acceptance
from tests.policy.arc.support import keys as arc_keys
from tests.policy.arc.support import sealed
from tests.policy.dkim.support import MESSAGE, NOW, private_key, resolver, result_of, run, signed, signing_key
from tests.support.stores import fired, make_account, make_store

STRANGER = Peer("192.0.2.1")


def clock_at(now: float = NOW) -> Clock:
    clock = Clock()
    clock.advance(now)
    return clock


def heard(policy: Policy, message: bytes, peer: Peer = STRANGER, submission: bool = False) -> Verdict | None:
    """What the policy says of a message it has heard in small pieces; None if it did not want to hear it."""
    verifyObject(IPolicy, policy)
    before = MailTransaction(Stage.DATA, peer, "mx.example.org", submission=submission)
    tap = policy.tap(before)
    if tap is None:
        return None
    verifyObject(IMessageTap, tap)
    for start in range(0, len(message), 7):
        tap.write(message[start : start + 7])
    received = ReceivedMessage(QueueId("1"), len(message), b"", {policy.name: tap})
    after = MailTransaction(Stage.MESSAGE, before.peer, "mx.example.org", message=received)
    verdict = fired(policy.message(after))
    assert isinstance(verdict, Verdict)
    return verdict


class DkimPolicyTests(SynchronousTestCase):
    def verdict(self, message: bytes, asked: FakeResolver | None = None, **settings: Any) -> Verdict:
        policy = DkimPolicy(DkimSettings(**settings), asked or resolver(signing_key()), clock_at())
        verdict = heard(policy, message)
        assert verdict is not None
        return verdict

    def test_results_are_told_and_nothing_is_objected_to(self) -> None:
        for message, word in ((signed(), "pass"), (signed() + b"more", "fail"), (MESSAGE, "none")):
            verdict = self.verdict(message)
            self.assertEqual((verdict.action, [result.result for result in verdict.results]), (Action.PASS, [word]))
        self.assertEqual(verdict.reason, "none message is not signed")

    def test_evidence_is_what_json_knows(self) -> None:
        rows = self.verdict(signed()).evidence["signatures"]
        self.assertEqual(rows, [{"result": "pass", "domain": "example.org", "selector": "s1", "reason": ""}])

    def test_a_message_with_failed_signatures_only_is_refused_where_that_is_wanted(self) -> None:
        verdict = self.verdict(signed() + b"more", reject_failed=True)
        assert verdict.reply is not None
        self.assertEqual((verdict.action, verdict.reply.enhanced_code), (Action.REJECT, "5.7.20"))
        for message in (MESSAGE, signed(), signed(signed().replace(b"Subject", b"Sujet"))):
            self.assertEqual(self.verdict(message, reject_failed=True).action, Action.PASS)
        broken = FakeResolver(failing=["s1._domainkey.example.org"])
        self.assertEqual(self.verdict(signed(), broken, reject_failed=True).action, Action.PASS)


class ArcPolicyTests(SynchronousTestCase):
    @acceptance("S076")
    def test_a_chain_is_told_with_the_client(self) -> None:
        policy = ArcPolicy(ArcSettings(), arc_keys(), clock_at())
        verdict = heard(policy, sealed(hops=2))
        assert verdict is not None
        (result,) = verdict.results
        self.assertEqual((result.method, result.result), ("arc", "pass"))
        self.assertEqual(result.properties, (("smtp.remote-ip", "192.0.2.1"),))
        self.assertEqual(verdict.evidence["sealers"], ["hop1.example.org", "hop2.example.org"])
        broken = heard(policy, sealed() + b"more")
        assert broken is not None
        self.assertEqual((broken.action, broken.results[0].result), (Action.PASS, "fail"))

    def test_nothing_is_told_of_a_message_without_seals(self) -> None:
        verdict = heard(ArcPolicy(ArcSettings(), arc_keys(), clock_at()), MESSAGE)
        assert verdict is not None
        self.assertEqual(verdict.results, ())


class SigningCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.store: MailStore = make_store()
        self.clock = clock_at()

    def keep(self, selector: str, domain: str = "example.org", kind: str = "rsa", **period: float | None) -> None:
        stored = StoredKey(domain, selector, private_key(kind).pem(), NOW - 100, **{"active_from": 0.0, **period})
        fired(self.store.keys.add(stored))

    def policy(self, rights: ISenderRights | None = None, **settings: Any) -> DkimSignPolicy:
        section = DkimSignSettings(**settings)
        return DkimSignPolicy(section, KeyRing(section, self.store.keys, self.clock), self.clock, rights)


class SignPolicyTests(SigningCase):
    @acceptance("S194")
    def test_mail_of_users_and_trusted_clients_is_signed_and_that_of_strangers_is_not(self) -> None:
        self.keep("s1")
        policy = self.policy()
        for transaction in (
            {"submission": True},
            {"peer": Peer("192.0.2.1", login="ann")},
            {"peer": Peer("192.0.2.1", trusted=True)},
        ):
            verdict = heard(policy, MESSAGE, **transaction)
            assert verdict is not None
            self.assertTrue(result_of(b"".join(verdict.fields) + MESSAGE).passed)
        self.assertIsNone(heard(policy, MESSAGE))

    @acceptance("S199")
    def test_a_key_signs_only_for_whom_the_client_may_send_as(self) -> None:
        self.keep("s1")
        self.keep("s1", domain="tenant.example")
        make_account(self.store, "ann@example.org")
        rights = SenderRights(DirectorySettings(), self.store.directory, self.store.send_as, self.clock)
        policy = self.policy(rights, trusted_domains=["example.org", "bob@tenant.example"])
        user, host = Peer("192.0.2.1", login="ann@example.org"), Peer("192.0.2.1", trusted=True)
        for author, by_user, by_host in (
            (b"ann@example.org", True, True),
            (b"bob@example.org", False, True),
            (b"ann@example.org, bob@example.org", False, True),
            (b"bob@tenant.example", False, True),
            (b"carol@tenant.example", False, False),
        ):
            message = MESSAGE.replace(b"ann@example.org", author)
            for peer, expected in ((user, by_user), (host, by_host)):
                verdict = heard(policy, message, peer=peer)
                assert verdict is not None
                self.assertEqual(bool(verdict.fields), expected, (author, peer))
                self.assertEqual(verdict.reason.startswith("not signed: the client may not"), not expected)

    def test_each_kind_of_key_signs(self) -> None:
        self.keep("s1")
        self.keep("s2", kind="ed25519")
        verdict = heard(self.policy(), MESSAGE, submission=True)
        assert verdict is not None
        self.assertEqual(verdict.evidence["keys"], ["s1/example.org", "s2/example.org"])
        self.assertEqual(len(verdict.fields), 2)

    def test_mail_without_a_key_or_a_single_author_domain_is_not_signed(self) -> None:
        self.keep("s1")
        for message in (
            MESSAGE.replace(b"ann@example.org", b"ann@other.example"),
            b"To: x\r\n\r\n",
            b"From: a@example.org, b@example.com\r\n\r\n",
        ):
            verdict = heard(self.policy(), message, submission=True)
            assert verdict is not None
            self.assertEqual(verdict.fields, ())
            self.assertTrue(verdict.reason.startswith("not signed"))

    def test_no_message_is_heard_once_it_is_known_that_nobody_has_a_key(self) -> None:
        policy = self.policy(reload=30)
        heard(policy, MESSAGE, submission=True)
        self.keep("s1")
        taps = []
        for _ in range(2):
            taps.append(policy.tap(MailTransaction(Stage.DATA, STRANGER, "mx.example.org", submission=True)))
            self.clock.advance(30)
        self.assertIsNone(taps[0])
        self.assertIsNotNone(taps[1])

    def test_the_body_need_not_be_heard_once_it_is_known_that_its_domain_has_no_key(self) -> None:
        self.keep("s1", domain="other.example")
        policy = self.policy(reload=30)
        given_up = []
        for _ in range(3):
            tap: Any = policy.tap(MailTransaction(Stage.DATA, STRANGER, "mx.example.org", submission=True))
            tap.write(MESSAGE)
            given_up.append(tap.is_given_up)
            verdict = heard(policy, MESSAGE, submission=True)
            assert verdict is not None
            self.assertEqual(verdict.reason, "not signed: no key for example.org")
            self.clock.advance(20)
        self.assertEqual(given_up, [False, True, False])

    def test_the_next_key_takes_over_at_its_moment(self) -> None:
        self.keep("old", active_until=NOW + 1000)
        self.keep("new", active_from=NOW + 1000)
        self.keep("someday", active_from=None)
        policy = self.policy()
        selectors = []
        for step in (0, 999, 1):
            self.clock.advance(step)
            verdict = heard(policy, MESSAGE, submission=True)
            assert verdict is not None
            selectors.append(verdict.evidence["keys"])
        self.assertEqual(selectors, [["old/example.org"], ["old/example.org"], ["new/example.org"]])

    def test_a_new_key_is_used_once_what_is_remembered_is_old(self) -> None:
        policy = self.policy(reload=30)
        first = heard(policy, MESSAGE, submission=True)
        self.keep("s1")
        second = heard(policy, MESSAGE, submission=True)
        self.clock.advance(30)
        third = heard(policy, MESSAGE, submission=True)
        self.assertEqual([len(verdict.fields) if verdict else 0 for verdict in (first, second, third)], [0, 0, 1])


class KeyRingTests(SigningCase):
    def test_keys_of_the_domain_go_before_those_of_domains_above_it(self) -> None:
        keys = [signing_key(domain="example.org"), signing_key(domain="b.example.org")]
        found = [[key.domain for key in choose(keys, name, NOW, True)] for name in ("a.b.example.org", "c.example.org")]
        self.assertEqual(found, [["b.example.org"], ["example.org"]])
        self.assertEqual(choose(keys, "c.example.org", NOW, False), [])
        self.assertEqual(choose(keys, "badexample.org", NOW, True), [])
        self.assertEqual(parent_domains("a.b.example.org"), ["a.b.example.org", "b.example.org", "example.org"])

    def test_of_several_keys_of_a_kind_the_newest_signs(self) -> None:
        keys = [SigningKey("example.org", f"s{start}", private_key(), start) for start in (1, 3, 2)]
        self.assertEqual([key.selector for key in choose(keys, "example.org", NOW, True)], ["s3"])

    def test_keys_in_files_and_in_the_store_are_one_set(self) -> None:
        self.keep("s1")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "key.pem"
            write_key_file(path, private_key("ed25519"))
            section = DkimSignSettings(keys=[SigningKeyFile(domain="example.org", selector="f", file=path)])
            ring = KeyRing(section, self.store.keys, self.clock)
            self.assertEqual([key.selector for key in run(ring.keys_for("example.org"))], ["s1", "f"])
            os.chmod(path, 0o644)
            self.assertRaises(ConfigError, KeyRing, section, None, self.clock)

    def test_keys_are_found_by_either_form_of_a_domain(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "key.pem"
            write_key_file(path, private_key("ed25519"))
            ring = KeyRing(
                DkimSignSettings(keys=[SigningKeyFile(domain="bücher.example", selector="f", file=path)]),
                None,
                self.clock,
            )
        for domain in ("bücher.example", "mail.xn--bcher-kva.example"):
            self.assertEqual([key.domain for key in run(ring.keys_for(domain))], ["xn--bcher-kva.example"])

    def test_a_stored_key_that_cannot_be_read_is_passed_over_and_logged_without_it(self) -> None:
        fired(self.store.keys.add(StoredKey("example.org", "s1", b"-----BEGIN secret", NOW, 0.0)))
        ring = KeyRing(DkimSignSettings(), self.store.keys, self.clock)
        self.assertEqual(run(ring.keys_for("example.org")), [])

    def test_the_store_keeps_keys(self) -> None:
        verifyObject(IKeyStore, self.store.keys)
