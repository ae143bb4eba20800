"""What is read out of the schema's files is what the database has."""

from __future__ import annotations

import sqlite3

import pytest

from pymailsuite.store.engines.sqlite import SqliteEngine
from pymailsuite.store.migrate import schema_steps, statements
from pymailsuite.store.moving.source import LEFT_BEHIND
from pymailsuite.store.tables import Column, Kind, Table, declared_tables


def test_every_table_and_column_of_the_schema_is_known() -> None:
    database = sqlite3.connect(":memory:")
    for text in schema_steps().values():
        for statement in statements(text, SqliteEngine.schema_words):
            database.execute(statement)
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    declared = declared_tables()
    assert sorted(declared) == sorted(names)
    for name in names:
        columns = database.execute(f"PRAGMA table_info({name})").fetchall()
        assert declared[name].column_names == tuple(column[1] for column in columns)
        key = sorted((column[5], column[1]) for column in columns if column[5])
        assert declared[name].key == tuple(column for _, column in key)
    database.close()


def test_what_is_not_moved_as_rows_is_these_tables() -> None:
    index = {"text_accounts", "text_pieces", "text_words"}
    assert set(LEFT_BEHIND) == {"content_chunks", "content_headers", "staged_contents", *index}
    assert set(LEFT_BEHIND) <= set(declared_tables())


def test_later_steps_change_tables() -> None:
    steps = {
        1: "CREATE TABLE a (x {key}, y {text} NOT NULL);\n"
        "CREATE TABLE b (x BIGINT NOT NULL, y {octets}, PRIMARY KEY (x))",
        2: "ALTER TABLE a ADD COLUMN z DOUBLE PRECISION NOT NULL DEFAULT 0; CREATE UNIQUE INDEX i ON a (y)",
        3: "ALTER TABLE a RENAME COLUMN x TO w; ALTER TABLE b RENAME TO c; ALTER TABLE a DROP COLUMN y",
        4: "DROP TABLE c",
    }
    assert declared_tables(1, steps)["b"] == Table("b", (Column("x", Kind.INTEGER), Column("y", Kind.OCTETS)), ("x",))
    assert declared_tables(2, steps)["a"].column_names == ("x", "y", "z")
    assert set(declared_tables(3, steps)) == {"a", "c"}
    assert declared_tables(None, steps) == {
        "a": Table("a", (Column("w", Kind.INTEGER), Column("z", Kind.REAL)), ("w",))
    }


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE a (x BIGINT NOT NULL)",
        "CREATE TABLE a (x TEXT NOT NULL PRIMARY KEY)",
        "CREATE TABLE a AS SELECT 1",
        "CREATE VIRTUAL TABLE a USING fts5 (x)",
        "ALTER TABLE a ALTER COLUMN x TYPE BIGINT",
    ],
)
def test_a_form_that_is_not_known_is_an_error(statement: str) -> None:
    with pytest.raises(ValueError, match=r"not known|no primary key"):
        declared_tables(None, {1: statement})
