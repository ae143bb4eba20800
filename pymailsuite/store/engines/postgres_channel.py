"""LISTEN and NOTIFY of PostgreSQL: a connection and a thread of its own.

NOTIFY takes a lock that all the cluster's committing notifiers share until their commit is on the disk. Within the
transactions of mail it would serialize them; so notices are sent after their commit, many at once, in a transaction
that waits for no disk. The thread waits for the connection and for the reactor at the same time, and connecting blocks
no other thread.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.interfaces.channel import IStoreChannel

log = Logger()

_CHANNEL: Final = "pymailsuite"
_UNSENT_TEXTS: Final = 1000
"""Texts kept for sending; older ones are dropped."""

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_STILL_THERE_S: Final = 30.0
"""After so many seconds without traffic the server is queried: a host that has disappeared sends nothing."""


@implementer(IStoreChannel)
class PostgresChannel:
    """``connect`` makes a connection in autocommit mode; ``reactor`` provides IReactorFromThreads."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], reactor: Any) -> None:
        self._connect = connect
        self._reactor = reactor
        self._unsent: deque[str] = deque(maxlen=_UNSENT_TEXTS)
        self._closing = threading.Event()
        self._bell = -1
        self._bell_rope = -1
        self._thread: threading.Thread | None = None
        self._heard: Callable[[Sequence[str]], None] = lambda texts: None
        self._missed: Callable[[], None] = lambda: None

    # --- in the reactor thread

    def start(self, heard: Callable[[Sequence[str]], None], missed: Callable[[], None]) -> None:
        self._heard, self._missed = heard, missed
        self._closing.clear()
        self._bell, self._bell_rope = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="store-channel", daemon=True)
        self._thread.start()

    def send(self, texts: Sequence[str]) -> None:
        if self._thread is not None:
            self._unsent.extend(texts)
            self._ring()

    def stop(self) -> Deferred[None]:
        thread, self._thread = self._thread, None
        if thread is None:
            return succeed(None)
        self._closing.set()
        self._ring()
        stopped: Deferred[None] = Deferred()

        def wait() -> None:
            thread.join()
            self._reactor.callFromThread(over)

        def over() -> None:
            os.close(self._bell)
            os.close(self._bell_rope)
            stopped.callback(None)

        threading.Thread(target=wait, name="store-channel-closing", daemon=True).start()
        return stopped

    def _ring(self) -> None:
        try:
            os.write(self._bell_rope, b"!")
        except BlockingIOError:
            pass  # it rings already

    # --- in the channel's thread

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        heard_before = False
        while not self._closing.is_set():
            try:
                with self._connect() as connection:
                    name = self._listen(connection)
                    wait_s = _FIRST_WAIT_S
                    if heard_before:
                        log.info("{event}", event="store.channel_restored")
                        self._reactor.callFromThread(self._missed)
                    heard_before = True
                    self._carry(connection, name)
            except psycopg.Error as error:
                log.warn("{event}: {reason}", event="store.channel_lost", reason=str(error).strip())
            except Exception:
                log.failure("{event}", event="store.channel_failed")
            # The intended receivers poll by themselves while there are no notices.
            self._unsent.clear()
            if self._closing.wait(wait_s):
                return
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _listen(self, connection: psycopg.Connection[Any]) -> str:
        """Listen on the store's channel; returns its name. Stores in other schemas of the database have other
        channels."""
        # The changes announced are on the disk; the notice itself need not be.
        connection.execute("SET synchronous_commit = off")
        row = connection.execute("SELECT current_schema()").fetchone()
        name = f"{_CHANNEL}.{row[0] if row is not None else ''}"[:63]
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
        return name

    def _carry(self, connection: psycopg.Connection[Any], name: str) -> None:
        heard: list[str] = []
        own_pid = connection.info.backend_pid

        def note(notify: psycopg.Notify) -> None:
            if notify.pid != own_pid:
                heard.append(notify.payload)

        connection.add_notify_handler(note)
        pgconn = connection.pgconn
        either = select.poll()  # select(2) knows no descriptor above 1023
        either.register(connection.fileno(), select.POLLIN)
        either.register(self._bell, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in either.poll(_STILL_THERE_S * 1000)]
            if not ready:
                connection.execute("SELECT 1")
            if self._bell in ready:
                self._drain_bell()
                self._send_all(connection, name)
            if connection.fileno() in ready:
                pgconn.consume_input()
                while (told := pgconn.notifies()) is not None:
                    if told.be_pid != own_pid:
                        heard.append(told.extra.decode("ascii", "replace"))
            if heard:
                self._reactor.callFromThread(self._heard, tuple(heard))
                heard.clear()
            if self._closing.is_set():
                return

    def _drain_bell(self) -> None:
        try:
            while os.read(self._bell, 4096):
                pass
        except BlockingIOError:
            pass

    def _send_all(self, connection: psycopg.Connection[Any], name: str) -> None:
        texts = []
        while self._unsent:
            texts.append(self._unsent.popleft())
        if texts:
            connection.execute("SELECT pg_notify(%s, text) FROM unnest(%s::text[]) AS text", (name, texts))
