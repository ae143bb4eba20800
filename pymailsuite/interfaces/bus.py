"""Change notices between the processes that work on one store.

A notice says only that something happened; its receiver asks the store. So it may come twice, late or in another order,
and it may be lost: a poll looks at the accounts that are watched (``[notices] poll``), the queue has a poll of its own
(``[queue] poll``), and a part that publishes on a topic of its own must be able to do without. That lets every bus
bound its buffers and drop what does not fit, and lets no bus make a sender wait.

Who fills this:

- :class:`pymailsuite.bus.subscriptions.LocalBus`: one process alone.
- ``pymailsuite.workers``: the workers of one machine, over their private channel to the parent (AMP), which fans out.
- a store whose database carries messages (LISTEN/NOTIFY of PostgreSQL): all processes of all nodes, workers too; it
  then stands in for the one of the workers.

Who uses it: :class:`pymailsuite.bus.bridge.StoreBusBridge` joins it to a store's change notices and its queue.
Everybody else has a topic of their own, and none but they publish on it or listen to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from zope.interface import Interface

from pymailsuite.values import AccountId, ModSeq

MAX_PAYLOAD: Final = 2048
"""Octets of one message of :meth:`IChangeBus.publish`. PostgreSQL takes 8,000 of text for many of them together."""


class IChangeBus(Interface):
    """Publishes to the other processes, and receives from them. All methods are for the reactor thread and return at
    once.

    A process does not receive its own notices. A bus is a part of the server too, an ``IService``: it carries nothing
    before it is started and after it is stopped, and what is published then is dropped. What is published in one turn
    of the reactor travels together; of an account's modseqs only the last.
    """

    def publish_changes(moved: Mapping[AccountId, ModSeq]) -> None:
        """Accounts have moved on: called after the commit that moved them."""

    def publish_queue_due() -> None:
        """Queue rows became due: called after the commit that made them so."""

    def publish(topic: str, payload: bytes) -> None:
        """A message that the subscribers of ``topic`` (an ASCII word such as ``auth.throttle``) understand.

        ValueError if the payload is longer than MAX_PAYLOAD.
        """

    def on_changes(callback: Callable[[Mapping[AccountId, ModSeq]], None]) -> Callable[[], None]:
        """Call ``callback`` when another process has moved accounts on; answers how to stop."""

    def on_queue_due(callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when another process has made queue rows due; answers how to stop."""

    def subscribe(topic: str, callback: Callable[[bytes], None]) -> Callable[[], None]:
        """Call ``callback`` with each payload that another process published; answers how to stop.

        An exception is logged, and does not affect other subscribers.
        """
