"""The schema in numbered steps, each a file ``schema/NNNN_*.sql`` run once, in order, in the first transaction.

Work that SQL alone cannot do on every engine is done in code after a step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Final

from twisted.logger import Logger

from pymailsuite.errors import ConfigError
from pymailsuite.store.engines.base import Engine
from pymailsuite.store.queue_moving import move_queue_txn
from pymailsuite.store.transaction import Transaction

log = Logger()

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")
_COMMENT = re.compile(r"--[^\n]*")

_IN_CODE: Final[Mapping[int, Callable[[Transaction], None]]] = {23: move_queue_txn}
"""The function to run after a step, by its number."""

UNFINISHED = 1_000_000
"""In place of a version: a copy or a restore is filling the store, and no server may open it."""


def schema_steps() -> dict[int, str]:
    """The text of each step, by its number."""
    folder = resources.files("pymailsuite.store") / "schema"
    steps = {}
    for file in folder.iterdir():
        if match := _FILE_NAME.fullmatch(file.name):
            steps[int(match[1])] = file.read_text("utf-8")
    return dict(sorted(steps.items()))


def statements(text: str, words: Mapping[str, str]) -> list[str]:
    """The statements of a schema file in an engine's own words."""
    text = _COMMENT.sub("", text)
    for word, meaning in words.items():
        text = text.replace("{" + word + "}", meaning)
    return [statement for part in text.split(";") if (statement := part.strip())]


def migrate_txn(txn: Transaction, engine: Engine, now: float, upto: int | None = None) -> int:
    """Bring the schema up to a version, the newest if not said; the version. ConfigError if the store is newer.

    Several processes may start on an empty database at once: one does the work, the others find it done. All steps are
    one transaction: if it fails, the store stays as it was, for the old release or for another attempt. Work that takes
    long for a large store is no step, but done in pieces while the server runs.
    """
    txn.lock_schema()
    for statement in engine.own_statements:
        txn.execute(statement)
    txn.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY, applied_at DOUBLE PRECISION)"
    )
    applied = {version for (version,) in txn.rows("SELECT version FROM schema_version")}
    steps = schema_steps()
    found, known = max(applied, default=0), max(steps)
    if found == UNFINISHED:
        raise ConfigError("the store is a copy, or comes from a backup, and is not whole yet: run that command again")
    if found > known:
        raise ConfigError(f"the store's schema is version {found}; this release knows {known} and would damage it")
    for version, text in steps.items():
        if version not in applied and version <= (upto or known):
            if found:
                log.info(
                    "{event} to version {version} of {newest}", event="store.upgrading", version=version, newest=known
                )
            for statement in statements(text, engine.schema_words):
                txn.execute(statement)
            if version in _IN_CODE:
                _IN_CODE[version](txn)
            txn.execute("INSERT INTO schema_version (version, applied_at) VALUES (?, ?)", (version, now))
    return upto or known
