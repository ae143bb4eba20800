"""The output of commands: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Output that is not a terminal has no width to fit into: lines stay whole for grep.
_NO_TERMINAL_WIDTH: Final = 100_000


def _console() -> Console:
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH, highlight=False)


def print_json(value: Any) -> None:
    """One JSON value, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Rows as a table with these columns, or all they hold as a JSON array."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        is_number = bool(rows) and all(isinstance(row[column], int | float) for row in rows)
        table.add_column(column.replace("_", " "), overflow="fold", justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(Text(cell(row[column])) for column in columns))
    _console().print(table)


def print_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Names and values, a line each, or a JSON object."""
    if as_json:
        print_json(dict(facts))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), Text(cell(value)))
    _console().print(table)


def print_done(text: str, facts: Mapping[str, Any], as_json: bool) -> None:
    """The result of a command: a sentence, or a JSON object."""
    if as_json:
        print_json(dict(facts))
    else:
        click.echo(text)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={cell(item)}" for name, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(cell(item) for item in value)
    return str(value)


def moment(seconds: float | None) -> str | None:
    """POSIX seconds as ISO 8601 in UTC; None for no time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None
