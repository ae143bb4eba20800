"""Stores of earlier releases, taken over by this one: nothing is lost, and the tables are those of a new store."""

from __future__ import annotations

import contextlib
import json
import lzma
import re
import shutil
import sqlite3
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from twisted.internet.task import Clock

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import MailError
from pymailsuite.store import inline_store
from pymailsuite.store.migrate import schema_steps
from tests.store.upgrades.contents import PASSWORD, contents
from tests.support import stores
from tests.support.logs import captured_logs
from tests.support.server import TunedServer, running
from tests.support.stores import fired

FOLDER = Path(__file__).parent
VERSIONS = sorted(path.stem for path in FOLDER.glob("*.json"))
MADE_AT = 1_796_000_000.0
"""Shortly after the youngest of them: what is kept for some days is still there."""
_AGES = "100000d"
_SETTINGS: dict[str, dict[str, Any]] = {
    "queue": {"expire": _AGES, "expire_reports": _AGES, "warn_after": "0s", "retry_first": _AGES, "retry_max": _AGES},
    "history": {"keep": _AGES},
    "store": {"undelete_time": _AGES, "expunge_log_time": _AGES},
    "dns": {"servers": ["127.0.0.1:9"]},
}
"""Years later, too, the server finds nothing that is over."""

_LATER = {"next_attempt", "attempts", "host", "reply", "status", "later", "now", "expires_at", "state"}
"""What a server does to a queue and a history that it goes on with."""


def losses(before: Any, after: Any, where: str) -> Iterator[str]:
    """A line for each value that was there before and is not the same now; more than there was is no loss."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in _LATER:
                continue
            if key not in after:
                yield f"{where}: no {key}"
            else:
                yield from losses(value, after[key], f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{where}: {len(before)} became {len(after)}: {before} {after}"
        for number, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from losses(one, other, f"{where}/{number}")
    elif _lasting(before) != _lasting(after):
        yield f"{where}: {before!r} became {after!r}"


def _lasting(value: Any) -> Any:
    """Without what only says whether anybody has looked."""
    return re.sub(r"\\(?:Recent|Marked|Unmarked) ?", "", value) if isinstance(value, str) else value


class UpgradeCase(unittest.TestCase):
    """A store of version ``version``, at ``url``."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pymailsuite-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.clock = Clock()
        self.clock.rightNow = MADE_AT

    def place(self, version: str) -> str:
        """The URL of the store as that version made it."""
        if stores.schemas is None:
            file = self.folder / f"{version}.sqlite"
            file.write_bytes(lzma.decompress((FOLDER / f"{version}.sqlite.xz").read_bytes()))
            return f"sqlite://{file}"
        url = stores.schemas.make_bare()
        stores.schemas.restore(url, lzma.decompress((FOLDER / f"{version}.sql.xz").read_bytes()).decode("utf-8"))
        return url

    def new_url(self) -> str:
        return f"sqlite://{self.folder}/new.sqlite" if stores.schemas is None else stores.schemas.make_bare()

    def upgrade(self, url: str) -> None:
        """Open it once, as a start does, look for faults, derive everything anew, and look again."""
        store = inline_store(StoreSection(), self.clock, url=url)
        fired(store.open())
        try:
            self.assertEqual(fired(store.maintenance.verify(True)), [])
            fired(store.maintenance.rebuild())
            self.assertEqual(fired(store.maintenance.verify(True)), [])
        finally:
            fired(store.close())

    def tables(self, url: str) -> list[tuple[str, ...]]:
        """Each table's columns, or its declaration, and each index."""
        if stores.schemas is not None:
            return stores.schemas.described(url)
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite://"))) as connection:
            return sorted(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


class TableTests(UpgradeCase):
    def test_the_tables_are_those_of_a_new_store(self) -> None:
        new = self.new_url()
        self.upgrade(new)
        for version in VERSIONS:
            with self.subTest(version=version):
                old = self.place(version)
                self.upgrade(old)
                self.assertEqual(self.tables(old), self.tables(new))


class InterruptionTests(UpgradeCase):
    def test_an_upgrade_that_is_cut_off_leaves_the_store_as_it_was(self) -> None:
        steps = schema_steps()
        for version in VERSIONS:
            with self.subTest(version=version):
                url = self.place(version)
                before = self.tables(url)
                for last in range(int(version) + 1, max(steps) + 1):
                    cut_off = {number: text for number, text in steps.items() if number < last}
                    cut_off[last] = steps[last] + "; SELECT nothing FROM nowhere"
                    with mock.patch("pymailsuite.store.migrate.schema_steps", lambda steps=cut_off: steps):
                        store = inline_store(StoreSection(), self.clock, url=url)
                        with self.assertRaises(MailError):
                            fired(store.open())
                    self.assertEqual(self.tables(url), before)
                self.upgrade(url)

    def test_each_step_is_told(self) -> None:
        url = self.place(VERSIONS[0])
        with captured_logs() as events:
            self.upgrade(url)
        told = [event["version"] for event in events if event.get("event") == "store.upgrading"]
        self.assertEqual(told, [version for version in schema_steps() if version > int(VERSIONS[0])])


@pytest.mark.slow
class ServedTests(UpgradeCase):
    def test_everything_is_served_as_it_was(self) -> None:
        for version in VERSIONS:
            with self.subTest(version=version):
                url = self.place(version)
                self.upgrade(url)
                settings = {**_SETTINGS, "store": {**_SETTINGS["store"], "url": url}}
                server = TunedServer(self.folder / f"server-{version}", (), settings, password=PASSWORD)
                with running(server):
                    now = contents(server)
                before = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))
                del before["greylist show"]  # it is for two days
                self.assertEqual(list(losses(before, now, "")), [])
