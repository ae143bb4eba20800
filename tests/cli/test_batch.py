"""JSON lines in, JSON lines out."""

import json
from collections.abc import Mapping
from typing import Any

import click
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.cli import batch
from pymailsuite.cli.batch import answer_lines
from pymailsuite.errors import DnsFailure


class AnswerLinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.printed: list[Any] = []
        self.patch(batch.click, "echo", lambda text: self.printed.append(json.loads(text)))
        self.asked: dict[int, Deferred[Mapping[str, Any]]] = {}

    def run_chunks(self, *chunks: bytes) -> Deferred[None]:
        left = [*chunks, b""]
        return Deferred.fromCoroutine(
            answer_lines(self.evaluate, {"result": "error"}, lambda: succeed(left.pop(0) if left else b""))
        )

    async def evaluate(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked[question["n"]] = Deferred()
        return await self.asked[question["n"]]

    def test_answers_come_in_the_order_of_the_questions(self) -> None:
        done = self.run_chunks(b'{"n": 1}\n', b"\n", b'{"n": 2}\n', b'{"n": 3}\n')
        self.asked[3].callback({"n": 3})
        self.asked[2].callback({"n": 2})
        self.assertEqual(self.printed, [])
        self.asked[1].callback({"n": 1})
        self.successResultOf(done)
        self.assertEqual(self.printed, [{"n": 1}, {"n": 2}, {"n": 3}])

    def test_lines_may_come_in_any_pieces_and_the_last_one_without_its_end(self) -> None:
        done = self.run_chunks(b'{"n', b'": 1}\n{"n": 2}\r\n{', b'"n": 3', b"}")
        for n in (1, 2, 3):
            self.asked[n].callback({"n": n})
        self.successResultOf(done)
        self.assertEqual(self.printed, [{"n": 1}, {"n": 2}, {"n": 3}])

    def test_an_answer_goes_out_before_the_next_line_comes_in(self) -> None:
        more: Deferred[bytes] = Deferred()
        left = [succeed(b'{"n": 1}\n'), more]
        done = Deferred.fromCoroutine(answer_lines(self.evaluate, read=lambda: left.pop(0)))
        self.asked[1].callback({"n": 1})
        self.assertEqual(self.printed, [{"n": 1}])
        more.callback(b"")
        self.successResultOf(done)

    def test_no_more_than_a_few_are_worked_on_at_once(self) -> None:
        done = self.run_chunks(b"".join(b'{"n": %d}\n' % n for n in range(batch.PARALLEL + 5)))
        self.assertEqual(len(self.asked), batch.PARALLEL)
        for n in range(batch.PARALLEL + 5):
            self.asked[n].callback({"n": n})
        self.successResultOf(done)
        self.assertEqual([answer["n"] for answer in self.printed], list(range(batch.PARALLEL + 5)))

    def test_a_line_that_asks_nothing_is_answered_by_what_is_wrong_with_it(self) -> None:
        for broken, text in (
            (b"[]", "not a JSON object"),
            (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            (b"[" * 100_000, "maximum recursion depth exceeded"),
            (b'{"m": 1}', "'n' is missing"),
        ):
            self.printed.clear()
            done = self.run_chunks(broken + b'\n{"n": 2}\n')
            self.asked[2].callback({"n": 2})
            error = self.failureResultOf(done, click.ClickException).value
            self.assertEqual(error.message, "1 of 2 lines could not be answered")
            fault, answer = self.printed
            self.assertEqual((fault["result"], answer), ("error", {"n": 2}))
            self.assertTrue(fault["error"].startswith(f"line 1: {text}"), fault)

    def test_octets_that_are_no_text_are_such_a_line(self) -> None:
        self.failureResultOf(self.run_chunks(b'{"n": "\xff"}\n'), click.ClickException)
        self.assertIn("line 1: ", self.printed[0]["error"])

    def test_what_fails_on_the_way_is_told_in_the_answer(self) -> None:
        done = self.run_chunks(b'{"n": 1}\n{"n": 2}\n{"n": 3}\n{"n": 4}\n')
        self.asked[1].errback(DnsFailure("no name server answers"))
        self.asked[2].errback(click.FileError("x.eml", "No such file"))
        self.asked[3].errback(ZeroDivisionError())
        self.asked[4].callback({"text": "gr\u00fc\u00df \ud800"})
        self.failureResultOf(done, click.ClickException)
        self.assertEqual(
            [answer.get("error", answer.get("text")) for answer in self.printed],
            [
                "line 1: no name server answers",
                "line 2: Could not open file 'x.eml': No such file",
                "line 3: internal error",
                "gr\u00fc\u00df \ud800",
            ],
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_reader_that_went_away_ends_it(self) -> None:
        def gone(text: str) -> None:
            raise BrokenPipeError

        self.patch(batch.click, "echo", gone)
        more: Deferred[bytes] = Deferred()
        left = [succeed(b'{"n": 1}\n'), more]
        done = Deferred.fromCoroutine(answer_lines(self.evaluate, read=lambda: left.pop(0)))
        self.asked[1].callback({"n": 1})
        more.callback(b'{"n": 2}\n')
        self.asked[2].callback({"n": 2})
        self.failureResultOf(done, BrokenPipeError)
