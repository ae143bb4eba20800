"""The store fails once, at any of the calls that taking a message makes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from pymailsuite.errors import StorageFull, StoreUnavailable
from pymailsuite.interfaces import RemoteRecipient
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import MAX_CHUNK, Address
from tests.delivery.test_intake import HELLO, IntakeTestCase

LONG = HELLO + (b"x" * 76 + b"\r\n") * (3 * MAX_CHUNK // 78)
ELSEWHERE = Address("far", "far.example")


class FailureTests(IntakeTestCase):
    def left(self) -> dict[str, int]:
        """Rows of octets and of the queue."""
        tables = ("contents", "content_chunks", "staged_contents", "queue_entries", "messages")

        def count_txn(txn: Transaction) -> dict[str, int]:
            return {name: txn.value(f"SELECT COUNT(*) FROM {name}") for name in tables}

        return self.successResultOf(self.store.database.read("count", count_txn))

    def attempt(self, octets: bytes, failing: int, error: Exception) -> tuple[Any, bool]:
        """Take a message while the call of that number fails; what came of it, and whether the call was made."""
        database, made = self.store.database, []
        usual = {name: getattr(database, name) for name in ("run", "run_together")}

        def counted(name: str) -> Any:
            def called(*args: Any, **more: Any) -> Deferred[Any]:
                made.append(name)
                return fail(error) if len(made) == failing else usual[name](*args, **more)

            return called

        for name in usual:
            setattr(database, name, counted(name))
        try:
            message = self.open([*self.local("ann", self.ann), (ELSEWHERE, [RemoteRecipient(ELSEWHERE)])])
            for start in range(0, len(octets), 100_000):
                paused = message.write(octets[start : start + 100_000])
                if paused is not None:
                    paused.addErrback(lambda _: None)
            answers: list[Any] = []
            message.commit().addBoth(answers.append)
        finally:
            for name, method in usual.items():
                setattr(database, name, method)
        return answers[0], len(made) >= failing

    def test_nothing_is_left_and_the_next_message_is_taken(self) -> None:
        before = self.left()
        for octets in (HELLO, LONG):
            for error in (StoreUnavailable(), StorageFull(), KeyError("unexpected")):
                for failing in range(1, 20):
                    answer, was_made = self.attempt(octets, failing, error)
                    if not was_made:
                        break
                    self.assertIs(answer.value, error)
                    self.assertEqual(self.left(), before, f"call {failing} of {len(octets)} octets")
                self.assertGreater(failing, 1 if octets is HELLO else 3)
                self.assertEqual(len(answer), len(self.take(self.local("bea", self.bea))))
                before = self.left()
