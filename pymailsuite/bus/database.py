"""The bus that the store's own database carries, to all processes of all nodes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.bus.subscriptions import BusSubscriptions, checked_payload
from pymailsuite.interfaces.bus import IChangeBus
from pymailsuite.interfaces.channel import MAX_TEXT, IStoreChannel
from pymailsuite.values import AccountId, ModSeq

log = Logger()


@implementer(IChangeBus)
class DatabaseBus(BusSubscriptions):
    """The bus that the database of the store carries, to all processes of all nodes.

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
                log.warn("{event} {topic}", event="bus.message_not_understood", topic=word[:100])
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
