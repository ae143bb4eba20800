"""How fast FETCH responses are made of rows: milliseconds for 10,000 messages, the best of some runs.

python benchmarks/imap_render.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pymailsuite.imap.values import Fetch
from pymailsuite.interfaces import Column
from pymailsuite.values import UidSet
from tests.support.imap import compile_fetch, parse

MESSAGES = 10_000
OCTETS = b"Subject: a message\r\n\r\n" + b"0123456789abcdef" * 250
ENVELOPE = (
    b'("Mon, 7 Feb 1994 21:52:25 -0800" "Re: minutes of the meeting %d" (("Fred Foobar" NIL "foobar" "mail.example"))'
    b' (("Fred Foobar" NIL "foobar" "mail.example")) (("Fred Foobar" NIL "foobar" "mail.example"))'
    b' (("A Reader" NIL "reader" "mail.example")) NIL NIL NIL "<B27397-0100000@mail.example>")'
)


def value(column: Column, number: int) -> object:
    """What the store would give for message ``number``."""
    return {
        Column.UID: number + 10,
        Column.SYSTEM_FLAGS: number % 3,
        Column.KEYWORDS: "" if number % 7 else "$Label1 NonJunk",
        Column.MODSEQ: number + 1000,
        Column.INTERNAL_DATE: 1.6e9 + 7000.5 * number,
        Column.SIZE: len(OCTETS),
        Column.ENVELOPE: ENVELOPE % number,
        Column.HEADER: OCTETS[:22],
        Column.PREFIX_SIZE: 0,
        Column.HEADER_SIZE: 22,
        Column.OCTETS: OCTETS,
    }[column]


def best_ms(work: Callable[[], object]) -> float:
    """The least of some times, which disturbs the measure least."""
    times = []
    for _ in range(9):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def main() -> None:
    """Print a line for each form of FETCH."""
    numbers = {number + 10: number for number in range(1, MESSAGES + 1)}
    for items in (
        "(UID FLAGS)",
        "(UID FLAGS MODSEQ)",
        "(UID FLAGS ENVELOPE INTERNALDATE RFC822.SIZE)",
        "(UID BODY.PEEK[HEADER])",
        "(BODY.PEEK[])",
        "(UID BODY.PEEK[TEXT]<0.2000>)",
    ):
        command = parse([b"a FETCH 1:* " + items.encode("ascii")])
        assert isinstance(command, Fetch)
        plan = compile_fetch(command.items, uid=False, condstore=False)
        rows = [tuple(value(column, number) for column in plan.columns) for number in range(1, MESSAGES + 1)]
        size = len(plan.render(rows, numbers.__getitem__, UidSet()))
        took = best_ms(lambda plan=plan, rows=rows: plan.render(rows, numbers.__getitem__, UidSet()))
        print(f"{items:50} {took:8.2f} ms {size / took / 1e3:8.0f} MB/s")


if __name__ == "__main__":
    main()
