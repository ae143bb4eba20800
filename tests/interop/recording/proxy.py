"""A proxy on loopback that notes what clients and a server say to each other, in the order in which it was said."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

from attrs import frozen

_MOST_OCTETS = 65536
_LOOK_S = 0.2


@frozen
class Said:
    """Octets of one side of a connection, or (``octets`` None) that the connection was opened or closed."""

    connection: int
    by_client: bool
    octets: bytes | None


class Proxy:
    """Listens for clients of some protocols, each on a port of its own, and passes everything on.

    ``servers`` are the ports of the server by the name of the protocol; ``ports`` are ours.
    """

    def __init__(self, servers: dict[str, int]) -> None:
        self.ports: dict[str, int] = {}
        self.protocols: dict[int, str] = {}
        self.said: list[Said | str] = []
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listeners: list[socket.socket] = []
        for protocol, port in servers.items():
            listener = socket.create_server(("127.0.0.1", 0))
            listener.settimeout(_LOOK_S)
            self._listeners.append(listener)
            self.ports[protocol] = listener.getsockname()[1]
            self._start(self._accept, listener, protocol, port)

    def note(self, event: str) -> None:
        """Something else happened, such as the arrival of a message."""
        with self._lock:
            self.said.append(event)

    def close(self) -> None:
        """Close everything, and wait for it."""
        self._ends.set()
        for thread in list(self._threads):
            thread.join()
        for listener in self._listeners:
            listener.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, protocol: str, port: int) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                with self._lock:
                    number = len(self.protocols) + 1
                    self.protocols[number] = protocol
                self._start(self._pass_on, number, client, socket.create_connection(("127.0.0.1", port)))

    def _pass_on(self, number: int, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            while not self._ends.is_set():
                for ready in select.select([client, server], [], [], _LOOK_S)[0]:
                    try:
                        octets = ready.recv(_MOST_OCTETS)
                    except ConnectionError:
                        octets = b""
                    by_client = ready is client
                    with self._lock:
                        self.said.append(Said(number, by_client, octets or None))
                    if not octets:
                        return
                    with contextlib.suppress(ConnectionError):
                        (server if by_client else client).sendall(octets)


@contextlib.contextmanager
def recording(servers: dict[str, int]) -> Iterator[Proxy]:
    """A proxy for as long as the block runs."""
    proxy = Proxy(servers)
    try:
        yield proxy
    finally:
        proxy.close()
