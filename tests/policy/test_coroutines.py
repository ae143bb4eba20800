"""Coroutines that mostly need not wait."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.policy.coroutines import start_coroutine


class PromptlyTests(SynchronousTestCase):
    """The same as Deferred.fromCoroutine."""

    async def added(self, *numbers: Deferred[int]) -> int:
        return sum([await number for number in numbers])

    def test_what_need_not_wait_is_there_at_once(self) -> None:
        self.assertEqual(self.successResultOf(start_coroutine(self.added(succeed(1), succeed(2)))), 3)

    def test_a_failure_is_one_whether_it_is_there_or_comes_later(self) -> None:
        self.failureResultOf(start_coroutine(self.added(fail(KeyError("now")))), KeyError)
        later: Deferred[int] = Deferred()
        waiting = start_coroutine(self.added(later))
        later.errback(KeyError("later"))
        self.failureResultOf(waiting, KeyError)

    def test_what_has_to_wait_goes_on_wherever_it_stands(self) -> None:
        first, second = Deferred[int](), Deferred[int]()
        waiting = start_coroutine(self.added(succeed(1), first, succeed(3), second))
        first.callback(2)
        self.assertNoResult(waiting)
        second.callback(4)
        self.assertEqual(self.successResultOf(waiting), 10)

    def test_an_error_is_heard_within_and_may_be_overcome(self) -> None:
        async def forgiving(number: Deferred[int]) -> int:
            try:
                return await number
            except KeyError:
                return -1

        later: Deferred[int] = Deferred()
        waiting = start_coroutine(forgiving(later))
        later.errback(KeyError())
        self.assertEqual(self.successResultOf(waiting), -1)

    def test_to_cancel_it_is_to_cancel_what_it_waits_for(self) -> None:
        cancelled: list[Deferred[int]] = []
        waiting = start_coroutine(self.added(Deferred(cancelled.append)))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(len(cancelled), 1)
