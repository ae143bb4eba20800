"""A whole pymailsuite in a process of its own, as an operator would start it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pymailsuite.cli.dev import configuration, dev, prepare_store, toml_text, twistd_command
from pymailsuite.cli.dev import free_port_base as find_port_base
from pymailsuite.config.loader import load_settings
from pymailsuite.config.settings import Settings
from pymailsuite.server.data_folder import store_url
from pymailsuite.store import inline_store
from tests.support.stores import fired

READY_TIMEOUT_S = 120.0
_QUICK_HASHES = {"argon2_time_cost": 1, "argon2_memory_kib": 64}
"""A login costs a thirtieth of a second otherwise, and so does an account."""
_STANDARD_PORTS = (24, 25, 80, 110, 143, 465, 587, 993, 995)


def free_port_base() -> int:
    """A number N for which every N + standard port is free on loopback just now.

    Below the ports that the system gives to outgoing connections, and of other hundreds than those of another process
    that runs tests. Each process has all thousands to choose from, beginning at another one: servers of
    ``tests/hostile`` take some of them until the run ends.
    """
    first = os.getpid() % 200
    base = find_port_base((10000 + (first + 10 * step) % 220 * 100 for step in range(22)), _STANDARD_PORTS)
    assert base is not None, "no free ports"
    return base


class Server:
    """The server that ``pymailsuite dev`` runs, on loopback. Starting it again goes on with the same folder and ports.

    ``options`` are those of the command; ``environment`` is the process's, None: the same as ours. The folder is
    prepared as the command does it, but here: two starts of Python and a hash of every password for each start of a
    server are what most tests would take longest for.
    """

    def __init__(
        self,
        directory: Path,
        accounts: Sequence[str],
        *options: str,
        domain: str = "example.test",
        password: str = "test",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port_base = free_port_base()
        self.domain = domain
        self.password = password
        self.addresses = [f"{name}@{domain}" for name in accounts]
        self.config_file = directory / "pymailsuite.toml"
        self._options = options
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._is_ready = False
        self.output: list[str] = []

    def port(self, standard: int) -> int:
        """The port that stands for a standard one, such as 25 or 143."""
        return self.port_base + standard

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start and wait for the line ``ready``; AssertionError with the output if it does not come."""
        if not self.config_file.exists():
            self.prepare()
        self._run(twistd_command(self.config_file))

    def prepare(self) -> None:
        """Make the folder, the configuration file, and the store with the accounts in it."""
        given = dev.make_context("dev", self._dev_arguments()).params
        accounts = given.pop("accounts")
        self.directory.mkdir(parents=True, exist_ok=True)
        taken = ("plaintext_login", "resolver", "relayhost", "store", "workers", "proxy_protocol")
        tables = configuration(self.directory, self.port_base, [self.domain], **{name: given[name] for name in taken})
        tables["auth"] = _QUICK_HASHES
        for name, options in self._more_settings().items():
            tables[name] = {**tables.get(name, {}), **options}
        self.config_file.write_text(toml_text(tables), encoding="utf-8")
        self._fill_store(load_settings(self.config_file), accounts)

    def _fill_store(self, settings: Settings, accounts: Sequence[Any]) -> None:
        clock = Clock()
        clock.advance(time.time())
        store = inline_store(settings.store, clock, url=store_url(settings))
        fired(store.open())
        try:
            fired(Deferred.fromCoroutine(prepare_store(store, settings, accounts)))
        finally:
            fired(store.close())

    def _more_settings(self) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def _dev_arguments(self) -> list[str]:
        arguments = ["--dir", str(self.directory), "--port-base", str(self.port_base), "--domain", self.domain]
        for address in self.addresses:
            arguments += ["--account", f"{address}:{self.password}"]
        return [*arguments, "--plaintext-login", *self._options]

    def _run(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment
        )
        said = threading.Event()
        self._is_ready = False
        threading.Thread(target=self._drain, args=(self._process, said), daemon=True).start()
        said.wait(READY_TIMEOUT_S)
        assert self._is_ready, "not ready:\n" + "".join(self.output[-50:])

    def _drain(self, process: subprocess.Popen[str], said: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.output.append(line)
                if line == "ready\n":
                    self._is_ready = True
                    said.set()
        said.set()

    def kill(self) -> None:
        """SIGKILL: no code of ours runs any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does; the exit code."""
        return self._end(signal.SIGINT)

    def _end(self, signum: int) -> int:
        assert self._process is not None, "not started"
        process, self._process = self._process, None
        process.send_signal(signum)
        return process.wait(READY_TIMEOUT_S)


class DevServer(Server):
    """The same by the command itself, which prepares the folder and becomes the server, at every start."""

    def start(self) -> None:
        self._run([sys.executable, "-m", "pymailsuite", "dev", "--log", "-", *self._dev_arguments()])


class TunedServer(Server):
    """The same with settings of its own: tables and options of the configuration file."""

    def __init__(
        self,
        directory: Path,
        accounts: Sequence[str],
        settings: Mapping[str, Mapping[str, Any]],
        *options: str,
        domain: str = "example.test",
        password: str = "test",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, accounts, *options, domain=domain, password=password, environment=environment)
        self._settings = settings

    def _more_settings(self) -> Mapping[str, Mapping[str, Any]]:
        return self._settings


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Started, and stopped whatever happens."""
    server.start()
    try:
        yield server
    finally:
        if server._process is not None:
            server._end(signal.SIGKILL)
