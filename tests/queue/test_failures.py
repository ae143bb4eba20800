"""Every step of the queue fails once, or is called off: each message arrives, and arrives once."""

from __future__ import annotations

import gc
import random
from email import message_from_bytes

import pytest
from twisted.logger import LogLevel

from pymailsuite.errors import DnsFailure, StorageFull, StoreUnavailable
from pymailsuite.values import MAX_CHUNK, Address
from tests.queue.test_runner import BOB, CARL, QueueTestCase
from tests.support.failures import TRIED, Defect
from tests.support.interference import Act, Call, Interference, calls_of, failing, held, held_and_done
from tests.support.logs import captured_logs

pytestmark = pytest.mark.sqlite

DAN = Address("dan", "b.example")
LONG = b"Subject: long\r\n\r\n" + b"a line of it\r\n" * (MAX_CHUNK // 14 + 1)
MINUTE = 60.0
_ERRORS = (StoreUnavailable, StorageFull, DnsFailure, Defect)


class FailureTests(QueueTestCase):
    """Two messages, one of them long, to three recipients on two routes, one of whom his host refuses."""

    def play(self, interference: Interference) -> None:
        """Until the queue is empty, or should be."""
        QueueTestCase.setUp(self)
        self.bobs = self.host("192.0.2.1", {f"RCPT {DAN}": "550 5.1.1 nobody"})
        self.carls = self.host("192.0.2.2")
        self.submit(BOB, DAN, CARL)
        self.submit(CARL, octets=LONG)
        interference.inside(self.store.database)
        self.resolver = interference.around(self.resolver)
        self.runner = self.make_runner()
        self.runner.start()
        # Longer than a lease and than the first wait of a recipient that was delayed.
        for seconds in (1.0, *(10 * MINUTE,) * 9):
            self.run_for(seconds, seconds)
            if interference.held is not None:
                interference.held.cancel()
        interference.stop()
        self.stop()

    def check(self) -> None:
        """Everybody has what he was sent, once, and the sender was told once of whom that cannot be."""
        self.assertEqual([message.recipients for message in self.bobs.messages], [[str(BOB)]])
        subjects = [message_from_bytes(message.content)["Subject"] for message in self.carls.messages]
        self.assertEqual(sorted(subjects), ["hello", "long"])
        self.assertEqual({message.content.endswith(LONG) for message in self.carls.messages}, {True, False})
        (report,) = self.inbox()
        self.assertIn("dan@b.example", str(report))
        self.assertEqual(self.queue(), [])
        self.assertEqual(self.bobs.open + self.carls.open, [])
        self.assertEqual(self.internet.getDelayedCalls(), [])
        staged = self.store.database.read("look", lambda txn: txn.rows("SELECT * FROM staged_contents"))
        self.assertEqual(self.successResultOf(staged), [])

    def play_with(self, call: Call, act: Act, error: Exception | None = None) -> None:
        try:
            with captured_logs() as events:
                self.play(Interference(call, act))
            self.check()
            for event in events:
                if event.get("log_level") in (LogLevel.error, LogLevel.critical):
                    self.assertIs(event["log_failure"].value, error)
        except Exception as failed:
            failed.add_note(f"where {call} met {error!r}, {act}")
            raise
        self.flushLoggedErrors()

    def check_at_last(self) -> None:
        """What nobody waited for and failed is told of only when it is collected."""
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_dialogue_reaches_all_there_is(self) -> None:
        names = {name for _, name in calls_of(self.play)}
        self.check()
        self.assertGreaterEqual(names, {"mx", "a", "read read content"})

    def test_every_call_fails_once(self) -> None:
        drawn = random.Random(1)
        for call in calls_of(self.play):
            for make in drawn.sample(_ERRORS, min(TRIED, len(_ERRORS))):
                error = make()
                self.play_with(call, failing(error), error)
        self.check_at_last()

    def test_every_call_is_called_off_once(self) -> None:
        for call in calls_of(self.play):
            # What is to be written is written, whoever waits for it.
            self.play_with(call, held_and_done if call[1].startswith("write ") else held)
        self.check_at_last()
