"""The tables as the schema files declare them, for code that handles all of them alike.

Only the few forms of statement that the schema uses are known; another form is an error here, so that a copy or a
backup never leaves out a table.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

from pymailsuite.store.migrate import schema_steps, statements


class Kind(enum.Enum):
    """The type of a column's values, in Python."""

    INTEGER = "integer"
    REAL = "real"
    TEXT = "text"
    OCTETS = "octets"


@frozen
class Column:
    """One column."""

    name: str
    kind: Kind


@frozen
class Table:
    """One table. ``key`` is its primary key, by which every database has the rows in the order Python has them in."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """In the order of the declaration."""
        return tuple(column.name for column in self.columns)

    @property
    def key_places(self) -> tuple[int, ...]:
        """The indexes of the key's columns in a row."""
        names = self.column_names
        return tuple(names.index(name) for name in self.key)


_KINDS: Mapping[str, Kind] = {
    "{text}": Kind.TEXT,
    "BIGINT": Kind.INTEGER,
    "INTEGER": Kind.INTEGER,
    "SMALLINT": Kind.INTEGER,
    "{key}": Kind.INTEGER,
    "DOUBLE PRECISION": Kind.REAL,
    "{octets}": Kind.OCTETS,
}
_TYPE = re.compile("|".join(re.escape(word) for word in _KINDS), re.IGNORECASE)
_CREATE = re.compile(r"CREATE TABLE (\w+)\s*\((.*)\)\s*(?:\{\w+\})?", re.IGNORECASE | re.DOTALL)
_DROP = re.compile(r"DROP TABLE (\w+)", re.IGNORECASE)
_RENAME = re.compile(r"ALTER TABLE (\w+) RENAME TO (\w+)", re.IGNORECASE)
_RENAME_COLUMN = re.compile(r"ALTER TABLE (\w+) RENAME COLUMN (\w+) TO (\w+)", re.IGNORECASE)
_ADD_COLUMN = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (.+)", re.IGNORECASE | re.DOTALL)
_DROP_COLUMN = re.compile(r"ALTER TABLE (\w+) DROP COLUMN (\w+)", re.IGNORECASE)
_PRIMARY_KEY = re.compile(r"PRIMARY KEY\s*\(([^)]*)\)", re.IGNORECASE)
_TABLE_STATEMENT = re.compile(r"(?:CREATE|ALTER|DROP) (?!UNIQUE INDEX|INDEX)", re.IGNORECASE)
_NESTED = re.compile(r"\([^()]*\)")


def declared_tables(version: int | None = None, steps: Mapping[int, str] | None = None) -> dict[str, Table]:
    """The tables of the schema as of a version (None: the newest), by name. ValueError for a form that is not known."""
    tables: dict[str, Table] = {}
    for number, text in (steps or schema_steps()).items():
        if version is None or number <= version:
            for statement in statements(text, {}):
                _apply(tables, statement)
    return tables


def _apply(tables: dict[str, Table], statement: str) -> None:
    if not _TABLE_STATEMENT.match(statement):
        return
    if match := _CREATE.fullmatch(statement):
        tables[match[1]] = _table(match[1], match[2])
    elif match := _DROP.fullmatch(statement):
        del tables[match[1]]
    elif match := _RENAME.fullmatch(statement):
        tables[match[2]] = evolve(tables.pop(match[1]), name=match[2])
    elif match := _RENAME_COLUMN.fullmatch(statement):
        table = tables[match[1]]
        columns = tuple(
            evolve(column, name=match[3]) if column.name == match[2] else column for column in table.columns
        )
        key = tuple(match[3] if name == match[2] else name for name in table.key)
        tables[table.name] = Table(table.name, columns, key)
    elif match := _ADD_COLUMN.fullmatch(statement):
        table = tables[match[1]]
        tables[table.name] = evolve(table, columns=(*table.columns, _column(match[2])))
    elif match := _DROP_COLUMN.fullmatch(statement):
        table = tables[match[1]]
        columns = tuple(column for column in table.columns if column.name != match[2])
        tables[table.name] = evolve(table, columns=columns)
    else:
        raise ValueError(f"a statement on tables of a form that is not known: {statement[:80]!r}")


def _table(name: str, body: str) -> Table:
    columns: list[Column] = []
    key: tuple[str, ...] = ()
    for part in _parts(body):
        if match := _PRIMARY_KEY.fullmatch(part):
            key = tuple(word.strip() for word in match[1].split(","))
        else:
            column = _column(part)
            columns.append(column)
            if "{key}" in part or "PRIMARY KEY" in part.upper():
                key = (column.name,)
    if not key:
        raise ValueError(f"table {name} has no primary key")
    return Table(name, tuple(columns), key)


def _parts(body: str) -> Iterable[str]:
    """The parts between commas that are not in brackets."""
    flat, held = body, []
    while match := _NESTED.search(flat):
        held.append(match[0])
        flat = f"{flat[: match.start()]}\x00{len(held) - 1}\x00{flat[match.end() :]}"
    for part in flat.split(","):
        whole = part
        while "\x00" in whole:
            before, number, after = whole.split("\x00", 2)
            whole = before + held[int(number)] + after
        yield " ".join(whole.split())


def _column(text: str) -> Column:
    name, _, rest = text.strip().partition(" ")
    match = _TYPE.match(rest)
    if match is None or not name.isidentifier():
        raise ValueError(f"a column of a form that is not known: {text!r}")
    return Column(name, _KINDS[match[0].upper() if match[0][0] != "{" else match[0]])
