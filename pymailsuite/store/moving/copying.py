"""Copies a store to another database.

In two passes. The first copies messages' octets, which never change, in many short transactions: the source may be in
use for as long as that takes. The second is one transaction on the source, so all of it is the source at one moment; it
brings over every table of rows, and what came or went during the first. Existing rows are compared, not written again,
so an interrupted run continues where it was, and a second run, with the server stopped, is short.

The target is marked as unfinished until a run ends with nothing changed in the source since its second pass began. So
there is no torn copy: either the mark is there, or all of the source is.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial

from attrs import frozen

from pymailsuite.errors import ConfigError
from pymailsuite.store.checks import check_digests_txn, check_txn
from pymailsuite.store.moving.bulk_load import CONTENTS_AT_ONCE, BulkLoad, BulkLoadResult
from pymailsuite.store.moving.progress import Progress
from pymailsuite.store.moving.rows import Digest, batch_txn, digest_txn
from pymailsuite.store.moving.session import HalfMade, StoreSession, identity_txn, schema_version_txn
from pymailsuite.store.moving.source import CONTENTS, GROUP_OCTETS, LEFT_BEHIND, StoreSource
from pymailsuite.store.tables import Table, declared_tables
from pymailsuite.store.transaction import Row, Transaction

_TOLD_BY_THE_CLOCK = frozenset(
    {"messages", "expunged", "mailboxes", "deleted_mailboxes", "subscriptions", "change_log", "changed_flags", CONTENTS}
)
"""Changes of these move a modseq in ``account_state``, or are a sweep's, whose work the target's server does too."""


@frozen
class CopyResult:
    """The result of one run.

    ``taken_at`` is the moment (POSIX seconds) whose state the target now has. ``is_current``: nothing changed in the
    source since, and the target is a store to be used. ``resumed``: a run before this one had begun. ``faults`` are of
    the target, and ``source_faults`` were in the source already.
    """

    taken_at: float
    is_current: bool
    resumed: bool
    rows: int
    octets: int
    seconds: float
    faults: list[str]
    source_faults: list[str]


def copy_store(source: StoreSession, target: StoreSession, progress: Progress, *, now: float, deep: bool) -> CopyResult:
    """Copy all of ``source``. ConfigError if it is no whole store, or the target is neither empty nor a copy of it."""
    started = time.monotonic()
    version, identity = source.read("look at the source", lambda txn: (schema_version_txn(txn), identity_txn(txn)))
    tables = declared_tables(version)
    if _is_finished_copy(source, target, tables, version, identity):
        is_in_use = source.read("look for changes", partial(_is_in_use_txn, tables=tables))
        found = set(_faults_of(target, deep))
        in_both = found & set(_faults_of(source, deep)) if found else found
        seconds = time.monotonic() - started
        is_whole = found == in_both and not is_in_use
        return CopyResult(time.time(), is_whole, True, 0, 0, seconds, sorted(found - in_both), sorted(in_both))
    half_made = HalfMade(target, version, identity, "a copy", now)
    resumed = half_made.begin()
    filling = BulkLoad(target, tables, progress)
    _add_contents(source, target, tables[CONTENTS], filling, progress)

    def second_pass_txn(txn: Transaction) -> tuple[float, Mapping[str, Digest]]:
        state = _state_txn(txn, tables)
        taken_at = time.time()
        filling.fill(StoreSource(txn))
        return taken_at, state

    taken_at, state = source.read("copy", second_pass_txn)
    faults = filling.verify(deep)
    inherited = {*filling.done.faults, *(_faults_of(source, deep) if faults else ())}
    faults = [fault for fault in faults if fault not in inherited]
    is_in_use, state_now = source.read(
        "look for changes", lambda txn: (_is_in_use_txn(txn, tables), _state_txn(txn, tables))
    )
    is_current = not faults and not is_in_use and state_now == state
    if is_current:
        half_made.finish()
    done: BulkLoadResult = filling.done
    seconds = time.monotonic() - started
    return CopyResult(taken_at, is_current, resumed, done.rows, done.octets, seconds, faults, sorted(inherited))


def _is_finished_copy(
    source: StoreSession, target: StoreSession, tables: Mapping[str, Table], version: int, identity: str
) -> bool:
    """Whether an earlier run has made the target all that the source still is, so that there is nothing left to do.

    ConfigError if it was made a copy of the source, and one of the two has changed since: a server may be using it.
    """
    if "schema_version" not in target.table_names() or "unfinished" in target.table_names():
        return False
    if target.read("look at the target", identity_txn) != identity:
        return False

    def digests_txn(txn: Transaction) -> dict[str, Digest]:
        return {name: digest_txn(txn, table) for name, table in tables.items() if name not in LEFT_BEHIND}

    if target.read("look at the target", schema_version_txn) != version or (
        source.read("digest", digests_txn) != target.read("digest", digests_txn)
    ):
        raise ConfigError(
            "the target is a copy of this store that was finished earlier, and one of the two has changed since: its"
            " server may be in use. Give a target that is not there, or remove this one"
        )
    return True


def _faults_of(store: StoreSession, deep: bool) -> Iterator[str]:
    """The faults of a store itself."""
    yield from store.read("verify", check_txn)
    after: int | None = 0 if deep else None
    while after is not None:
        lines, after = store.read("verify digests", partial(check_digests_txn, after=after, limit=CONTENTS_AT_ONCE))
        yield from lines


def _is_in_use_txn(txn: Transaction, tables: Mapping[str, Table]) -> bool:
    """Whether a server has the store open, or had a moment ago: one that is killed cannot take back its claim."""
    return "nodes" in tables and txn.row("SELECT 1 FROM nodes WHERE held_until > ? LIMIT 1", (time.time(),)) is not None


def _state_txn(txn: Transaction, tables: Mapping[str, Table]) -> dict[str, Digest]:
    """The digests of tables that differ after every relevant change, without reading all tables."""
    return {
        table.name: digest_txn(txn, table)
        for table in tables.values()
        if table.name not in LEFT_BEHIND and table.name not in _TOLD_BY_THE_CLOCK
    }


def _add_contents(
    source: StoreSession, target: StoreSession, table: Table, filling: BulkLoad, progress: Progress
) -> None:
    """The first pass: contents in the order of their ids, which is that of time, from the last one that is there."""
    after: int = target.read(
        "look at the target", lambda txn: txn.value(f"SELECT COALESCE(MAX(content_id), 0) FROM {CONTENTS}")
    )
    size = table.column_names.index("size")
    progress.begin("messages", _octets_after(source, after), "octets")

    def step_txn(txn: Transaction) -> list[Row]:
        rows = []
        octets = 0
        for row in batch_txn(txn, table, (after,)):
            rows.append(row)
            octets += row[size]
            if octets >= GROUP_OCTETS:
                break
        # Rows and octets are of one moment: a sweep cannot come between them.
        filling.add_contents(StoreSource(txn), rows)
        progress.advance(octets)
        return rows

    while rows := source.read("copy messages", step_txn):
        after = rows[-1][0]


def _octets_after(source: StoreSession, after: int) -> int:
    octets: int = source.read(
        "count octets",
        lambda txn: txn.value(f"SELECT COALESCE(SUM(size), 0) FROM {CONTENTS} WHERE content_id > ?", (after,)),
    )
    return octets
