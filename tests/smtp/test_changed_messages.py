"""Messages that policies want changed: through SMTP into the store, and out by IMAP."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.dkim import DkimSignSettings
from pymailsuite.config.sections.policy import PolicySection
from pymailsuite.config.sections.smtp import SubmissionSettings
from pymailsuite.delivery.late import LateDelivery
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.directory import RecipientResolver
from pymailsuite.errors import StoreUnavailable
from pymailsuite.interfaces.edits import (
    AddField,
    AddRecipient,
    ChangeSender,
    IBodyStream,
    Quarantine,
    Redirect,
    RemoveField,
    RemoveRecipient,
    ReplaceBody,
    ReplaceField,
)
from pymailsuite.interfaces.overrides import RecipientOverrides
from pymailsuite.interfaces.policy import Action, MethodResult, Verdict
from pymailsuite.policy.dkim import DkimStatus, SigningKey
from pymailsuite.policy.dkim.sign_policy import DkimSignPolicy
from pymailsuite.policy.dkim.verify import verify_message
from pymailsuite.values import MAX_CHUNK, Address, QueueId, content_id_of
from tests.acceptance import acceptance
from tests.policy.dkim.support import NOW, private_key, resolver, run
from tests.smtp.real_door import ANN, BEA, HELLO, RealDoorTestCase, without_front
from tests.support.delivery import planner_for
from tests.support.policies import says
from tests.support.stores import fired

JOE = Address("joe", "far.example")
LOGIN = "AUTH PLAIN " + base64.b64encode(b"\0alice@mail.example\0secret").decode()
MARKED = AddField(b"X-Seen: yes\r\n")


def wants(*edits: Any, name: str = "changes", after: Sequence[str] = (), **verdict: Any) -> Any:
    """A policy that wants these of every message."""
    return says(name, after=after, message=Verdict(Action.TAG, "changed", edits=edits, **verdict))


@implementer(IBodyStream)
class Body:
    """A body that is there piece by piece."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.closed = 0

    def read(self) -> Deferred[bytes]:
        """The next piece, a failure, or a Deferred."""
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            return fail(piece)
        return piece if isinstance(piece, Deferred) else succeed(piece)

    def close(self) -> None:
        """Counted."""
        self.closed += 1


class HeaderTests(RealDoorTestCase):
    """Fields added, replaced, removed."""

    @acceptance("S187")
    def test_the_header_is_changed_behind_our_trace_and_everything_known_of_the_message_fits_it(self) -> None:
        edits = (MARKED, ReplaceField(b"subject", b"Subject: [seen] hello\r\n"), RemoveField(b"To"))
        for piece in (0, 1):
            self.start(wants(*edits))
            reply = self.send(piece=piece)
            (octets,) = self.mail()
            self.assertEqual(
                without_front(octets),
                b"X-Seen: yes\r\nFrom: sam@peer.example\r\nSubject: [seen] hello\r\n\r\nWorld\r\n",
            )
            queue_id = reply.split()[2]
            self.assertIn(f"id {queue_id}".encode(), b" ".join(octets.split()))

    def test_imap_shows_the_message_as_it_was_changed(self) -> None:
        self.start(wants(MARKED, ReplaceField(b"Subject", b"Subject: other\r\n")))
        self.send()
        (octets,) = self.mail()
        client = self.imap.connect().login()
        client.command("SELECT INBOX")
        answer = "\n".join(client.command("FETCH 1 (RFC822.SIZE ENVELOPE BODY[HEADER.FIELDS (X-Seen)] BODY[TEXT])"))
        self.assertIn(f"RFC822.SIZE {len(octets)} ", answer)
        self.assertIn('ENVELOPE (NIL "other" ((NIL NIL "sam" "peer.example"))', answer)
        self.assertIn("BODY[HEADER.FIELDS (X-Seen)] {15}\nX-Seen: yes\n\n BODY[TEXT] {7}\nWorld\n", answer)

    def test_results_are_of_the_message_as_it_came(self) -> None:
        checks = says("checks", message=Verdict(results=(MethodResult("dkim", "pass"),)))
        self.start(checks, wants(RemoveField(b"Subject")))
        self.send()
        (octets,) = self.mail()
        self.assertIn(b"\r\nAuthentication-Results: mail.example;\r\n\tdkim=pass\r\nReceived: ", octets)
        self.assertNotIn(b"Subject", octets)

    def test_a_message_without_a_header_gets_one(self) -> None:
        self.start(wants(MARKED))
        self.send(b"no header at all\r\n")
        (octets,) = self.mail()
        self.assertEqual(without_front(octets), b"X-Seen: yes\r\n\r\nno header at all\r\n")

    def test_a_long_message_is_copied_in_pieces(self) -> None:
        body = b"A line of a long message.\r\n" * (2 * MAX_CHUNK // 20)
        self.start(wants(MARKED))
        self.send(HELLO + body, piece=70_001)
        account = self.store.account_mail(self.accounts[ANN])
        inbox: Any = fired(account.mailbox("INBOX"))
        octets: Any = b"".join(
            fired(account.read_octets(inbox.mailbox_id, 1, start, start + MAX_CHUNK))  # type: ignore[misc]
            for start in range(0, inbox.size, MAX_CHUNK)
        )
        self.assertEqual(without_front(octets), b"X-Seen: yes\r\n" + HELLO + body)
        self.assertEqual(fired(self.store.maintenance.verify(True)), [])
        statistics: Any = fired(self.store.maintenance.statistics())
        self.assertLess(statistics["content_octets"], len(octets))

    def test_who_is_asked_later_sees_what_others_want_and_has_the_last_word(self) -> None:
        seen: list[Any] = []

        def second(transaction: Any) -> Verdict:
            seen.append(transaction.verdicts["first"].edits)
            return Verdict(Action.TAG, edits=(ReplaceField(b"Subject", b"Subject: second\r\n"), ChangeSender(None)))

        edits = (ReplaceField(b"Subject", b"Subject: first\r\n"), MARKED, ChangeSender(BEA))
        # In the configuration the one that comes after stands before the other.
        self.start(says("last", after=["first"], message=second), wants(*edits, name="first"))
        self.send()
        self.assertEqual(seen, [edits])
        (octets,) = self.mail()
        self.assertTrue(octets.startswith(b"Return-Path: <>\r\n"))
        self.assertEqual(without_front(octets), b"X-Seen: yes\r\n" + HELLO.replace(b"hello", b"second"))

    def test_at_rcpt_it_is_wanted_once_however_many_recipients_there_are(self) -> None:
        self.start(says("changes", rcpt=Verdict(Action.TAG, edits=(MARKED,))))
        self.send(HELLO, ANN, BEA)
        for whose in (ANN, BEA):
            (octets,) = self.mail(whose)
            self.assertEqual(without_front(octets), MARKED.octets + HELLO)

    def test_an_edit_without_tag_and_what_is_no_edit_count_as_no_answer_and_are_told_by_name(self) -> None:
        for verdict in (
            Verdict(Action.PASS, edits=(MARKED,)),
            Verdict(Action.TAG, edits=("nonsense",)),  # type: ignore[arg-type]
            Verdict(Action.TAG, edits=MARKED),  # type: ignore[arg-type]
        ):
            self.start(says("wrong", message=verdict), wants(AddField(b"X-Other: 1\r\n")))
            self.assertIn("250 2.0.0", self.send())
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
            (octets,) = self.mail()
            self.assertEqual(without_front(octets), b"X-Other: 1\r\n" + HELLO)

    def test_what_only_goes_to_the_log_changes_nothing(self) -> None:
        self.start(wants(MARKED), sections={"changes": PolicySection(action="log")})
        self.send()
        self.assertEqual(without_front(self.mail()[0]), HELLO)


class RulesTests(RealDoorTestCase):
    """Recipients that want the check otherwise."""

    def wanting(self, **more: Any) -> None:
        """Bea wants nothing to count that the check says."""
        recipients = {str(BEA): RecipientOverrides(actions={"changes": "log"})}
        self.start(wants(MARKED, Redirect(JOE)), recipients=recipients, **more)

    def test_strangers_send_to_those_with_other_rules_separately(self) -> None:
        self.wanting()
        said = self.client.say(
            "EHLO client.example", "MAIL FROM:<sam@peer.example>", f"RCPT TO:<{ANN}>", f"RCPT TO:<{BEA}>"
        )
        self.assertIn("\n452 4.5.3 ", said)
        self.client.say("RSET")
        self.assertIn("250 2.0.0", self.send(HELLO, BEA))
        self.assertEqual(without_front(self.mail(BEA)[0]), HELLO)

    def test_of_a_users_message_each_recipient_goes_its_way_and_octets_are_the_same_for_all(self) -> None:
        self.wanting(settings=SubmissionSettings(), sections={"changes": PolicySection(exempt=[])})
        self.client = self.smtp.connect(secure=True)
        self.client.say("EHLO client.example", LOGIN)
        self.begin(ANN, BEA, sender="alice@mail.example")
        self.client.receive(HELLO.replace(b"sam@peer.example", b"alice@mail.example") + b".\r\n")
        self.assertIn("250 2.0.0", self.client.output().decode())
        self.assertEqual(self.mail(ANN), [])
        self.assertIn(MARKED.octets, self.mail(BEA)[0])
        self.assertEqual([one.address for entry in self.queued() for one in entry.recipients], [JOE])


class _Fault:
    """Call ``number`` of a database fails, until it is over."""

    def __init__(self, database: Any, number: int) -> None:
        self.calls = 0
        self.is_over = False
        self._number = number
        for name in ("run", "read", "run_together"):
            setattr(database, name, partial(self._call, getattr(database, name)))

    def _call(self, call: Any, *values: Any, **named: Any) -> Any:
        if self.is_over:
            return call(*values, **named)
        self.calls += 1
        return fail(StoreUnavailable()) if self.calls - 1 == self._number else call(*values, **named)


class FailureTests(RealDoorTestCase):
    """Each call of the store fails once."""

    @acceptance("S187")
    def test_a_message_that_is_staged_anew_is_there_once_or_not_at_all(self) -> None:
        body, failed = b"A line of a long message.\r\n" * (3 * MAX_CHUNK // 27), 0
        for number in range(40):
            self.start(wants(MARKED))
            self.begin()
            fault = _Fault(self.store.database, number)
            reply = self.give(HELLO + body, 100_000)
            fault.is_over = True
            account = self.store.account_mail(self.accounts[ANN])
            inbox: Any = fired(account.mailbox("INBOX"))
            self.assertEqual(inbox.messages, int(reply.startswith("250 ")), reply)
            fired(self.store.maintenance.sweep(self.clock.seconds() + 30 * 86400))
            self.assertEqual(fired(self.store.maintenance.verify(False)), [])
            statistics: Any = fired(self.store.maintenance.statistics())
            self.assertEqual(statistics["content_octets"] > 0, inbox.messages > 0)
            if number >= fault.calls:
                break
            failed += reply.startswith("451 ")
        else:
            self.fail("it does not end")
        self.assertGreater(failed, 5)


class BodyTests(RealDoorTestCase):
    """Another body, staged anew."""

    @acceptance("S187")
    def test_the_body_is_another(self) -> None:
        for body in (b"Other\r\n", Body(b"Oth", b"er\r", b"\n")):
            self.start(wants(ReplaceBody(body), ReplaceField(b"Content-Type", b"Content-Type: text/html\r\n")))
            self.send()
            (octets,) = self.mail()
            self.assertTrue(without_front(octets).endswith(b"Subject: hello\r\n\r\nOther\r\n"))
            self.assertIn(b"Content-Type: text/html\r\n", octets)
            if isinstance(body, Body):
                self.assertEqual(body.closed, 1)

    def test_a_body_that_comes_later_is_waited_for(self) -> None:
        piece: Deferred[bytes] = Deferred()
        self.start(wants(ReplaceBody(Body(b"a", piece))))
        self.assertEqual(self.send(), "")
        piece.callback(b"b\r\n")
        self.assertIn("250 2.0.0", self.client.output().decode())
        self.assertTrue(self.mail()[0].endswith(b"\r\n\r\nab\r\n"))

    def test_a_body_that_fails_or_hangs_has_the_message_come_again_and_nothing_is_left_of_it(self) -> None:
        long = b"x" * (MAX_CHUNK + 5)
        for body in (Body(long, ValueError("broken")), Body(long, "no octets"), Body(long, Deferred())):
            self.start(wants(ReplaceBody(body)))
            said = self.send()
            self.clock.advance(31)
            self.assertIn("451 4.3.0", said + self.client.output().decode())
            self.assertEqual(len(self.flushLoggedErrors()), 1)
            self.assertEqual((self.mail(), self.queued(), body.closed), ([], [], 1))
            self.assertIn("\n250 ", self.client.say("RSET", "NOOP"))


class EnvelopeTests(RealDoorTestCase):
    """Recipients, the sender, and where it goes."""

    @acceptance("S187")
    def test_recipients_are_added_and_removed(self) -> None:
        self.start(wants(RemoveRecipient(ANN), AddRecipient(BEA), AddRecipient(JOE), AddRecipient(BEA)))
        self.send()
        self.assertEqual(self.mail(ANN), [])
        (octets,) = self.mail(BEA)
        self.assertTrue(octets.startswith(b"Return-Path: <sam@peer.example>\r\nDelivered-To: bea@example.org\r\n"))
        self.assertEqual(without_front(octets), HELLO)
        ((entry),) = self.queued()
        self.assertEqual([one.address for one in entry.recipients], [JOE])

    def test_one_that_nobody_knows_is_reported_to_the_sender(self) -> None:
        self.start(wants(AddRecipient(Address("nobody", "example.org"))))
        self.send()
        self.assertEqual(len(self.mail()), 1)
        self.assertEqual(
            [str(one.address) for entry in self.queued() for one in entry.recipients], ["sam@peer.example"]
        )

    def test_the_sender_is_another(self) -> None:
        for sender, path in ((BEA, b"<bea@example.org>"), (None, b"<>")):
            self.start(wants(ChangeSender(sender), AddRecipient(JOE)))
            self.send()
            self.assertTrue(self.mail()[0].startswith(b"Return-Path: %b\r\n" % path))
            self.assertEqual(self.queued()[0].reverse_path, sender)

    @acceptance("S187")
    def test_mail_is_redirected_as_if_an_alias_led_there(self) -> None:
        self.start(wants(Redirect(BEA, ANN), Redirect(JOE, Address("else", "example.org"))))
        self.send()
        self.assertEqual(self.mail(ANN), [])
        self.assertIn(b"Delivered-To: ann@example.org\r\n", self.mail(BEA)[0])
        self.start(wants(Redirect(JOE)))
        self.send()
        (entry,) = self.queued()
        (recipient,) = entry.recipients
        self.assertEqual((recipient.address, recipient.original), (JOE, ANN))
        assert entry.reverse_path is not None
        self.assertTrue(str(entry.reverse_path).startswith("SRS0="), entry.reverse_path)

    @acceptance("S187")
    def test_quarantined_mail_is_held_in_the_queue_and_delivered_when_it_is_released(self) -> None:
        results = (MethodResult("dkim", "pass"),)
        self.start(wants(Quarantine("looks\r\n odd"), MARKED, results=results))
        self.assertIn("250 2.0.0", self.send(HELLO, ANN, BEA))
        self.assertEqual((self.mail(ANN), self.mail(BEA)), ([], []))
        (entry,) = self.queued()
        self.assertTrue(entry.held)
        self.assertEqual([one.address for one in entry.recipients], [ANN, BEA])
        self.assertEqual({one.last_reply for one in entry.recipients}, {"quarantined: looks odd"})
        queue, now = self.store.queue, self.clock.seconds()
        self.assertEqual(fired(queue.claim("me", now, 60.0, 10)), [])
        fired(queue.hold([entry.entry_id], False))
        (claimed,) = fired(queue.claim("me", now, 60.0, 10))  # type: ignore[misc]
        resolver = RecipientResolver(DirectorySettings(), self.store.directory, self.clock)
        planner = planner_for(self.store, self.clock)
        own_messages = OwnMessages(self.store, planner)
        late = LateDelivery(resolver, planner, own_messages, self.store.read_content, self.clock)
        here: Any = fired(Deferred.fromCoroutine(late.deliver(claimed, claimed.recipients)))
        fired(queue.settle("me", claimed.entry_id, here.outcomes, here.deliveries, None))
        for whose in (ANN, BEA):
            (octets,) = self.mail(whose)
            self.assertIn(b"\r\nAuthentication-Results: mail.example;\r\n\tdkim=pass\r\n", octets)
            self.assertEqual(without_front(octets), MARKED.octets + HELLO)
        self.assertEqual(self.queued(), [])

    def test_whom_others_vouch_for_is_not_kept_in_quarantine(self) -> None:
        self.start(says("list", connect=Verdict(Action.ACCEPT)), wants(Quarantine("odd")))
        self.send()
        self.assertEqual((len(self.mail()), self.queued()), (1, []))

    def test_what_leaves_is_held_as_it_would_have_left(self) -> None:
        self.start(wants(Redirect(JOE), Quarantine("odd")))
        self.send()
        (entry,) = self.queued()
        self.assertTrue(entry.held and str(entry.reverse_path).startswith("SRS0="))
        self.assertEqual([one.address for one in entry.recipients], [JOE])

    def test_what_became_of_it_is_told_in_the_history(self) -> None:
        self.start(wants(Quarantine("odd"), Redirect(BEA)))
        queue_id = self.send().split()[2]
        story: Any = fired(self.store.history.story(content_id_of(QueueId(queue_id))))
        told = " ".join(entry.facts for entry in story.entries)
        self.assertIn("redirected to bea@example.org", told)
        self.assertIn("quarantined: odd", told)


class SubmissionTests(RealDoorTestCase):
    """What our users hand in is signed as it leaves."""

    @acceptance("S194")
    def test_the_signature_covers_the_message_as_it_was_changed(self) -> None:
        author = b"From: alice@mail.example\r\n"
        header = (ReplaceField(b"Subject", b"Subject: changed\r\n"),)
        for edits, is_signed in (
            (header, True),
            ((*header, ReplaceBody(b"Another body\r\n")), True),
            ((ReplaceBody(Body(b"Another ", b"body\r\n")),), True),
            ((ReplaceField(b"From", b"From: eve@other.example\r\n"),), False),
            ((), True),
        ):
            key = SigningKey("mail.example", "s1", private_key())
            sign = DkimSignPolicy(DkimSignSettings(), _Ring(key), Clock())
            sections = {"dkim_sign": DkimSignSettings(), "changes": PolicySection(exempt=[])}
            self.start(sign, wants(*edits), settings=SubmissionSettings(), sections=sections)
            self.client = self.smtp.connect(secure=True)
            self.client.say("EHLO client.example", LOGIN)
            self.begin(ANN, sender="alice@mail.example")
            self.client.receive(HELLO.replace(b"From: sam@peer.example\r\n", author) + b".\r\n")
            self.assertIn("250 2.0.0", self.client.output().decode())
            (octets,) = self.mail()
            self.assertEqual(octets.count(b"DKIM-Signature:"), int(is_signed))
            if is_signed:
                results = run(verify_message(octets, resolver(key), NOW))
                self.assertEqual([result.status for result in results], [DkimStatus.PASS])


class _Ring:
    """A ring of one key."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def has_none(self) -> bool:
        """It has one."""
        return False

    def has_none_for(self, domain: str) -> bool:
        """For its domain."""
        return domain != self._key.domain

    async def keys_for(self, domain: str) -> list[SigningKey]:
        """The key."""
        return [] if self.has_none_for(domain) else [self._key]
