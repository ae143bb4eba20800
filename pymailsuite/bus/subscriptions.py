"""The subscriptions that all buses have in common, and the bus of a process that is alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.interfaces.bus import MAX_PAYLOAD, IChangeBus
from pymailsuite.values import AccountId, ModSeq

log = Logger()


class Subscribers:
    """Callbacks of one kind. A failure is logged and does not keep the other callbacks from being called."""

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
                log.failure("{event}", event="bus.callback_failed")


class BusSubscriptions(Service):
    """The half of a bus that does not depend on what carries it: the subscribers."""

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
    """The bus of a process that is alone: it publishes to nobody."""

    def publish_changes(self, moved: Mapping[AccountId, ModSeq]) -> None: ...

    def publish_queue_due(self) -> None: ...

    def publish(self, topic: str, payload: bytes) -> None:
        checked_payload(payload)
