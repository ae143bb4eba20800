"""A mail host on loopback, in threads, for tests of a server in a process of its own. It remembers what it took."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from tests.support.patience import PATIENCE_S

Script = Mapping[str, str | Sequence[str]]

_USUAL = {"GREETING": "220 sink.test ESMTP", "DATA": "354 go on", ".": "250 2.0.0 taken", "QUIT": "221 2.0.0 bye"}


@frozen
class Taken:
    """A message as it came, dots undone."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)


class SocketSink:
    """Takes mail on ``ip`` (one of 127.0.0.0/8) and ``port`` (0: any); a context manager.

    ``script`` overrides replies by command (``GREETING`` and ``.`` too) or by ``RCPT address``; a list gives one reply
    each time, the last one for good. ``delay_s`` is how long the reply to the final dot takes: in that time the message
    counts as taken.
    """

    def __init__(self, ip: str = "127.0.0.1", port: int = 0, script: Script | None = None, delay_s: float = 0) -> None:
        self.script = {key: [said] if isinstance(said, str) else list(said) for key, said in (script or {}).items()}
        self.delay_s = delay_s
        self.messages: list[Taken] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        sink = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                sink._open.add(self.connection)
                try:
                    sink.talk(self)
                except (OSError, ValueError):
                    return  # the peer was killed, or the test is over
                finally:
                    sink._open.discard(self.connection)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 256

        self._server = Listener((ip, port), Connection)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> SocketSink:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for(self, count: int = 1, within_s: float = PATIENCE_S) -> list[Taken]:
        """The messages, once there are ``count`` of them; AssertionError if they do not come."""
        return self.wait_until(lambda messages: len(messages) >= count, within_s)

    def wait_until(self, enough: Callable[[list[Taken]], bool], within_s: float = PATIENCE_S) -> list[Taken]:
        """The same for any condition."""
        with self._changed:
            came = self._changed.wait_for(lambda: enough(self.messages), within_s)
            assert came, f"only {len(self.messages)} messages after {within_s} s"
            return list(self.messages)

    def reply_to(self, *keys: str) -> str:
        """What the script says to the first key it knows."""
        with self._changed:
            for key in keys:
                if key in self.script:
                    said = self.script[key]
                    return said.pop(0) if len(said) > 1 else said[0]
        return _USUAL.get(keys[-1], "250 2.0.0 ok")

    def talk(self, connection: Any) -> None:
        """One connection, to its end."""
        self.connections += 1
        reader, sender, recipients = connection.rfile, "", []
        greeting = self.reply_to("GREETING")
        connection.wfile.write(greeting.encode() + b"\r\n")
        while greeting.startswith("220") and (line := reader.readline()):
            text = line.decode().strip()
            verb, address = text.split(" ")[0].upper(), text.partition("<")[2].partition(">")[0]
            reply = "250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME" if verb == "EHLO" else ""
            reply = reply or self.reply_to(f"{verb} {address}", verb)
            if verb == "DATA" and not recipients:
                reply = "503 5.5.1 nobody to send to"
            connection.wfile.write(reply.encode() + b"\r\n")
            if verb == "MAIL":
                sender, recipients = address, []
            elif verb == "RCPT" and reply.startswith("2"):
                recipients.append(address)
            elif reply.startswith("354"):
                octets = _read_content(reader)
                if octets is None:
                    return
                reply = self.reply_to(f". {sender}", ".")
                if reply.startswith("2"):
                    with self._changed:
                        self.messages.append(Taken(sender, tuple(recipients), octets))
                        self._changed.notify_all()
                time.sleep(self.delay_s)
                connection.wfile.write(reply.encode() + b"\r\n")
                recipients = []
            elif verb == "QUIT":
                return


def _read_content(reader: Any) -> bytes | None:
    """Everything up to the final dot; None if the connection ended before."""
    lines: list[bytes] = []
    while line := reader.readline():
        if line == b".\r\n":
            return b"".join(lines)
        lines.append(line[1:] if line.startswith(b".") else line)
    return None
