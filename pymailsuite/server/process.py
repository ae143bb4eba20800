"""Properties of the process rather than of the server in it: limits, memory, user, readiness."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

log = Logger()

_M_ARENA_MAX: Final = -8  # mallopt(3)


def allow_many_files() -> None:
    """Let the process open as many files as the system lets it: each connection is one, and the habitual 1,024 are few.

    The low limit is for programs that use select(2), which a server on epoll or kqueue does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            # macOS calls its limit infinite and takes no more than it likes.
            log.info("{event}: {reason}", event="server.files_limited", limit=soft, reason=error)


def share_one_heap() -> None:
    """Have all threads take memory from one heap, where the C library is glibc.

    It gives each thread a heap of its own, of which it never gives back the end: two threads that had each checked a
    password held 39 MB for ever. Under Python's lock they hardly ever want memory at once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def tell_ready() -> None:
    """Say that connections are served: the line ``ready`` on standard output, and READY=1 to systemd.

    Written past ``sys.stdout``, which twistd turns into log events.
    """
    os.write(1, b"ready\n")
    tell_supervisor("READY=1")


def tell_supervisor(state: str) -> None:
    """Tell systemd, if it started us and wants to know. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            # A leading @ stands for the abstract name space.
            notify.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def become_user(owner: tuple[int, int] | None) -> None:
    """Root becomes this user (uid, gid) for good. Nothing for anybody else, or for root itself."""
    if owner is not None and owner[0] != 0 and os.geteuid() == 0:
        uid, gid = owner
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def as_user(owner: tuple[int, int] | None, function: Callable[[], list[str]]) -> list[str]:
    """What ``function`` answers in a process of its own that is the user (uid, gid), if one is given and we are root.

    What root may do proves nothing of another user, and no file that comes of it shall be root's. There must be no
    other threads yet. What it raises comes back as a line.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            become_user(owner)
            answer = function()
        except BaseException as error:
            answer = [f"{type(error).__name__}: {error}"]
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
        # Nothing of what the parent has to do at its end is the child's to do.
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        octets = pipe.read()
    os.waitpid(child, 0)
    lines: list[str] = json.loads(octets)
    return lines
