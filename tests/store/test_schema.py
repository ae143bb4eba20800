"""What the schema must keep to, so that it can be spread over machines unchanged."""

from __future__ import annotations

import ast
import re
from importlib import resources
from pathlib import Path

import pytest

import pymailsuite
from pymailsuite.store.engines.sqlite import SqliteEngine
from pymailsuite.store.migrate import schema_steps, statements

STEPS = schema_steps()
STATEMENTS = [statement for text in STEPS.values() for statement in statements(text, SqliteEngine.schema_words)]


def declared() -> tuple[int, dict[str, str]]:
    """How many tables were made and not dropped, and the body of each in its last form."""
    number, tables = 0, {}
    for statement in STATEMENTS:
        number += statement.startswith("CREATE TABLE") - statement.startswith("DROP TABLE")
        if match := re.fullmatch(r"CREATE TABLE (\w+) \((.*)\)[^)]*", statement, re.DOTALL):
            tables[match[1]] = match[2]
        elif match := re.fullmatch(r"ALTER TABLE (\w+) RENAME TO (\w+)", statement):
            tables[match[2]] = tables.pop(match[1])
        elif match := re.fullmatch(r"DROP TABLE (\w+)", statement):
            del tables[match[1]]
    return number, tables


MADE, TABLES = declared()
KEYED_BY = {
    # One account's mail.
    "account_state": "account_id",
    "mailboxes": "account_id",
    "deleted_mailboxes": "account_id",
    "messages": "account_id",
    "expunged": "account_id",
    "subscriptions": "account_id",
    "maildrop_locks": "account_id",
    "change_log": "account_id",
    "changed_flags": "account_id",
    "threaded_mailboxes": "account_id",
    "thread_links": "account_id",
    "threads": "account_id",
    "text_accounts": "account_id",
    "text_pieces": "account_id",
    "text_words": "account_id",
    "send_as_grants": "account_id",
    "mailbox_rights": "account_id",
    "annotations": "account_id",
    "mailbox_readers": "account_id",
    "reader_seen": "account_id",
    "quota_warnings": "account_id",
    # Octets.
    "contents": "content_id",
    "content_chunks": "content_id",
    "content_headers": "content_id",
    "staged_contents": "content_id",
    # The queue.
    "queue_entries": "entry_id",
    "queue_recipients": "entry_id",
    # What happened to a message goes by the id of its content too.
    "history": "story_id",
    # What is counted or gathered, by what.
    "state": "name",
    "domain_usage": "domain",
    "dmarc_days": "domain",
    "dmarc_rows": "domain",
    "dmarc_failures": "domain",
    "greylist": "client",
    "greylist_clients": "client",
    "reputations": "name",
    "history_names": "name",
    # Small, and read everywhere: a copy on each server.
    "counters": "",
    "domains": "",
    "accounts": "",
    "aliases": "",
    "account_groups": "",
    "group_members": "",
    "nodes": "",
    "list_entries": "",
    "fetched_lists": "",
    "signing_keys": "",
    "secrets": "",
    "retired_secrets": "",
}
"""The column whose value decides where a row lies; empty for reference tables. A new table is declared here and in
docs/scaling.rst."""
ENGINE_NAME = re.compile(r"(Sqlite|Postgres)(Engine|Connection|Cursor)|['\"](sqlite|postgres)")
DISTRIBUTED = sorted(name for name, column in KEYED_BY.items() if column)
PER_ACCOUNT = sorted(name for name, column in KEYED_BY.items() if column == "account_id")


def keys(name: str) -> list[list[str]]:
    """The columns of the primary key and of each unique index of a table."""
    body = TABLES[name]
    primary = re.search(r"PRIMARY KEY \(([^)]*)\)", body) or re.search(r"(\w+) [\w ]*PRIMARY KEY", body)
    assert primary is not None, f"{name} has no primary key"
    unique = [
        match[1]
        for statement in STATEMENTS
        if (match := re.match(rf"CREATE UNIQUE INDEX \w+ ON {name} \(([^)]*)\)", statement))
    ]
    return [[column.strip() for column in columns.split(",")] for columns in (primary[1], *unique)]


def test_each_step_has_a_number_of_its_own() -> None:
    folder = resources.files("pymailsuite.store") / "schema"
    assert len(schema_steps()) == sum(file.name.endswith(".sql") for file in folder.iterdir())


def test_every_table_is_declared() -> None:
    assert (MADE, set(TABLES)) == (len(TABLES), set(KEYED_BY))


@pytest.mark.parametrize("name", PER_ACCOUNT)
def test_every_per_account_key_begins_with_the_account(name: str) -> None:
    assert all(columns[0] == "account_id" for columns in keys(name))


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_every_key_holds_the_column_that_rows_are_spread_by(name: str) -> None:
    assert all(KEYED_BY[name] in columns for columns in keys(name))


def test_rows_of_an_account_are_declared_as_such() -> None:
    with_account = {name for name, body in TABLES.items() if re.search(r"^\s*account_id ", body, re.MULTILINE)}
    assert with_account - {"accounts"} == set(PER_ACCOUNT)


def test_nothing_refers_across_tables_and_no_sequence_is_used() -> None:
    for statement in STATEMENTS:
        assert not re.search(r"REFERENCES|FOREIGN KEY|AUTOINCREMENT|SERIAL|IDENTITY", statement, re.IGNORECASE)


@pytest.mark.parametrize("step", sorted(STEPS))
def test_types_that_databases_name_or_order_differently_are_left_to_the_engine(step: int) -> None:
    text = re.sub(r"--[^\n]*", "", STEPS[step])
    assert not re.search(r"\b(TEXT|VARCHAR|BLOB|BYTEA)\b", text)


@pytest.mark.parametrize("name", sorted(KEYED_BY))
def test_the_page_on_scaling_spreads_it_so(name: str) -> None:
    page = Path(pymailsuite.__file__).parents[1] / "docs/scaling.rst"
    column = KEYED_BY[name]
    wanted = f"create_distributed_table('{name}', '{column}'" if column else f"create_reference_table('{name}')"
    assert wanted in page.read_text(encoding="utf-8")


def test_nobody_but_the_engines_asks_which_database_it_is() -> None:
    """Conditions ask for abilities: no engine's class or name stands in one."""
    package = Path(pymailsuite.__file__).parent
    asked = []
    for path in package.rglob("*.py"):
        if package / "store/engines" in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
                condition: ast.AST = node.test
            elif isinstance(node, ast.Compare | ast.Match | ast.comprehension | ast.Call):
                condition = node
            else:
                continue
            if isinstance(node, ast.Call) and ast.unparse(node.func) not in {"isinstance", "issubclass"}:
                continue
            if ENGINE_NAME.search(ast.unparse(condition)):
                asked.append(f"{path.relative_to(package)}:{node.lineno if hasattr(node, 'lineno') else 0}")
    assert asked == []
