"""How far a long command has come: a bar for people, a line now and then for logs. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich import progress as bars
from rich.console import Console
from rich.filesize import decimal

from pymailsuite.store.moving import Progress

_LINE_EVERY_S: Final = 5.0
_DRAWN_A_SECOND: Final = 5


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """What to tell of progress, for as long as the command runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[done]}"),
        bars.TimeRemainingColumn(),
        console=Console(stderr=True),
        refresh_per_second=_DRAWN_A_SECOND,
    ) as display:
        yield _Bars(display)


def _quantity(number: int, unit: str) -> str:
    return decimal(number) if unit == "octets" else f"{number:,} {unit}"


class _Bars:
    """A bar for each phase."""

    def __init__(self, display: bars.Progress) -> None:
        self._display = display
        self._task: bars.TaskID | None = None
        self._unit = ""
        self._done = 0

    def begin(self, phase: str, total: int, unit: str) -> None:
        """A new bar; the one before is full."""
        if self._task is not None:
            self._display.update(self._task, completed=self._done, total=self._done or 1)
        self._unit = unit
        self._done = 0
        self._task = self._display.add_task(phase, total=total or None, done="")

    def advance(self, number: int) -> None:
        """Move on."""
        self._done += number
        if self._task is not None:
            self._display.update(self._task, advance=number, done=_quantity(self._done, self._unit))


class _Lines:
    """A line for a phase that takes long, every few seconds."""

    def __init__(self) -> None:
        self._phase = ""
        self._unit = ""
        self._total = 0
        self._done = 0
        self._told = time.monotonic()

    def begin(self, phase: str, total: int, unit: str) -> None:
        """Count anew."""
        self._phase, self._unit, self._total, self._done = phase, unit, total, 0

    def advance(self, number: int) -> None:
        """Say so if it is time."""
        self._done += number
        if time.monotonic() > self._told + _LINE_EVERY_S:
            self._told = time.monotonic()
            of = f" of {_quantity(self._total, self._unit)}" if self._total else ""
            click.echo(f"{self._phase}: {_quantity(self._done, self._unit)}{of}", err=True)
