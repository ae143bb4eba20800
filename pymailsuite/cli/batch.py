"""``--batch``: a JSON object a line comes in, a JSON object a line goes out, in the same order."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import click
from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

T = TypeVar("T")

PARALLEL: Final = 32
"""Lines worked on at once: one that waits for a silent name server does not hold up those after it for long."""

batch_option = click.option("--batch", is_flag=True, help="Read JSON lines from standard input, answer each by one.")


async def answer_lines(
    evaluate: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]],
    read_line: Callable[[], Awaitable[str]] = lambda: deferToThread(sys.stdin.readline),
) -> None:
    """Answer every line by what ``evaluate`` makes of its object, until the end of input; empty lines are skipped.

    A line that is no JSON object, or that ``evaluate`` raises ValueError or KeyError for, ends it with a UsageError
    naming the line, after the answers before it. A reader that waits for an answer before it sends the next line gets
    it.
    """
    # A place is free again when its answer is written, so what waits for the slowest is bounded.
    slots = DeferredSemaphore(PARALLEL)
    written: Deferred[None] = succeed(None)
    number = 0
    while line := await read_line():
        number += 1
        if not line.strip():
            continue
        await slots.acquire()
        if isinstance(written.result if written.called else None, Failure):
            break
        evaluated = Deferred.fromCoroutine(_evaluate(evaluate, line, number))
        written = Deferred.fromCoroutine(_write_after(written, evaluated)).addBoth(_release, slots)
    await written


def _release(result: T, slots: DeferredSemaphore) -> T:
    slots.release()
    return result


async def _evaluate(
    evaluate: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]], line: str, number: int
) -> Mapping[str, Any]:
    try:
        question = json.loads(line)
        if not isinstance(question, dict):
            raise ValueError("not a JSON object")
        return await evaluate(question)
    except KeyError as error:
        raise click.UsageError(f"line {number}: {error.args[0]!r} is missing") from None
    except ValueError as error:
        raise click.UsageError(f"line {number}: {error}") from None


async def _write_after(before: Deferred[None], evaluated: Deferred[Mapping[str, Any]]) -> None:
    try:
        await before
    except BaseException:
        evaluated.addErrback(lambda _: None)
        raise
    answer = await evaluated
    click.echo(json.dumps(answer, ensure_ascii=False))
    sys.stdout.flush()
