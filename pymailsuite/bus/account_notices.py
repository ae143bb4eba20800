"""Subscribers that are told when an account has moved on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.interfaces.store import IChangeNotices
from pymailsuite.values import AccountId, ModSeq

log = Logger()

Carry = Callable[[Mapping[AccountId, ModSeq]], None]


@implementer(IChangeNotices)
class ChangeNotices:
    """Subscribers by account. :meth:`announce` is for this process's own commits, :meth:`hear` for all others."""

    def __init__(self) -> None:
        self._subscribers: dict[AccountId, dict[object, Callable[[ModSeq], None]]] = {}
        self._carriers: dict[object, Carry] = {}

    def subscribe(self, account_id: AccountId, callback: Callable[[ModSeq], None]) -> Callable[[], None]:
        token = object()
        self._subscribers.setdefault(account_id, {})[token] = callback

        def stop() -> None:
            callbacks = self._subscribers.get(account_id)
            if callbacks is not None:
                callbacks.pop(token, None)
                if not callbacks:
                    del self._subscribers[account_id]

        return stop

    def watched(self) -> list[AccountId]:
        return list(self._subscribers)

    def carry(self, carrier: Carry) -> Callable[[], None]:
        token = object()
        self._carriers[token] = carrier
        return lambda: self._carriers.pop(token, None) and None

    def announce(self, moved: Mapping[AccountId, ModSeq]) -> None:
        """A commit of this process moved accounts on: tell the subscribers here, and those that carry notices to other
        processes."""
        self.hear(moved)
        for carrier in list(self._carriers.values()):
            try:
                carrier(moved)
            except Exception:
                log.failure("{event}", event="store.notice_failed")

    def hear(self, moved: Mapping[AccountId, ModSeq]) -> None:
        subscribers = self._subscribers
        for account_id, modseq in moved.items():
            for callback in list(subscribers.get(account_id, {}).values()):
                try:
                    callback(modseq)
                except Exception:
                    log.failure("{event} account={account_id}", event="store.notice_failed", account_id=account_id)
