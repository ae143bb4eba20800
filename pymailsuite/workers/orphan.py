"""Ends a worker whose parent has gone, whatever its reactor and its threads are doing.

A new parent needs the ports, which the sockets of such a worker hold. Its reactor finds out too and stops the server in
good order; this thread ends the process when that takes too long. Nothing is lost: what a client was told is on the
disk.
"""

from __future__ import annotations

import os
import select
import socket
import time
from threading import Thread


def end_with_parent(channel: socket.socket, limit_s: float) -> None:
    """From now on the process ends ``limit_s`` seconds after its parent, at the other end of ``channel``, has."""
    # A descriptor of its own: the reactor closes the other, and what comes in is not for us.
    Thread(
        target=_wait, args=(os.dup(channel.fileno()), os.getppid(), limit_s), name="orphan-watch", daemon=True
    ).start()


def _wait(channel: int, parent: int, limit_s: float) -> None:
    ended = select.poll()
    ended.register(channel, 0)  # POLLHUP alone, which need not be asked for
    ended.poll()
    time.sleep(limit_s)
    # An end of the channel that we closed ourselves looks the same.
    if os.getppid() != parent:
        os._exit(1)
