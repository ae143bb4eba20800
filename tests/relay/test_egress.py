"""Transforms of plugins: what one transaction carries, and what becomes of mail where they are at fault."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.egress import EgressSettings
from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.errors import ConfigError, Refusal, TemporaryFailure
from pymailsuite.interfaces import MessageSource, RecipientState
from pymailsuite.interfaces.egress import (
    EgressContext,
    EgressTransaction,
    IEgressTransform,
    IEgressTransformFactory,
)
from pymailsuite.relay.egress import EgressPlugin, EgressTransforms, NotForHost, make_transforms
from pymailsuite.relay.octets import SevenBits
from pymailsuite.relay.relay import Relay
from pymailsuite.values import MAX_CHUNK, Address
from tests.relay.test_relay import EIGHT_BIT, HELLO, RelayTestCase
from tests.support.stores import make_store

DELIVERED, DELAYED, FAILED = RecipientState.DELIVERED, RecipientState.DELAYED, RecipientState.FAILED
UTF8_HEADER = "Subject: ü\r\n\r\n".encode()
OLD_SERVER = ("PIPELINING", "SIZE 1000000")


@implementer(IEgressTransform)
class Transform:
    """Does what the test wants, and remembers for which transactions it was asked."""

    def __init__(self, name: str, make: Callable[[EgressTransaction, MessageSource], Any]) -> None:
        self.name = name
        self.make = make
        self.asked: list[EgressTransaction] = []

    def transform(self, transaction: EgressTransaction, source: MessageSource) -> Any:
        self.asked.append(transaction)
        return self.make(transaction, source)


def stamp(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
    return source.with_fields(f"X-Stamp: {transaction.host}\r\n".encode())


class TooEarly(TemporaryFailure):
    enhanced_code = "4.6.3"
    text = "no key yet"


class NotThere(Refusal):
    enhanced_code = "5.6.3"
    text = "not for this host"


class EgressCase(RelayTestCase):
    def use(self, *transforms: Any, timeout: float = 60.0, **options: Any) -> None:
        """The relay with these transforms, or functions as transforms."""
        named = [one if isinstance(one, Transform) else Transform("broken", one) for one in transforms]
        self.relay = Relay(
            RelaySettings(**options),
            "us.example",
            self.resolver,
            self.read,
            self.internet,
            egress=EgressTransforms([(one.name, one) for one in named], timeout, self.internet),
        )


class ChangeTests(EgressCase):
    def test_each_host_gets_what_is_made_for_it_and_the_stored_message_stays(self) -> None:
        self.host("192.0.2.1", {"MAIL": "421 4.3.2 going down"})
        second = self.host("192.0.2.2")
        made = Transform("stamp", stamp)
        self.use(made)
        entry = self.entry()
        (outcome,) = self.attempt(entry)
        self.assertEqual(outcome.state, DELIVERED)
        self.assertEqual(second.messages[0].content, b"X-Stamp: mx2.b.example\r\n" + HELLO)
        self.assertEqual(second.messages[0].mail_parameters, f"SIZE={len(HELLO) + 24}")
        self.assertEqual([one.host for one in made.asked], ["mx1.b.example", "mx2.b.example"])
        self.assertEqual(self.contents[entry.content_id], HELLO)
        verifyObject(IEgressTransform, made)
        verifyObject(IEgressTransform, SevenBits(MessageSource(0, 0, lambda start, stop: succeed(b""))))

    def test_one_after_the_other_with_the_entrys_prefix_below_them(self) -> None:
        sink = self.host("192.0.2.1")
        first = Transform("first", lambda _, source: source.with_fields(b"X: 1\r\n"))
        nothing = Transform("nothing", lambda *_: None)
        later = Transform("later", lambda _, source: deferLater(self.internet, 30, source.with_fields, b"X: 2\r\n"))
        self.use(first, nothing, later)
        attempt = self.begin(self.entry(octets=b"X: 0\r\n" + HELLO, prefix=b"X: 0\r\n"))
        self.contents[1] = HELLO
        self.internet.pass_time(31)
        self.assertEqual([one.state for one in self.successResultOf(attempt)], [DELIVERED])
        self.assertEqual(sink.messages[0].content, b"X: 2\r\nX: 1\r\nX: 0\r\n" + HELLO)

    def test_it_knows_what_will_be_said_to_the_host(self) -> None:
        self.host("192.0.2.1", extensions=OLD_SERVER)
        seen = Transform("seen", lambda *_: None)
        self.use(seen, recipients_per_transaction=2)
        recipients = ("bob@b.example", "zoë@b.example", "carl@b.example", "eve@b.example")
        self.attempt(self.entry(*recipients))
        first, second = seen.asked[:2]
        self.assertEqual((str(first.reverse_path), first.host), ("alice@a.example", "mx1.b.example"))
        self.assertEqual(first.extensions, {"PIPELINING": "", "SIZE": "1000000"})
        self.assertEqual([str(one) for one in first.recipients], ["bob@b.example"])
        self.assertEqual([str(one) for one in second.recipients], ["carl@b.example", "eve@b.example"])

    def test_names_are_in_the_form_the_host_is_told(self) -> None:
        sink = self.host("192.0.2.1")
        for octets, said in ((HELLO, "alice@xn--bcher-kva.example"), (UTF8_HEADER, "alice@bücher.example")):
            seen = Transform("seen", lambda *_: None)
            self.use(seen)
            entry = self.entry(octets=octets, smtputf8=octets is UTF8_HEADER)
            self.attempt(evolve(entry, reverse_path=Address("alice", "bücher.example")))
            self.assertEqual(str(seen.asked[0].reverse_path), said)
            self.assertEqual(sink.messages[-1].reverse_path, said)

    def test_it_can_sign_over_the_sender_and_recipients_of_the_transaction(self) -> None:
        octets = b"Subject: long\r\n\r\n" + b"0123456789abcdef\r\n" * (MAX_CHUNK // 10)
        read: list[int] = []

        async def sign(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            signed = hashlib.sha256(f"{transaction.reverse_path} {transaction.recipients[0]}".encode())
            for start in range(0, source.size, MAX_CHUNK):
                piece = await source.read(start, min(start + MAX_CHUNK, source.size))
                read.append(len(piece))
                signed.update(piece)
            return source.with_fields(f"X-Signature: {signed.hexdigest()}\r\n".encode())

        sink = self.host("192.0.2.1")
        self.use(Transform("sign", sign), recipients_per_transaction=1)
        self.attempt(self.entry("bob@b.example", "eve@b.example", octets=octets))
        self.assertEqual(len(sink.messages), 2)
        for message in sink.messages:
            envelope = f"{message.reverse_path} {message.recipients[0]}".encode()
            expected = hashlib.sha256(envelope + octets).hexdigest()
            self.assertEqual(message.content, f"X-Signature: {expected}\r\n".encode() + octets)
        self.assertLessEqual(max(read), MAX_CHUNK)

    def test_it_comes_after_the_conversion_to_seven_bits(self) -> None:
        sink = self.host("192.0.2.1", extensions=OLD_SERVER)
        heard: list[bytes] = []

        async def hear(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            heard.append(await source.read(0, source.size))
            return source.with_fields(b"X-Heard: yes\r\n")

        self.use(Transform("hear", hear))
        (outcome,) = self.attempt(self.entry(octets=EIGHT_BIT, body="8BITMIME"))
        self.assertEqual(outcome.state, DELIVERED)
        (message,) = sink.messages
        self.assertTrue(message.content.isascii())
        self.assertEqual(message.content, b"X-Heard: yes\r\n" + heard[-1])


class FaultTests(EgressCase):
    """Never is mail lost, nor sent as it must not be."""

    def test_a_refusal_leads_to_the_next_host_and_is_the_last_word_if_no_other_takes_it(self) -> None:
        self.host("192.0.2.1")
        second = self.host("192.0.2.2")

        def refuse(transaction: EgressTransaction, source: MessageSource) -> None:
            if transaction.host in refused:
                raise NotThere

        refused = {"mx1.b.example"}
        self.use(refuse)
        self.assertEqual(self.states(self.attempt(self.entry())), [(DELIVERED, "2.0.0")])
        self.assertEqual(len(second.messages), 1)
        refused.add("mx2.b.example")
        (outcome,) = self.attempt(self.entry())
        self.assertEqual((outcome.state, outcome.status), (FAILED, "5.6.3"))
        self.assertEqual(outcome.reply, "egress transform broken: not for this host")

    def test_no_more_hosts_are_asked_than_an_attempt_may_try(self) -> None:
        self.host("192.0.2.1")
        self.host("192.0.2.2")

        def refuse(*_: Any) -> None:
            raise NotThere

        refusing = Transform("refusing", refuse)
        self.use(refusing, hosts_per_attempt=1)
        self.assertEqual(self.states(self.attempt(self.entry())), [(FAILED, "5.6.3")])
        self.assertEqual([one.host for one in refusing.asked], ["mx1.b.example"])

    def test_a_temporary_failure_delays(self) -> None:
        self.host("192.0.2.3")

        def not_yet(transaction: EgressTransaction, source: MessageSource) -> None:
            raise TooEarly

        self.use(not_yet)
        (outcome,) = self.attempt(self.entry("bob@one.example"))
        self.assertEqual(self.states([outcome]), [(DELAYED, "4.6.3")])
        self.assertEqual(outcome.reply, "egress transform broken: no key yet")

    def test_one_that_breaks_delays_and_is_named(self) -> None:
        sink = self.host("192.0.2.1")

        def no_source(transaction: EgressTransaction, source: MessageSource) -> Any:
            return b"octets"

        def reads_wrong(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            return MessageSource(
                source.size, source.header_size, lambda start, stop: succeed(b"x" * (stop - start + 1))
            )

        def reads_nothing(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            return evolve(source, size=source.size + 9)

        def read_breaks(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            return evolve(source, read=lambda start, stop: 1 // 0)

        for fault in (lambda *_: 1 // 0, no_source, reads_wrong, reads_nothing, read_breaks):
            self.use(fault)
            (outcome,) = self.attempt(self.entry("bob@b.example"))
            self.assertEqual((outcome.state, outcome.status), (DELAYED, "4.3.0"), outcome)
            self.assertIn("broken", outcome.reply)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 1)
        self.assertEqual(sink.messages, [])

    def test_one_that_hangs_delays_and_is_named(self) -> None:
        sink = self.host("192.0.2.1")
        hung: list[Deferred[Any]] = []

        def hang(*_: Any) -> Deferred[Any]:
            hung.append(Deferred())
            return hung[-1]

        def hang_reading(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            return evolve(source, read=hang)

        for fault in (hang, hang_reading):
            self.use(fault, timeout=20.0)
            attempt = self.begin(self.entry())
            self.internet.pass_time(19)
            self.assertNoResult(attempt)
            self.internet.pass_time(2)
            (outcome,) = self.successResultOf(attempt)
            self.assertEqual((outcome.state, outcome.reply), (DELAYED, "egress transform broken took too long"))
        self.assertEqual((sink.messages, len(hung)), ([], 2))
        self.assertTrue(all(one.called for one in hung))

    def test_one_that_is_at_work_when_the_server_stops_holds_nothing_up(self) -> None:
        sink = self.host("192.0.2.1")
        self.use(lambda *_: Deferred())
        attempt = self.begin(self.entry())
        self.internet.pass_time(1)
        closed = self.relay.close()
        self.internet.pass_time(1)
        self.successResultOf(closed)
        (outcome,) = self.successResultOf(attempt)
        self.assertEqual((outcome.state, outcome.reply, sink.messages), (DELAYED, "called off", []))

    def test_a_long_message_that_breaks_while_it_is_sent_never_arrives_in_part(self) -> None:
        sink = self.host("192.0.2.1")

        def breaks_late(transaction: EgressTransaction, source: MessageSource) -> MessageSource:
            def read(start: int, stop: int) -> Deferred[bytes]:
                return source.read(start, stop) if start < MAX_CHUNK else succeed(b"")

            return evolve(source, read=read)

        self.use(breaks_late)
        (outcome,) = self.attempt(self.entry(octets=HELLO + b"more\r\n" * MAX_CHUNK))
        self.assertEqual((outcome.state, outcome.reply), (DELAYED, "egress transform broken broke"))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual(sink.messages, [])

    def test_a_line_end_that_stands_alone_is_the_fault_of_whoever_put_it_there(self) -> None:
        self.host("192.0.2.1")
        self.use(lambda _, source: source.with_fields(b"X: 1\n"))
        (outcome,) = self.attempt(self.entry())
        self.assertEqual((outcome.state, outcome.status), (DELAYED, "4.3.0"))
        self.assertIn("after egress transforms", outcome.reply)


class SettingsTests(SynchronousTestCase):
    def context(self) -> EgressContext:
        return EgressContext("us.example", Clock(), make_store(), FakeResolver(), maybeDeferred)

    def test_a_transform_that_is_not_there_is_an_error_of_the_settings(self) -> None:
        for settings in (EgressSettings(transforms=("none",)), EgressSettings(plugins={"none": {}})):
            error = self.assertRaises(ConfigError, make_transforms, settings, self.context())
            self.assertIn("no transform 'none'", str(error))
        self.assertFalse(make_transforms(EgressSettings(), self.context()))

    def test_one_that_cannot_be_made_holds_mail_back(self) -> None:
        plugin = EgressPlugin("gone", "nowhere.make")
        verifyObject(IEgressTransformFactory, plugin)
        made = make_transforms(EgressSettings(transforms=("gone",)), self.context(), {"gone": plugin})
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        transaction: Any = None
        applied = Deferred.fromCoroutine(made.apply(transaction, MessageSource(0, 0, lambda start, stop: succeed(b""))))
        verdict = self.failureResultOf(applied, NotForHost).value.verdict
        self.assertEqual((verdict.state, verdict.reply), (DELAYED, "egress transform gone: it could not be made"))

    def test_each_is_made_of_its_own_options(self) -> None:
        seen: list[EgressContext] = []

        class Factory:
            name = "seen"

            def make(self, context: EgressContext) -> Transform:
                seen.append(context)
                return Transform("seen", stamp)

        options = {"field": "X-Stamp"}
        settings = EgressSettings(transforms=("seen",), plugins={"seen": options})
        factory: Any = Factory()
        self.assertTrue(make_transforms(settings, self.context(), {"seen": factory}))
        self.assertEqual([one.options for one in seen], [options])
