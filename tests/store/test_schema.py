"""What the schema must keep to, so that it can be spread over machines unchanged."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from pymailsuite.store.engines.sqlite import SqliteEngine
from pymailsuite.store.migrate import schema_steps, statements

STATEMENTS = [
    statement for text in schema_steps().values() for statement in statements(text, SqliteEngine.schema_words)
]
TABLES = {
    match[1]: match[2]
    for statement in STATEMENTS
    if (match := re.fullmatch(r"CREATE TABLE (\w+) \((.*)\)[^)]*", statement, re.DOTALL))
}
PER_ACCOUNT = sorted(name for name, body in TABLES.items() if re.search(r"^\s*account_id ", body, re.MULTILINE))


def test_each_step_has_a_number_of_its_own() -> None:
    folder = resources.files("pymailsuite.store") / "schema"
    assert len(schema_steps()) == sum(file.name.endswith(".sql") for file in folder.iterdir())


def test_the_tables_were_found() -> None:
    assert {"accounts", "account_state", "mailboxes", "messages", "expunged"} <= set(PER_ACCOUNT)
    assert {"contents", "content_chunks", "queue_entries"} <= set(TABLES) - set(PER_ACCOUNT)


@pytest.mark.parametrize("name", PER_ACCOUNT)
def test_every_per_account_key_begins_with_the_account(name: str) -> None:
    body = TABLES[name]
    assert re.search(r"PRIMARY KEY \(account_id\b|account_id INTEGER PRIMARY KEY", body)


@pytest.mark.parametrize("name", sorted(set(PER_ACCOUNT) - {"accounts"}))
def test_every_unique_index_of_per_account_rows_begins_with_the_account(name: str) -> None:
    for statement in STATEMENTS:
        if re.match(rf"CREATE UNIQUE INDEX \w+ ON {name} ", statement):
            assert re.search(rf"ON {name} \(account_id\b", statement)


def test_nothing_refers_across_tables_and_no_sequence_is_used() -> None:
    for statement in STATEMENTS:
        assert not re.search(r"REFERENCES|FOREIGN KEY|AUTOINCREMENT|SERIAL|IDENTITY", statement, re.IGNORECASE)
