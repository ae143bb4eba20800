"""Commands run in this process: on a real store on disk, without reactor and threads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.cli import operation
from pymailsuite.cli.main import root
from pymailsuite.config.loader import load_settings
from pymailsuite.config.settings import Settings
from pymailsuite.interfaces import IMailStore
from pymailsuite.server.data_folder import store_url
from pymailsuite.store import inline_store

NOW = 1_770_000_000.0


class CommandCase(SynchronousTestCase):
    """``self.run_command("domain", "list")``."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config_file = self.folder / "mail.toml"
        self.config_file.write_text(
            '[server]\nhostname = "mail.example.test"\ndomains = ["example.test"]\ndata_dir = "data"\n'
            "[auth]\nargon2_memory_kib = 8\nargon2_time_cost = 1\n"
        )
        self.patch(operation, "store_of", self.store_of)
        self.patch(operation, "run_in_reactor", self.run_at_once)

    @staticmethod
    def store_of(settings: Settings, reactor: Any) -> IMailStore:
        clock = Clock()
        clock.advance(NOW)
        return inline_store(settings.store, clock, url=store_url(settings), quota=settings.quota)

    def run_at_once(self, main: Callable[[Any], Any]) -> Any:
        results: list[Any] = []
        failures: list[Any] = []
        Deferred.fromCoroutine(main(None)).addCallbacks(results.append, failures.append)
        if failures:
            failures[0].raiseException()
        return results[0]

    def on_store(self, work: Callable[[IMailStore], Any]) -> Any:
        """What ``work(store)`` answers, on the store the commands use."""

        async def with_store(reactor: Any) -> Any:
            settings = load_settings(self.config_file)
            settings.server.data_dir.mkdir(exist_ok=True)
            store = self.store_of(settings, reactor)
            await store.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return self.run_at_once(with_store)

    def run_command(self, *arguments: str, stdin: str = "", code: int = 0, config: bool = True) -> Result:
        """Run it and check its exit code."""
        line = [*arguments, "--config", str(self.config_file)] if config else list(arguments)
        result = CliRunner().invoke(root, line, input=stdin, prog_name="pymailsuite")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def answer(self, *arguments: str, stdin: str = "") -> Any:
        """What it prints with ``--json``."""
        return json.loads(self.run_command(*arguments, "--json", stdin=stdin).stdout)
