"""Who wants to know that an account moved on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.interfaces.store import IChangeNotices
from pymailsuite.values import AccountId, ModSeq

log = Logger()


@implementer(IChangeNotices)
class ChangeNotices:
    """Subscribers by account. :meth:`announce` is called for this process's own commits, and may be called as well by
    whatever hears of another's."""

    def __init__(self) -> None:
        self._subscribers: dict[AccountId, dict[object, Callable[[ModSeq], None]]] = {}

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

    def announce(self, moved: Mapping[AccountId, ModSeq]) -> None:
        """Tell the subscribers of each account; one that fails does not keep it from the others."""
        for account_id, modseq in moved.items():
            for callback in list(self._subscribers.get(account_id, {}).values()):
                try:
                    callback(modseq)
                except Exception:
                    log.failure("{event} account={account_id}", event="store.notice_failed", account_id=account_id)
