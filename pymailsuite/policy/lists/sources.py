"""Where entries come from: the store, files, and addresses; joined into one index that is never waited for twice.

Whoever asks for the index gets the last good one. If the last look at the sources was some time ago, another begins
behind it. A source that cannot be read keeps the entries it had.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.config.sections.lists import ListSource
from pymailsuite.errors import MailError
from pymailsuite.interfaces.lists import FetchedContent, FetchedList, IFetchedLists, IListStore, ListEntry
from pymailsuite.periodic import PeriodicService
from pymailsuite.policy.lists.entries import EntryIndex
from pymailsuite.policy.lists.fetching import ListFetcher, read_list

log = Logger()

_LEASE_S: Final = 300.0
"""How long others leave a list to the node that fetches it; if that could not, somebody tries again."""

InThread = Callable[..., Deferred[Any]]


class EntrySource(Protocol):
    """Something with entries. ``look`` says whether they are others than before."""

    name: str
    entries: Sequence[ListEntry]

    async def look(self) -> bool: ...


class StoreSource:
    """The store's entries."""

    name = "store"

    def __init__(self, store: IListStore) -> None:
        self._store = store
        self._revision = -1
        self.entries: Sequence[ListEntry] = ()

    async def look(self) -> bool:
        """Read them if there was a change. StoreUnavailable."""
        store = self._store
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
    """The entries of a list at an address. One node fetches it for all, into the store, where it also is after a
    restart."""

    def __init__(
        self,
        source: ListSource,
        store: IFetchedLists,
        fetcher: ListFetcher,
        in_thread: InThread,
        clock: IReactorTime,
    ) -> None:
        self.name = source.name
        self._source = source
        self._store = store
        self._fetcher = fetcher
        self._in_thread = in_thread
        self._clock = clock
        self._next_at: float | None = None
        self._seen = ""
        self._taken: FetchedList | None = None
        self._read: Sequence[ListEntry] = ()
        self.entries: Sequence[ListEntry] = ()

    async def look(self) -> bool:
        """First what is kept, and after each interval what is there. ListRefused, StoreUnavailable, or what the network
        says."""
        now = self._clock.seconds()
        is_first = self._next_at is None
        if self._next_at is not None and now < self._next_at:
            return False
        self._next_at = now
        kept: FetchedList | None = await self._store.fetched(self._source.url)
        is_new = await self._take(kept) if kept is not None else False
        next_at = kept.checked_at + self._source.interval if kept is not None else now
        if is_first or is_new or now < next_at:
            # The list that is kept comes into use before anything is waited for.
            self._next_at = max(now, next_at)
            return is_new
        # While another node is about it, we look again soon.
        if kept is not None and now < kept.claimed_until:
            return False
        lease_s = min(_LEASE_S, self._source.interval)
        if not await self._store.claim(self._source.url, self._source.interval, lease_s):
            return False
        return await self._fetch(kept)

    async def _fetch(self, kept: FetchedList | None) -> bool:
        url = self._source.url
        is_taken = kept is not None and self._taken is not None and kept.version == self._taken.version
        fetched = await self._fetcher.fetch(self._source, kept if is_taken else None)
        if fetched is None:
            await self._store.unchanged(url)
        else:
            content = await self._in_thread(_checked_content, fetched.octets, self._source)
            await self._store.keep(url, content, fetched.etag, fetched.last_modified)
        now_kept: FetchedList | None = await self._store.fetched(url)
        return await self._take(now_kept) if now_kept is not None else False

    async def _take(self, kept: FetchedList) -> bool:
        """Use what is kept. Whether that changes anything. ListRefused."""
        if kept.version != self._seen:
            content: FetchedContent | None = await self._store.content(self._source.url)
            if content is None:
                return False
            # Even if it is refused: the same list would be refused again at each look.
            self._seen = content.version
            # Another node may have put a newer one in its place just now.
            kept = evolve(kept, version=content.version)
            self._read = await self._in_thread(_entries_of, content, self._source)
        elif self._taken is None or self._taken.version != kept.version or not self._expires_later(kept):
            return False
        self._taken = kept
        expiry_s = self._source.expiry
        self.entries = (
            [evolve(entry, expires_at=kept.checked_at + expiry_s) for entry in self._read] if expiry_s else self._read
        )
        return True

    def _expires_later(self, kept: FetchedList) -> bool:
        return bool(self._source.expiry) and self._taken is not None and kept.checked_at > self._taken.checked_at


def _checked_content(octets: bytes, source: ListSource) -> FetchedContent:
    """What is kept of a list. ListRefused if it is none."""
    read_list(octets, source)
    return FetchedContent(hashlib.blake2b(octets, digest_size=16).hexdigest(), zlib.compress(octets))


def _entries_of(content: FetchedContent, source: ListSource) -> list[ListEntry]:
    """The entries of what is kept. ListRefused if it is not what it should be by now."""
    return read_list(zlib.decompressobj().decompress(content.octets, source.size_max + 1), source)


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
            log.warn("{event} {source}: {reason}", event="lists.source_failed", source=source.name, reason=str(error))
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
