"""Policies that read a message before it is accepted, and such as have its client wait while it comes in."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.smtp import SmtpMxSettings
from pymailsuite.interfaces.edits import AddField
from pymailsuite.interfaces.policy import Action, IMessageTap, MailTransaction, ReceivedMessage, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine
from pymailsuite.store.contents import ContentWriter
from pymailsuite.values import MAX_CHUNK
from tests.acceptance import acceptance
from tests.smtp.real_door import ANN, HELLO, RealDoorTestCase
from tests.support.policies import rejecting

PARTS = (
    b"From: sam@peer.example\r\nSubject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes("Grüße aus dem Süden\r\n".encode("latin-1")).replace(b"\n", b"\r\n")
    + b"--b\r\nContent-Type: application/x-tool; name=tool.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"MZ" + bytes(3000)).replace(b"\n", b"\r\n")
    + b"--b--\r\n"
)


class Reader(Policy):
    """Does what a coroutine does with each message, and remembers what that answers."""

    name = "reader"

    def __init__(self, read: Any) -> None:
        self._read = read
        self.answers: list[Any] = []

    async def _message(self, transaction: MailTransaction) -> Verdict:
        try:
            answer = await self._read(transaction.message)
        except BaseException as error:
            self.answers.append(error)
            raise
        self.answers.append(answer)
        return answer if isinstance(answer, Verdict) else NO_OPINION

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Asked once for each message."""
        return start_coroutine(self._message(transaction))


class SlowTap:
    """Answers each write with what stands next in ``answers``; None when there is nothing left."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.octets = b""

    def write(self, octets: bytes) -> Any:
        """Remembered."""
        self.octets += octets
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class SlowPolicy(Policy):
    """Hears each message by the tap it is given, and tells whether that is in its transaction."""

    name = "slow"

    def __init__(self, tap: Any) -> None:
        self._tap = tap
        self.asked = 0

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        """The one tap."""
        return self._tap  # type: ignore[no-any-return]

    async def _message(self, transaction: MailTransaction) -> Verdict:
        self.asked += 1
        return NO_OPINION

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """No opinion."""
        return start_coroutine(self._message(transaction))


class ReadingTests(RealDoorTestCase):
    """What a policy sees of the message."""

    def test_a_policy_reads_octets_parts_and_text_however_the_message_came(self) -> None:
        async def read(message: ReceivedMessage) -> Any:
            octets = await message.read(0, MAX_CHUNK)
            text, tool = message.parts().root.children
            return (
                octets.partition(b"+0000\r\n")[2],
                [piece async for piece in message.text(text)],
                b"".join([piece async for piece in message.decoded(tool)])[:2],
                tool.content_type,
                octets[text.header_start : text.body_start].count(b"iso-8859-1"),
            )

        for piece in (0, 1, 1000):
            reader = Reader(read)
            self.start(reader)
            self.assertIn("250 2.0.0", self.send(PARTS, piece=piece))
            self.assertEqual(reader.answers, [(PARTS, ["Grüße aus dem Süden\r\n"], b"MZ", "application/x-tool", 1)])
            self.assertEqual(len(self.mail()), 1)

    @acceptance("S173")
    def test_a_message_is_refused_for_what_one_of_its_parts_holds(self) -> None:
        async def read(message: ReceivedMessage) -> Verdict:
            for part in message.parts().root.walk():
                if part.content_type == "application/x-tool":
                    async for piece in message.decoded(part):
                        if piece.startswith(b"MZ"):
                            return rejecting("no programs")
                        break
            return NO_OPINION

        self.start(Reader(read))
        self.assertEqual(self.send(PARTS), "550 5.7.1 no programs\r\n")
        self.assertEqual(self.mail(), [])

    def test_nobody_pays_for_what_nobody_reads(self) -> None:
        asked: list[str] = []
        for name in ("read", "structure"):
            plain = getattr(ContentWriter, name)
            self.patch(
                ContentWriter, name, lambda *values, name=name, plain=plain: asked.append(name) or plain(*values)
            )

        async def nothing(message: ReceivedMessage) -> None:
            assert message.header

        self.start(Reader(nothing))
        self.assertIn("250 2.0.0", self.send())
        self.assertEqual(asked, [])

    def test_a_message_of_50_mb_is_read_without_being_held(self) -> None:
        """Counted are the octets that the writer has in memory, and those of the longest piece that was read."""
        line = b"A line of a message that is long, and goes on and on and on.\r\n"
        held: list[int] = []
        longest = 0
        write, size = ContentWriter.write, 50_000_000

        def noted(writer: ContentWriter, octets: bytes) -> Any:
            answer = write(writer, octets)
            held.append(sum(map(len, writer._pieces)))
            return answer

        self.patch(ContentWriter, "write", noted)

        async def read(message: ReceivedMessage) -> int:
            nonlocal longest
            total = lines = 0
            (part,) = message.parts().root.walk()
            async for text in message.text(part):
                longest = max(longest, len(text))
                total += len(text)
                lines += text.count("\n")
            self.assertEqual(lines, total // len(line))
            return total

        reader = Reader(read)
        self.start(reader, settings=SmtpMxSettings(message_size=2 * size))
        self.begin()
        piece = line * 1000
        for _ in range(size // len(piece)):
            self.client.receive(b"" if held else HELLO.partition(b"World")[0])
            self.client.receive(piece)
        self.client.receive(b".\r\n")
        self.assertIn("250 2.0.0", self.client.output().decode())
        self.assertEqual(reader.answers, [size // len(piece) * len(piece)])
        self.assertLessEqual(max(held), 2 * MAX_CHUNK)
        self.assertLessEqual(longest, MAX_CHUNK)

    def test_reading_ends_when_the_client_leaves(self) -> None:
        pending: list[Deferred[bytes]] = []

        def held(writer: ContentWriter, start: int, stop: int) -> Deferred[bytes]:
            pending.append(Deferred())
            return pending[-1]

        self.patch(ContentWriter, "read", held)

        async def read(message: ReceivedMessage) -> Any:
            return await message.read(0, 10)

        reader = Reader(read)
        self.start(reader)
        self.assertEqual(self.send(), "")
        self.client.lose()
        self.assertIsInstance(reader.answers[0], CancelledError)
        self.assertEqual((len(pending), self.mail()), (1, []))

    def test_reading_that_takes_too_long_ends_with_the_time_of_its_policy(self) -> None:
        self.patch(ContentWriter, "read", lambda writer, start, stop: Deferred())

        async def read(message: ReceivedMessage) -> Any:
            return await message.read(0, 10)

        reader = Reader(read)
        self.start(reader)
        self.assertEqual(self.send(), "")
        self.clock.advance(31)
        self.assertIn("250 2.0.0", self.client.output().decode())
        self.assertIsInstance(reader.answers[0], CancelledError)

    def test_a_policy_that_fails_while_it_reads_is_named_and_hurts_nobody(self) -> None:
        async def read(message: ReceivedMessage) -> Any:
            async for _ in message.text(message.parts().root):
                raise ZeroDivisionError

        self.start(Reader(read))
        self.assertIn("250 2.0.0", self.send())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.mail()), 1)


class WaitingTests(RealDoorTestCase):
    """A tap that is not done has the client wait."""

    def listen(self, *answers: Any, **delivery: Any) -> SlowTap:
        """A server with one tap."""
        tap = SlowTap(*answers)
        self.policy = SlowPolicy(tap)
        self.start(self.policy, delivery=DeliverySettings(**delivery))
        self.begin()
        return tap

    @property
    def producing(self) -> str:
        """``paused``: nothing is read from the client."""
        return str(self.client.transport.producerState)

    def test_nothing_is_read_from_the_client_while_a_tap_is_at_work(self) -> None:
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        tap = self.listen(first, second)
        self.client.receive(HELLO)
        # What comes before the pause is heeded is kept.
        self.client.receive(b"x" * 70_000)
        self.assertEqual((self.producing, tap.octets), ("paused", HELLO[:-2]))
        first.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.producing, "paused")
        second.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.producing, "producing")
        self.client.receive(b"\r\n.\r\n")
        self.assertIn("250 2.0.0", self.client.output().decode())
        self.assertEqual(tap.octets, HELLO + b"x" * 70_000 + b"\r\n")
        self.assertEqual(len(self.mail()), 1)

    def test_a_deferred_that_has_fired_keeps_nobody(self) -> None:
        done: Deferred[None] = Deferred()
        done.callback(None)
        self.listen(done)
        self.client.receive(HELLO + b".\r\n")
        self.assertIn("250 2.0.0", self.client.output().decode())

    def test_one_that_hangs_is_waited_for_no_longer_than_its_time_for_all_of_a_message(self) -> None:
        called_off: list[Any] = []
        answers: list[Deferred[None]] = [Deferred(), Deferred(called_off.append)]
        tap = self.listen(*answers, tap_time=10)
        self.client.receive(HELLO)
        self.clock.advance(6)
        answers[0].callback(None)
        self.clock.advance(0)
        self.client.receive(b"more\r\n")
        self.clock.advance(3.9)
        self.assertEqual(called_off, [])
        self.client.receive(b"x" * 70_000)
        self.assertEqual(self.producing, "paused")
        self.clock.advance(0.2)
        self.assertEqual((called_off, self.producing), ([answers[1]], "producing"))
        self.client.receive(b"\r\n.\r\n")
        self.assertIn("250 2.0.0", self.client.output().decode())
        self.assertEqual((tap.octets, self.policy.asked), (HELLO + b"more", 1))

    def test_one_that_fails_hears_no_more_and_the_message_goes_on(self) -> None:
        later: Deferred[None] = Deferred()
        for answer in (ZeroDivisionError(), fail(ZeroDivisionError()), later, "nonsense"):
            tap = self.listen(answer)
            self.client.receive(HELLO)
            if answer is later:
                later.errback(ZeroDivisionError())
            self.client.receive(b"more\r\n.\r\n")
            self.assertIn("250 2.0.0", self.client.output().decode())
            self.assertEqual((tap.octets, self.policy.asked), (HELLO[:-2], 1))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 1)

    def test_it_is_called_off_when_the_client_leaves(self) -> None:
        called_off: list[Any] = []
        answer: Deferred[None] = Deferred(called_off.append)
        self.listen(answer)
        self.client.receive(HELLO)
        self.client.lose()
        self.assertEqual((called_off, self.mail()), ([answer], []))
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.time < self.clock.seconds() + 60], [])


class TogetherTests(RealDoorTestCase):
    """What a policy has read is what it changes."""

    def test_the_text_decides_about_a_field(self) -> None:
        async def read(message: ReceivedMessage) -> Verdict:
            words = 0
            for part in message.parts().root.walk():
                if part.content_type == "text/plain":
                    async for text in message.text(part):
                        words += len(text.split())
            return Verdict(Action.TAG, f"{words} words", edits=(AddField(b"X-Words: %d\r\n" % words),))

        self.start(Reader(read))
        self.send(PARTS)
        self.assertIn(b"+0000\r\nX-Words: 4\r\nFrom: ", self.mail(ANN)[0])
