"""The store's notices and the bus between processes, joined; and the poll that heals what a bus lost."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.bus import MAX_PAYLOAD, IChangeBus
from pymailsuite.interfaces.channel import MAX_TEXT, IStoreChannel
from pymailsuite.interfaces.queue import IQueueStore
from pymailsuite.periodic import PeriodicService
from pymailsuite.values import AccountId, ModSeq

log = Logger()


class Subscribers:
    """Callbacks of one kind. One that fails is logged and does not keep word from the others."""

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[..., None]] = {}

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def add(self, callback: Callable[..., None]) -> Callable[[], None]:
        """Tell ``callback`` from now on; answers how to stop."""
        token = object()
        self._callbacks[token] = callback
        return lambda: self._callbacks.pop(token, None) and None

    def tell(self, *arguments: Any) -> None:
        """Call them all."""
        for callback in list(self._callbacks.values()):
            try:
                callback(*arguments)
            except Exception:
                log.failure("{event}", event="notices.callback_failed")


class BusSubscriptions(Service):
    """The half of a bus that is alike whatever carries it: who wants to hear what."""

    def __init__(self) -> None:
        self.setName("notices")  # type: ignore[no-untyped-call]
        self._moved = Subscribers()
        self._woke = Subscribers()
        self._topics: dict[str, Subscribers] = {}

    def on_changes(self, callback: Callable[[Mapping[AccountId, ModSeq]], None]) -> Callable[[], None]:
        return self._moved.add(callback)

    def on_queue_due(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._woke.add(callback)

    def subscribe(self, topic: str, callback: Callable[[bytes], None]) -> Callable[[], None]:
        return self._topics.setdefault(topic, Subscribers()).add(callback)

    def received_changes(self, moved: Mapping[AccountId, ModSeq]) -> None:
        """Another process has moved accounts on."""
        self._moved.tell(moved)

    def received_queue_due(self) -> None:
        """Another process has made queue rows due."""
        self._woke.tell()

    def received(self, topic: str, payload: bytes) -> None:
        """Another process has published; a topic nobody here listens to is passed over."""
        if topic in self._topics:
            self._topics[topic].tell(payload)


def checked_payload(payload: bytes) -> bytes:
    """The payload; ValueError if no bus would carry it."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{len(payload)} octets are more than a notice holds ({MAX_PAYLOAD})")
    return payload


@implementer(IChangeBus)
class LocalBus(BusSubscriptions):
    """The bus of a process that is alone: there is nobody to tell."""

    def publish_changes(self, moved: Mapping[AccountId, ModSeq]) -> None: ...

    def publish_queue_due(self) -> None: ...

    def publish(self, topic: str, payload: bytes) -> None:
        checked_payload(payload)


@implementer(IChangeBus)
class DatabaseBus(BusSubscriptions):
    """The bus whose words the store's own database carries: to all processes of all nodes.

    A text is words with blanks between them: ``m7:1203`` account 7 has moved on to 1203, ``w`` queue rows became due,
    ``t<topic>:<payload in base64>``; unknown words are of a later release, and passed over. ``on_missed`` is called
    when words of others may have been lost. What is published within ``gather_s`` of the last time is sent together.
    """

    def __init__(
        self, channel: IStoreChannel, gather_s: float, clock: IReactorTime, on_missed: Callable[[], object]
    ) -> None:
        super().__init__()
        self._channel = channel
        self._gather_s = gather_s
        self._not_before = 0.0
        self._clock = clock
        self._on_missed = on_missed
        self._unsent_moved: dict[AccountId, ModSeq] = {}
        self._unsent_words: dict[str, None] = {}
        self._sending = False

    def startService(self) -> None:
        """Hear and be heard from now on."""
        super().startService()  # type: ignore[no-untyped-call]
        self._channel.start(self._texts_heard, self._missed)

    def stopService(self) -> Deferred[None]:
        """Fires when what was published is sent, or never will be."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._send()
        return self._channel.stop()

    def publish_changes(self, moved: Mapping[AccountId, ModSeq]) -> None:
        if self.running:
            self._unsent_moved.update(moved)
            self._send_soon()

    def publish_queue_due(self) -> None:
        self._publish_word("w")

    def publish(self, topic: str, payload: bytes) -> None:
        self._publish_word(f"t{topic}:{b64encode(checked_payload(payload)).decode()}")

    def _publish_word(self, word: str) -> None:
        if self.running:
            self._unsent_words[word] = None
            self._send_soon()

    def _send_soon(self) -> None:
        if not self._sending:
            self._sending = True
            self._clock.callLater(max(0.0, self._not_before - self._clock.seconds()), self._send)

    def _send(self) -> None:
        self._sending = False
        self._not_before = self._clock.seconds() + self._gather_s
        words = [f"m{account_id}:{modseq}" for account_id, modseq in self._unsent_moved.items()]
        words += self._unsent_words
        self._unsent_moved.clear()
        self._unsent_words.clear()
        if words:
            self._channel.send(_texts(words))

    def _missed(self) -> None:
        self.received_queue_due()
        self._on_missed()

    def _texts_heard(self, texts: Sequence[str]) -> None:
        moved: dict[AccountId, ModSeq] = {}
        woke = False
        for word in " ".join(texts).split():
            try:
                if word == "w":
                    woke = True
                elif word[0] == "m":
                    account_id, _, modseq = word[1:].partition(":")
                    moved[AccountId(int(account_id))] = ModSeq(int(modseq))
                elif word[0] == "t":
                    topic, _, payload = word[1:].partition(":")
                    self.received(topic, b64decode(payload, validate=True))
            except ValueError:
                log.warn("{event} {word}", event="notices.not_understood", word=word[:100])
        if moved:
            self.received_changes(moved)
        if woke:
            self.received_queue_due()


def _texts(words: Sequence[str]) -> list[str]:
    """The words in as few texts as hold them."""
    texts: list[str] = []
    held: list[str] = []
    size = 0
    for word in words:
        if held and size + len(word) + 1 > MAX_TEXT:
            texts.append(" ".join(held))
            held, size = [], 0
        held.append(word)
        size += len(word) + 1
    return [*texts, " ".join(held)]


class StoreBusBridge(Service):
    """Tells the bus what this process's commits did, and the subscribers here what the bus heard."""

    def __init__(self, store: IMailStore, bus: IChangeBus) -> None:
        self.setName("store on bus")  # type: ignore[no-untyped-call]
        self._store = store
        self._bus = bus
        self._stops: list[Callable[[], None]] = []

    def startService(self) -> None:
        """From now on."""
        super().startService()  # type: ignore[no-untyped-call]
        store, bus = self._store, self._bus
        self._stops = [
            store.notices.carry(bus.publish_changes),
            bus.on_changes(store.notices.hear),
        ]
        queue = store.ability(IQueueStore)
        if queue is not None:
            # What the bus tells us is not sent round again.
            self._stops += [queue.subscribe(bus.publish_queue_due, heard=lambda: None), bus.on_queue_due(queue.hear)]

    def stopService(self) -> None:
        """No more."""
        super().stopService()  # type: ignore[no-untyped-call]
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()


class ChangePoll(PeriodicService):
    """Every ``interval_s`` seconds compares the accounts somebody watches here with the store."""

    log = Logger()
    failed_event = "notices.poll_failed"
    _ACCOUNTS_A_QUERY = 500

    def __init__(self, store: IMailStore, interval_s: float, clock: IReactorTime) -> None:
        super().__init__("notice poll", interval_s, clock)
        self._store = store

    async def once(self) -> None:
        """Tell whoever watches an account that has moved on."""
        watched = self._store.notices.watched()
        for start in range(0, len(watched), self._ACCOUNTS_A_QUERY):
            self._store.notices.hear(await self._store.modseqs(watched[start : start + self._ACCOUNTS_A_QUERY]))
