"""A whole pymailsuite in a process of its own, as an operator would start it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymailsuite.cli.dev import configuration, toml_text, twistd_command

READY_TIMEOUT_S = 120.0
_STANDARD_PORTS = (24, 25, 80, 110, 143, 465, 587, 993, 995)


def free_port_base() -> int:
    """A number N for which every N + standard port is free on loopback just now.

    Below the ports that the system gives to outgoing connections, and another for each process that runs tests.
    """
    for base in range(10000 + os.getpid() % 200 * 100, 32000, 1000):
        with contextlib.ExitStack() as stack:
            try:
                for port in _STANDARD_PORTS:
                    listener = stack.enter_context(socket.socket())
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    listener.bind(("127.0.0.1", base + port))
            except OSError:
                continue
            return base
    raise RuntimeError("no free ports")


class Server:
    """``pymailsuite dev`` on loopback. Starting it again goes on with the same folder and ports."""

    def __init__(
        self,
        directory: Path,
        accounts: Sequence[str],
        *options: str,
        domain: str = "example.test",
        password: str = "test",
    ) -> None:
        self.directory = directory
        self.port_base = free_port_base()
        self.domain = domain
        self.password = password
        self.addresses = [f"{name}@{domain}" for name in accounts]
        self._options = options
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
        self._run(self._command())

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "pymailsuite", "dev", "--dir", str(self.directory)]
        command += ["--port-base", str(self.port_base), "--domain", self.domain, "--plaintext-login"]
        for address in self.addresses:
            command += ["--account", f"{address}:{self.password}"]
        return [*command, *self._options]

    def _run(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = threading.Event()
        self._is_ready = False
        threading.Thread(target=self._drain, args=(self._process, said), daemon=True).start()
        said.wait(READY_TIMEOUT_S)
        assert self._is_ready, "not ready:\n" + "".join(self.output[-50:])

    def _drain(self, process: subprocess.Popen[str], said: threading.Event) -> None:
        assert process.stdout is not None
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
    ) -> None:
        super().__init__(directory, accounts, *options, domain=domain, password=password)
        self._settings = settings
        self._prepared = False

    def start(self) -> None:
        """As Server does. The first time ``dev`` runs once before, to make the folder and the accounts."""
        if not self._prepared:
            super().start()
            self.stop()
            self._prepared = True
        tables = configuration(self.directory, self.port_base, [self.domain], plaintext_login=True)
        for name, options in self._settings.items():
            tables[name] = {**tables.get(name, {}), **options}
        config_file = self.directory / "tuned.toml"
        config_file.write_text(toml_text(tables), encoding="utf-8")
        self._run(twistd_command(config_file))


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Started, and stopped whatever happens."""
    server.start()
    try:
        yield server
    finally:
        if server._process is not None:
            server._end(signal.SIGKILL)
