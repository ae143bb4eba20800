"""``--batch``: a JSON object a line comes in, a JSON object a line goes out, in the same order."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from io import BufferedReader
from typing import Any, Final, cast

import click
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from pymailsuite.errors import MailError

log = Logger()

PARALLEL: Final = 32
"""Lines worked on at once: one that waits for a silent name server does not hold up those after it for long."""

_CHUNK: Final = 64 * 1024

batch_option = click.option("--batch", is_flag=True, help="Read JSON lines from standard input, answer each by one.")

Evaluate = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def _read() -> Deferred[bytes]:
    """What there is of standard input, at least one octet; empty at its end."""
    stream = cast(BufferedReader, sys.stdin.buffer)
    return deferToThread(stream.read1, _CHUNK)


def batch_file(question: Mapping[str, Any]) -> str:
    """The name of the message file that a line asks about. KeyError, ValueError."""
    name = question["file"]
    if not isinstance(name, str) or name in ("", "-"):
        raise ValueError("file is not the name of a file")
    return name


async def answer_lines(
    evaluate: Evaluate,
    faulty: Mapping[str, Any] | None = None,
    read: Callable[[], Awaitable[bytes]] = _read,
) -> None:
    """Answer every line by what ``evaluate`` makes of its object, until the end of input; empty lines are skipped.

    A line that is no JSON object, or that cannot be answered (ValueError, KeyError, MailError or ClickException), is
    answered by ``faulty`` and an ``error`` that says why; after the last one a ClickException tells how many there
    were. Each answer goes out as soon as those before it have, so a reader that waits for one before it sends the next
    line gets it.
    """
    batch = _Batch(evaluate, faulty or {})
    rest = b""
    while batch.is_wanted and (chunk := await read()):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            await batch.take(line)
    await batch.take(rest)
    await batch.finish()


class _Batch:
    """Lines that are worked on, and their answers in the order of the lines."""

    def __init__(self, evaluate: Evaluate, faulty: Mapping[str, Any]) -> None:
        self._evaluate = evaluate
        self._faulty = faulty
        # A place is free again when its answer is written, so what waits for the slowest is bounded.
        self._places = DeferredSemaphore(PARALLEL)
        self._answers: deque[list[str]] = deque()
        self._number = self._questions = self._faults = 0
        self._write_error: OSError | None = None

    @property
    def is_wanted(self) -> bool:
        """False when the answers are no longer read."""
        return self._write_error is None

    async def take(self, line: bytes) -> None:
        """Begin with a line as soon as there is a place for it."""
        self._number += 1
        if not line.strip():
            return
        self._questions += 1
        await self._places.acquire()
        answer: list[str] = []
        self._answers.append(answer)
        worked = Deferred.fromCoroutine(self._answer(line, self._number))
        worked.addCallback(self._answered, answer)

    async def finish(self) -> None:
        """Wait for all answers. ClickException if there were faulty lines, OSError if answers could not be written."""
        for _ in range(PARALLEL):
            await self._places.acquire()
        if self._write_error is not None:
            raise self._write_error
        if self._faults:
            raise click.ClickException(f"{self._faults} of {self._questions} lines could not be answered")

    async def _answer(self, line: bytes, number: int) -> str:
        try:
            question = json.loads(line)
            if not isinstance(question, dict):
                raise ValueError("not a JSON object")
            return json.dumps(await self._evaluate(question))
        except KeyError as error:
            fault = f"{error.args[0]!r} is missing"
        except (ValueError, RecursionError) as error:
            fault = str(error)
        except MailError as error:
            fault = error.public
        except click.ClickException as error:
            fault = error.format_message()
        except Exception:
            log.failure("{event} in line {line}", event="batch.line_failed", line=number)
            fault = "internal error"
        self._faults += 1
        return json.dumps({**self._faulty, "error": f"line {number}: {fault}"})

    def _answered(self, text: str, answer: list[str]) -> None:
        answer.append(text)
        while self._answers and self._answers[0]:
            (first,) = self._answers.popleft()
            try:
                if self.is_wanted:
                    click.echo(first)
                    sys.stdout.flush()
            except OSError as error:
                self._write_error = error
            self._places.release()
