"""Log observers: one line an event, as text for people or as JSON for machines.

An event's fields are what the caller gave ``log.info("...", event="smtp.accepted", queue_id=...)``. What a peer sent
may stand in them, so control characters are escaped: a line of the log is always one event. A traceback is the one
exception in text form, and is indented.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, Final, Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.log import LogSettings

_STDERR: Final = 2
_LOG_MODE: Final = 0o640

# What twisted.python.log puts into the events of code that still uses it; log_format has it all.
_LEGACY_FIELDS: Final = frozenset(
    {"failure", "format", "isError", "logLevel", "message", "system", "text", "time", "why"}
)

_ESCAPES: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class LogTarget(Protocol):
    """The target of lines. ``now`` is the time of the event in POSIX seconds."""

    def write(self, octets: bytes, now: float) -> None: ...


class Descriptor:
    """An open file descriptor, by default standard error. Written through at once: a crash loses no line.

    ``shared``: other processes write to it too. The system keeps apart what is written to a pipe in pieces of up to
    4 KB only (PIPE_BUF, POSIX.1 ``write``), so a writer holds a lock, which ends with its process.
    """

    def __init__(self, fd: int = _STDERR, *, shared: bool = False) -> None:
        self._fd = fd
        # Not a lock of flock(2): all processes have the description of the pipe, and so that lock, in common.
        self._locks = shared and _can_be_locked(fd)

    def write(self, octets: bytes, now: float) -> None:
        if not self._locks:
            os.write(self._fd, octets)
            return
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            os.write(self._fd, octets)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)


def _can_be_locked(fd: int) -> bool:
    """Whether the system knows such locks on what this is."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.lockf(fd, fcntl.LOCK_UN)
    return True


class LogFile:
    """A file that is appended to, and opened anew once it was moved away or removed (looked at once a second).

    A new file has the mode of the one that was moved away. ``owner`` (uid, gid) is given the file, so that it can be
    opened anew after privileges were dropped.
    """

    _LOOK_EVERY_S: Final = 1.0

    def __init__(self, path: Path, owner: tuple[int, int] | None = None) -> None:
        self._path = path
        self._owner = owner
        self._fd = -1
        self._looked_at = 0.0
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, _LOG_MODE)
        except FileExistsError:
            # Ours from before, or made by whoever moved the last one away, with the mode that is wanted.
            fd = os.open(self._path, flags | os.O_CREAT, _LOG_MODE)
        else:
            if self._fd >= 0:
                os.fchmod(fd, stat.S_IMODE(os.fstat(self._fd).st_mode))
        if self._owner is not None and os.geteuid() == 0:
            os.fchown(fd, *self._owner)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd

    def _was_moved(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._fd))

    def write(self, octets: bytes, now: float) -> None:
        if abs(now - self._looked_at) >= self._LOOK_EVERY_S:
            self._looked_at = now
            if self._was_moved():
                self._open()
        os.write(self._fd, octets)


def _traceback_of(event: LogEvent) -> str:
    failure: Failure | None = event.get("log_failure")
    return failure.getTraceback() if failure is not None else ""


@lru_cache(maxsize=4)
def _second(posix_s: int) -> str:
    """The part of a time that all events of one second share."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(posix_s))


def _time_of(event: LogEvent) -> str:
    milliseconds = int(event["log_time"] * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


def _level_of(event: LogEvent) -> str:
    return str(event.get("log_level", LogLevel.info).name)


@lru_cache(maxsize=512)
def _compiled(log_format: str) -> tuple[str, tuple[str, ...]] | None:
    """A ``%`` template and the fields it takes, if the format names plain fields only; else None.

    Twisted parses the format of every event anew, which costs more than all else a log line does.
    """
    template, names = [], []
    for literal, name, specification, conversion in Formatter().parse(log_format):
        template.append(literal.replace("%", "%%"))
        if name is None:
            continue
        if not name.isidentifier() or specification or conversion not in {None, "r"}:
            return None
        template.append("%r" if conversion else "%s")
        names.append(name)
    return "".join(template), tuple(names)


def _message_of(event: LogEvent) -> str:
    log_format = event.get("log_format")
    if isinstance(log_format, str):
        try:
            compiled = _compiled(log_format)
            if compiled is not None:
                template, names = compiled
                return template % tuple([event[name] for name in names])
        except (KeyError, ValueError):
            pass  # a field is missing or the format is broken: formatEvent says so in the line
    return formatEvent(event)


def text_line(event: LogEvent, worker: int | None = None) -> str:
    """``2026-11-22T03:45:12.123Z info smtp.accepted ...``, with the traceback, if any, indented below.

    A worker puts its number before the event: ``info [2] smtp.accepted ...``.
    """
    level = _level_of(event) if worker is None else f"{_level_of(event)} [{worker}]"
    line = f"{_time_of(event)} {level} {_CONTROL.sub(_escape, _message_of(event))}\n"
    traceback = _traceback_of(event)
    if traceback:
        line += "".join(f"    {_CONTROL.sub(_escape, traced)}\n" for traced in traceback.splitlines())
    return line


def json_line(event: LogEvent, worker: int | None = None) -> str:
    """One JSON object: ``time``, ``level``, ``message``, ``namespace``, the event's own fields, ``traceback``; and the
    number of the ``worker``, if it was one."""
    fields: dict[str, Any] = {
        "time": _time_of(event),
        "level": _level_of(event),
        "namespace": event.get("log_namespace", ""),
        "message": _message_of(event),
    }
    if worker is not None:
        fields["worker"] = worker
    dropped = _LEGACY_FIELDS if "log_legacy" in event else ()
    for name, value in event.items():
        if not name.startswith("log_") and name not in dropped:
            fields.setdefault(name, value)
    traceback = _traceback_of(event)
    if traceback:
        fields["traceback"] = traceback
    return json.dumps(fields, ensure_ascii=False, default=str) + "\n"


_PORT_CHATTER: Final = re.compile(r"_Datagrams starting on \d+|\(UDP Port \d+ Closed\)")


def _is_chatter(event: LogEvent) -> bool:
    """True for what Twisted says of each UDP port: two lines a DNS look-up, and no way to ask it not to.

    And for what it says of each channel to a worker, whose beginning and end we tell in our own words.
    """
    if event.get("log_namespace") == "twisted.protocols.amp":
        return event.get("log_level") is LogLevel.info
    return event.get("log_namespace") == "log_legacy" and _PORT_CHATTER.fullmatch(_message_of(event)) is not None


@implementer(ILogObserver)
class LineObserver:
    """Writes each event of at least ``level`` as one line."""

    def __init__(
        self, target: LogTarget, format_line: Callable[[LogEvent, int | None], str], level: Any, worker: int | None
    ) -> None:
        self._target = target
        self._format_line = format_line
        self._worker = worker
        self._wanted = {each for each in LogLevel.iterconstants() if each >= level}

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) in self._wanted and not _is_chatter(event):
            line = self._format_line(event, self._worker)
            self._target.write(line.encode("utf-8", "backslashreplace"), event["log_time"])


def log_observer(settings: LogSettings, target: LogTarget, worker: int | None = None) -> ILogObserver:
    """The observer ``[log]`` asks for, writing to ``target``; ``worker`` is the number of the process, if it is one."""
    format_line = json_line if settings.format == "json" else text_line
    return LineObserver(target, format_line, LogLevel.levelWithName(settings.level), worker)
