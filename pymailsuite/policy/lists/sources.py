"""Where entries come from: the store, files, and addresses; joined into one index that is never waited for twice.

Whoever asks for the index gets the last good one. If the last look at the sources was some time ago, another begins
behind it. A source that cannot be read keeps the entries it had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.lists import ListSource
from pymailsuite.errors import MailError
from pymailsuite.interfaces.lists import IListStore, ListEntry
from pymailsuite.periodic import PeriodicService
from pymailsuite.policy.lists.entries import EntryIndex
from pymailsuite.policy.lists.fetching import ListFetcher, read_list

log = Logger()

InThread = Callable[..., Deferred[Any]]


class EntrySource(Protocol):
    """Something with entries. ``look`` says whether they are others than before."""

    name: str
    entries: Sequence[ListEntry]

    async def look(self) -> bool: ...


class StoreSource:
    """The store's entries."""

    name = "store"

    def __init__(self, store: Callable[[], IListStore]) -> None:
        self._store = store
        self._revision = -1
        self.entries: Sequence[ListEntry] = ()

    async def look(self) -> bool:
        """Read them if there was a change. StoreUnavailable."""
        store = self._store()
        revision = await store.revision()
        if revision == self._revision:
            return False
        self.entries = await store.entries(None)
        self._revision = revision
        return True


class FileSource:
    """The entries of a file."""

    def __init__(self, source: ListSource, path: Path, in_thread: InThread) -> None:
        self.name = source.name
        self._source = source
        self._path = path
        self._in_thread = in_thread
        self._seen: tuple[int, int] | None = None
        self.entries: Sequence[ListEntry] = ()

    async def look(self) -> bool:
        """Read them if the file has changed. OSError, ListRefused."""
        found = await self._in_thread(self._read_if_changed)
        if found is None:
            return False
        self.entries = found
        return True

    def _read_if_changed(self) -> list[ListEntry] | None:
        state = self._path.stat()
        seen = (state.st_mtime_ns, state.st_size)
        if seen == self._seen:
            return None
        # Even if it is refused: the same file would be refused again at each look.
        self._seen = seen
        with self._path.open("rb") as file:
            return read_list(file.read(self._source.size_max + 1), self._source)


class UrlSource:
    """The entries of a list at an address. The last good one is kept in ``folder``, for the next start."""

    def __init__(
        self, source: ListSource, folder: Path, fetcher: ListFetcher, in_thread: InThread, clock: IReactorTime
    ) -> None:
        self.name = source.name
        self._source = source
        self._kept = folder / f"{''.join(c if c.isalnum() else '-' for c in source.name)}.list"
        self._fetcher = fetcher
        self._in_thread = in_thread
        self._clock = clock
        self._next_at: float | None = None
        self._octets: bytes | None = None
        self.entries: Sequence[ListEntry] = ()

    async def look(self) -> bool:
        """First what was kept, and after each interval what is there. ListRefused, or what the network says."""
        now = self._clock.seconds()
        if self._next_at is None:
            self._next_at = now
            try:
                return self._take(await self._in_thread(self._kept.read_bytes), await self._in_thread(self._kept_at))
            except FileNotFoundError:
                return False
        if now < self._next_at:
            return False
        self._next_at = now + self._source.interval
        octets = await self._fetcher.fetch(self._source)
        is_new = octets != self._octets
        if is_new or self._source.expiry:
            entries = await self._in_thread(read_list, octets, self._source)
            await self._in_thread(self._keep, octets)
            self._octets = octets
            self.entries = self._until(entries, now)
        return is_new or bool(self._source.expiry)

    def _take(self, octets: bytes, fetched_at: float) -> bool:
        self.entries = self._until(read_list(octets, self._source), fetched_at)
        self._octets = octets
        return True

    def _until(self, entries: Iterable[ListEntry], fetched_at: float) -> list[ListEntry]:
        if not self._source.expiry:
            return list(entries)
        return [evolve(entry, expires_at=fetched_at + self._source.expiry) for entry in entries]

    def _kept_at(self) -> float:
        return self._kept.stat().st_mtime

    def _keep(self, octets: bytes) -> None:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        new = self._kept.with_suffix(".new")
        new.write_bytes(octets)
        os.replace(new, self._kept)


class EntrySources:
    """All sources of one server; looked at again when ``refresh_s`` seconds have passed."""

    def __init__(self, sources: Sequence[EntrySource], refresh_s: float, clock: IReactorTime) -> None:
        self._sources = sources
        self._refresh_s = refresh_s
        self._clock = clock
        self._index: EntryIndex | None = None
        self._looked_at = 0.0
        self._looking: Deferred[None] | None = None
        self._waiting: list[Deferred[EntryIndex]] = []

    def fresh_index(self) -> EntryIndex | None:
        """The entries, if they are there and it is not yet time to look again."""
        return self._index if self._clock.seconds() - self._looked_at < self._refresh_s else None

    def index(self) -> Deferred[EntryIndex]:
        """The entries, found by what they stand for. Only the very first asker waits for the first look."""
        now = self._clock.seconds()
        if self._looking is None and (self._index is None or now - self._looked_at >= self._refresh_s):
            self._looked_at = now
            self._looking = Deferred.fromCoroutine(self._look()).addBoth(self._looked)
            if self._looking.called:
                self._looking = None
        asked: Deferred[EntryIndex] = Deferred(self._give_up)
        if self._index is None:
            self._waiting.append(asked)
        else:
            asked.callback(self._index)
        return asked

    async def look_when_due(self) -> None:
        """Look again if it is time, and wait for that; sources that fail are logged and keep what they had."""
        await self.index()
        if self._looking is not None:
            await DeferredList([self._looking])

    def _give_up(self, asked: Deferred[EntryIndex]) -> None:
        if asked in self._waiting:
            self._waiting.remove(asked)

    async def _look(self) -> None:
        changed = await DeferredList([Deferred.fromCoroutine(self._look_at(source)) for source in self._sources])
        if self._index is None or any(is_new for _, is_new in changed):
            self._index = EntryIndex(entry for source in self._sources for entry in source.entries)
            log.info("{event} {count}", event="lists.loaded", count=self._index.count)

    async def _look_at(self, source: EntrySource) -> bool:
        try:
            return await source.look()
        except (MailError, OSError) as error:
            log.warn("{event} {source}: {cause}", event="lists.source_failed", source=source.name, cause=str(error))
        except Exception:
            log.failure("{event} {source}", failure=Failure(), event="lists.source_failed", source=source.name)
        return False

    def _looked(self, result: Any) -> None:
        self._looking = None
        if isinstance(result, Failure):
            log.failure("{event}", failure=result, event="lists.broken")
        self._index = self._index or EntryIndex(())
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            asked.callback(self._index)


class ListRefresh(PeriodicService):
    """Looks at the sources even while no mail comes, so that the first message meets lists that are new."""

    log = log
    failed_event = "lists.refresh_failed"

    def __init__(self, sources: EntrySources, interval_s: float, clock: IReactorTime) -> None:
        super().__init__("lists", interval_s, clock)
        self._sources = sources

    def startService(self) -> None:
        """Look for the first time at once."""
        super().startService()
        self.soon()

    async def once(self) -> None:
        """Look at what is due."""
        await self._sources.look_when_due()
