"""As much of Mozilla's remote protocol as it takes to run scripts with the rights of the program itself."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

_START_S = 120.0


class Marionette:
    """A program that was started with ``-marionette -remote-allow-system-access`` and listens on ``port``."""

    def __init__(self, port: int) -> None:
        self._socket = self._connect(port)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self._read()
        self._call("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
        self._call("Marionette:SetContext", {"value": "chrome"})
        self._call("WebDriver:SetTimeouts", {"script": 120_000})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function in the main window; what it returns."""
        wrapped = (
            "const [...given] = arguments; const done = given.pop();"
            f"(async () => {{ {script} }})().then(value => done([true, value ?? null]), e => done([false, `${{e}}`]));"
        )
        answer = self._call("WebDriver:ExecuteAsyncScript", {"script": wrapped, "args": list(arguments)})
        worked, value = answer["value"]
        if not worked:
            raise RuntimeError(value)
        return value

    def close(self) -> None:
        """Ask the program to quit."""
        try:
            self._call("Marionette:Quit", {"flags": ["eAttemptQuit"]})
        finally:
            self._file.close()
            self._socket.close()

    def _connect(self, port: int) -> socket.socket:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), 150)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _call(self, command: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        octets = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(b"%d:" % len(octets) + octets)
        _, _, error, result = self._read()
        if error is not None:
            raise RuntimeError(f"{command}: {error}")
        return result

    def _read(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            octet = self._file.read(1)
            if not octet:
                raise ConnectionError("the program has gone")
            length += octet
        return json.loads(self._file.read(int(length[:-1])))
