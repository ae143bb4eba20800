"""The private channel between the parent and one worker: AMP over a socket pair.

The first message of the parent is the :class:`StartupMessage`, which the worker reads before it has a reactor: four
octets of length, then a pickle. Both ends are the same program of the same user, and nobody else has the socket. What
follows is AMP.
"""

from __future__ import annotations

import json
import pickle
import socket
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

from attrs import frozen
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.amp import AMP, AmpList, Argument, Boolean, Command, String, Unicode
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.bus.outbox import BusUpdate, Counts, Outbox
from pymailsuite.config.settings import Settings
from pymailsuite.server.listeners import SharedSockets
from pymailsuite.server.tls import Pem
from pymailsuite.values import AccountId, ModSeq

_LENGTH_OCTETS: Final = 4

# A value of AMP holds 65,535 octets.
_ACCOUNTS_A_BOX: Final = 4000
_WORDS_A_BOX: Final = 25
_COUNTS_A_BOX: Final = 500


@frozen
class LogPlace:
    """Where a process logs to: a file, or with None standard error; or ``logger``, the name twistd was given."""

    file: Path | None = None
    logger: str = ""


@frozen
class StartupMessage:
    """Everything that a worker needs to know before it begins."""

    number: int
    settings: Settings
    auth: tuple[str, ...]
    """What was given to ``twistd --auth``."""
    sockets: SharedSockets
    pem: Pem
    log: LogPlace
    reactor: str
    """The module that installs it."""
    intake: int
    """How many of the workers, the first ones, take mail in and work on the queue."""

    @property
    def takes_mail_in(self) -> bool:
        """Whether this one does."""
        return self.number <= self.intake


def pack(startup: StartupMessage) -> bytes:
    """As it is sent."""
    octets = pickle.dumps(startup)
    return len(octets).to_bytes(_LENGTH_OCTETS, "big") + octets


def read_startup_message(channel: socket.socket) -> StartupMessage:
    """Read it, waiting. EOFError if the parent is gone."""
    length = int.from_bytes(_read(channel, _LENGTH_OCTETS), "big")
    startup = pickle.loads(_read(channel, length))  # noqa: S301 (our parent made it)
    assert isinstance(startup, StartupMessage)
    return startup


def _read(channel: socket.socket, count: int) -> bytes:
    octets = bytearray()
    while len(octets) < count:
        more = channel.recv(count - len(octets))
        if not more:
            raise EOFError("the parent is gone")
        octets += more
    return bytes(octets)


# --- commands ---------------------------------------------------------------------------------------------------------


class _OneWay(Command):
    requiresAnswer = False


class Serving(_OneWay):
    """To the parent: connections are served."""


class Failed(_OneWay):
    """To the parent: the server cannot start, and why."""

    arguments: ClassVar[list[tuple[bytes, Argument]]] = [(b"reason", Unicode())]


class Tell(_OneWay):
    """Both ways: some news."""

    arguments: ClassVar[list[tuple[bytes, Argument]]] = [
        (b"moved", String(optional=True)),
        (b"woke", Boolean(optional=True)),
        (b"words", AmpList([(b"topic", Unicode()), (b"payload", String())], optional=True)),
        (b"counts", String(optional=True)),
    ]


def boxes(news: BusUpdate) -> Iterator[dict[str, Any]]:
    """The arguments of as many :class:`Tell` as it takes."""
    if news.moved or news.woke:
        items = iter(news.moved.items())
        woke = news.woke
        while (part := list(islice(items, _ACCOUNTS_A_BOX))) or woke:
            yield {"moved": array("q", [number for pair in part for number in pair]).tobytes(), "woke": woke}
            woke = False
    for start in range(0, len(news.words), _WORDS_A_BOX):
        part_of_words = news.words[start : start + _WORDS_A_BOX]
        yield {"words": [{"topic": topic, "payload": payload} for topic, payload in part_of_words]}
    for tally, counts in news.counts.items():
        keys = iter(counts.items())
        while count_part := dict(islice(keys, _COUNTS_A_BOX)):
            yield {"counts": json.dumps({tally: count_part}).encode()}


def news_of(box: Mapping[str, Any]) -> BusUpdate:
    """What the arguments of one :class:`Tell` say."""
    numbers = array("q", box.get("moved") or b"")
    moved = {AccountId(numbers[at]): ModSeq(numbers[at + 1]) for at in range(0, len(numbers), 2)}
    words = tuple((word["topic"], word["payload"]) for word in box.get("words") or ())
    counts: Counts = json.loads(box["counts"]) if box.get("counts") else {}
    return BusUpdate(moved, bool(box.get("woke")), words, counts)


# --- ends -------------------------------------------------------------------------------------------------------------


@implementer(IPushProducer)
class End(AMP):
    """One end of a channel. ``heard`` is called with news, ``lost`` when the other end is gone."""

    transport: Any

    def __init__(self, heard: Callable[[BusUpdate], None], lost: Callable[[], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._heard = heard
        self._lost = lost
        self.outbox: Outbox | None = None
        """Held while the other end does not read."""

    def tell(self, news: BusUpdate) -> None:
        """Send news."""
        for box in boxes(news):
            self.callRemote(Tell, **box)  # type: ignore[no-untyped-call]

    def connectionMade(self) -> None:
        """Ask to be told whether the other end reads."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end is gone."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        if self.outbox is not None:
            self.outbox.close()
        self._lost()

    @Tell.responder
    def _told(self, **box: Any) -> dict[str, Any]:
        self._heard(news_of(box))
        return {}

    # --- IPushProducer

    def pauseProducing(self) -> None:
        """The other end does not read."""
        if self.outbox is not None:
            self.outbox.hold()

    def resumeProducing(self) -> None:
        """It does again."""
        if self.outbox is not None:
            self.outbox.release()

    def stopProducing(self) -> None:
        """``connectionLost`` follows."""


class ParentEnd(End):
    """The parent's end: sends the startup message, and receives the state of the worker."""

    def __init__(
        self,
        startup: bytes,
        serving: Callable[[], None],
        failed: Callable[[str], None],
        heard: Callable[[BusUpdate], None],
        lost: Callable[[], None],
    ) -> None:
        super().__init__(heard, lost)
        self._welcome = startup
        self._serving = serving
        self._failed = failed

    def connectionMade(self) -> None:
        """Send the startup message."""
        self.transport.write(self._welcome)
        self._welcome = b""
        super().connectionMade()

    @Serving.responder
    def _is_serving(self) -> dict[str, Any]:
        self._serving()
        return {}

    @Failed.responder
    def _has_failed(self, reason: str) -> dict[str, Any]:
        self._failed(reason)
        return {}
