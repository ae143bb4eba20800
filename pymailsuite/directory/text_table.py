"""The table ``text:PATH``: a file of addresses and the addresses to which their mail goes.

A line is ``address target, target ...``, or ``@domain target, ...``; empty lines and those that begin with ``#`` are
comments. No space or comma stands within an address. The file is read again in a thread when it has changed, and
counts as a whole: while a line of it is wrong, or it cannot be read, what it said before holds. Whoever changes it had
better put the new file in the place of the old one at once, by ``mv``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.directory.names import canonical_domain, parse_address
from pymailsuite.directory.routes import key_of
from pymailsuite.directory.tables import TableContext, target_of
from pymailsuite.directory.text_file import Stamp, read_if_changed
from pymailsuite.errors import ConfigError, TemporaryFailure
from pymailsuite.interfaces.lookup import ILookupTable
from pymailsuite.periodic import PeriodicService
from pymailsuite.values import Address

log = Logger()

Entries = Mapping[str, tuple[str, ...]]

_COMMENT: Final = "#"


class LineWrong(ValueError):
    """The file has a line in it that is no entry."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def parse_table(text: str, most_targets: int) -> Entries:
    """Targets by key. LineWrong for a line with fewer than one or more than ``most_targets`` of them, for what is not
    an address, and for a key that has had a line."""
    entries: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 1)
        if not words or words[0].startswith(_COMMENT):
            continue
        try:
            key = _key(words[0])
            targets = tuple([str(target_of(each.strip())) for each in words[1].split(",")] if len(words) > 1 else [])
            if not targets:
                raise ValueError("it names no target")
            if len(targets) > most_targets:
                raise ValueError(f"it names more than {most_targets} targets")
            if key in entries:
                raise ValueError(f"{key} has had a line")
        except ValueError as error:
            raise LineWrong(number, str(error)) from None
        entries[key] = targets
    return entries


def _key(text: str) -> str:
    """As :meth:`ILookupTable.lookup` is given it. ValueError."""
    if text.startswith("@") and len(text) > 1:
        return f"@{canonical_domain(text[1:])}"
    return str(Address(*key_of(parse_address(text))))


@frozen
class _Read:
    """A version of the file, and what it says."""

    stamp: Stamp
    entries: Entries | LineWrong


def _read(path: Path, stamp: Stamp | None, most_targets: int) -> _Read | None:
    """In a thread. None if it is the version of ``stamp`` still. OSError, UnicodeDecodeError."""
    found = read_if_changed(path, stamp)
    if found is None:
        return None
    try:
        return _Read(found[0], parse_table(found[1], most_targets))
    except LineWrong as error:
        return _Read(found[0], error)


@implementer(ILookupTable)
class TextTable:
    """The table of the file at ``path``; its service looks at the file from time to time."""

    def __init__(self, path: Path, context: TableContext) -> None:
        self._path = path
        self._context = context
        self._reading = DeferredLock()
        self._stamp: Stamp | None = None
        self._entries: Entries | None = None
        self._unreadable = ""
        self.services = (_Refresh(self, context),)

    def lookup(self, key: str) -> Sequence[str] | Deferred[Sequence[str] | None] | None:
        """TemporaryFailure while the file could not be read even once."""
        if self._entries is None:
            return Deferred.fromCoroutine(self._first_lookup(key))
        return self._entries.get(key)

    async def _first_lookup(self, key: str) -> Sequence[str] | None:
        # Before the service has read the file, or without it: a command has its tables for a moment only.
        await self.refresh()
        if self._entries is None:
            raise TemporaryFailure(cause=f"nothing could be read from {self._path} yet")
        return self._entries.get(key)

    async def refresh(self) -> None:
        """Read the file if it has changed."""
        await self._reading.run(lambda: Deferred.fromCoroutine(self._refresh()))

    async def _refresh(self) -> None:
        most_targets = self._context.settings.max_alias_targets
        try:
            read = await self._context.in_thread(_read, self._path, self._stamp, most_targets)
        except (OSError, UnicodeDecodeError) as error:
            # Said once, not at each look.
            if str(error) != self._unreadable:
                self._unreadable = str(error)
                log.error("{event}: {reason}", event="directory.table_unreadable", reason=self._unreadable)
            return
        self._unreadable = ""
        if read is None:
            return
        self._stamp = read.stamp
        if isinstance(read.entries, LineWrong):
            log.error(
                "{event}: {file} line {line}: {reason}",
                event="directory.table_line_wrong",
                file=str(self._path),
                line=read.entries.line,
                reason=read.entries.reason,
            )
            return
        self._entries = read.entries
        log.info(
            "{event}: {count} addresses in {file}",
            event="directory.table_read",
            count=len(self._entries),
            file=str(self._path),
        )


class _Refresh(PeriodicService):
    """Looks at the file at the start, and then again and again."""

    log = log

    def __init__(self, table: TextTable, context: TableContext) -> None:
        super().__init__("lookup table", context.settings.table_reload, context.reactor, at_once=True)
        self._table = table

    async def once(self) -> None:
        """Read the file if it has changed."""
        await self._table.refresh()


def make_table(context: TableContext) -> TextTable:
    """The table of the file that the settings name. ConfigError if it is not there."""
    path = Path(context.argument)
    if not path.is_absolute():
        # A server that twistd has started works in another folder than a command.
        raise ConfigError(f"directory.tables: {context.argument!r} is not an absolute path")
    if not path.is_file():
        raise ConfigError(f"directory.tables: there is no file {context.argument!r}")
    return TextTable(path, context)
