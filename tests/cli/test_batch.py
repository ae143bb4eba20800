"""JSON lines in, JSON lines out."""

import json
from collections.abc import Mapping
from typing import Any

import click
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.cli import batch
from pymailsuite.cli.batch import answer_lines


class AnswerLinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.printed: list[Any] = []
        self.patch(batch.click, "echo", lambda text: self.printed.append(json.loads(text)))
        self.asked: dict[int, Deferred[Mapping[str, Any]]] = {}

    def run_lines(self, *lines: str) -> Deferred[None]:
        left = [*lines, ""]
        return Deferred.fromCoroutine(answer_lines(self.evaluate, lambda: succeed(left.pop(0))))

    async def evaluate(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked[question["n"]] = Deferred()
        return await self.asked[question["n"]]

    def test_answers_come_in_the_order_of_the_questions(self) -> None:
        done = self.run_lines('{"n": 1}\n', "\n", '{"n": 2}\n', '{"n": 3}\n')
        self.asked[3].callback({"n": 3})
        self.asked[2].callback({"n": 2})
        self.assertEqual(self.printed, [])
        self.asked[1].callback({"n": 1})
        self.successResultOf(done)
        self.assertEqual(self.printed, [{"n": 1}, {"n": 2}, {"n": 3}])

    def test_no_more_than_a_few_are_worked_on_at_once(self) -> None:
        done = self.run_lines(*(f'{{"n": {n}}}\n' for n in range(batch.PARALLEL + 5)))
        self.assertEqual(len(self.asked), batch.PARALLEL)
        for n in range(batch.PARALLEL + 5):
            self.asked[n].callback({"n": n})
        self.successResultOf(done)
        self.assertEqual([answer["n"] for answer in self.printed], list(range(batch.PARALLEL + 5)))

    def test_a_broken_line_ends_it_after_the_answers_before_it(self) -> None:
        for broken, text in (("[]\n", "line 2: not a JSON object"), ('{"m": 1}\n', "line 2: 'n' is missing")):
            self.printed.clear()
            done = self.run_lines('{"n": 1}\n', broken)
            self.asked[1].callback({"n": 1})
            error = self.failureResultOf(done, click.UsageError).value
            self.assertEqual(str(error), text)
            self.assertEqual(self.printed, [{"n": 1}])
