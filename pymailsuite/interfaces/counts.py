"""What all nodes count together: failed logins, messages of a sender, attempts of a peer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface


@frozen
class CountKey:
    """What is counted: ``kind`` names the rule (``login.address``), ``name`` whom it is applied to."""

    kind: str
    name: str


@frozen
class Count:
    """How often within the window that ends at ``ends_at`` (POSIX seconds)."""

    total: int
    ends_at: float


class ISharedCounts(Interface):
    """Counts within windows of time, the same on every node.

    A window begins with the first that is counted in it, and when it has ended the count begins again at nothing. Names
    are kept in full up to 200 characters; of longer ones a digest is.
    """

    def counted(keys: Iterable[CountKey]) -> Deferred[Mapping[CountKey, Count]]:
        """The counts there are, in windows that have not ended: a read. What was never counted is not in it."""

    def add(
        keys: Sequence[CountKey], window_s: float, amount: int = 1, lasting: bool = True
    ) -> Deferred[Mapping[CountKey, Count]]:
        """Count ``amount`` more of each; what that makes them, for each who counts another.

        Those that come together share a transaction. With ``lasting`` False it need not reach the disk to be answered:
        all processes know of it, and it may be lost if the machine stops.
        """

    def take_back(keys: Sequence[CountKey], amount: int = 1) -> Deferred[None]:
        """Count that much less of each whose window has not ended; it need not reach the disk to be answered."""

    def forget(keys: Sequence[CountKey]) -> Deferred[None]:
        """Begin again at nothing."""
