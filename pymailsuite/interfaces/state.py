"""What is kept for a time and is the same on every node: octets or counts, by namespace and name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


@frozen
class StateKey:
    """``namespace`` is whose it is (``login.address``, ``policy:night``), ``name`` what it is about.

    Namespaces of plugins have a colon in them and those of the server none, so that neither takes the other's.
    """

    namespace: str
    name: str


@frozen
class Count:
    """How often within the window that ends at ``ends_at`` (POSIX seconds)."""

    total: int
    ends_at: float


class IStateStore(Interface):
    """Octets and counts that expire, by the clock of the store. What has expired is as if it had never been.

    A key has octets or a count: what is put takes the place of a count, and a count that of octets. Names of up to 200
    characters are kept as they are; of longer ones, and of those with characters that cannot be printed, a digest is.
    Each method is one transaction; those of a kind that are asked for at the same time share one.
    """

    def namespace(name: str) -> IExpiringState:
        """The keys of one namespace; cheap, holds nothing open."""

    def get(key: StateKey) -> Deferred[bytes | None]:
        """The octets of a key; None if there are none: a read."""

    def get_many(keys: Iterable[StateKey]) -> Deferred[Mapping[StateKey, bytes]]:
        """The octets of those keys that have any: a read."""

    def put(key: StateKey, value: bytes, keep_s: float) -> Deferred[None]:
        """Keep octets for so many seconds, in the place of what is there.

        LimitReached if there are more octets than ``[store] state_value`` allows."""

    def put_if_absent(key: StateKey, value: bytes, keep_s: float) -> Deferred[bool]:
        """As put, if nothing is there; whether that was so. Of several nodes that ask at once one is told True."""

    def counted(keys: Iterable[StateKey]) -> Deferred[Mapping[StateKey, Count]]:
        """The counts there are, in windows that have not ended: a read. What was never counted is not in it."""

    def add(
        keys: Sequence[StateKey], window_s: float, amount: int = 1, lasting: bool = True
    ) -> Deferred[Mapping[StateKey, Count]]:
        """Count ``amount`` more of each; what that makes them, for each who counts another.

        A window begins with the first that is counted in it, and when it has ended the count begins again at nothing.
        With ``lasting`` False it need not reach the disk to be answered: all processes know of it, and it may be lost
        if the machine stops.
        """

    def take_back(keys: Sequence[StateKey], amount: int = 1) -> Deferred[None]:
        """Count that much less of each whose window has not ended, down to nothing; it need not reach the disk to be
        answered."""

    def delete(keys: Sequence[StateKey]) -> Deferred[None]:
        """Forget these, octets and counts alike; no error for what is not there."""


class IExpiringState(Interface):
    """One namespace of :class:`IStateStore`: what a plugin keeps. Names are its own, whatever others call theirs."""

    name = Attribute("The namespace.")

    def get(name: str) -> Deferred[bytes | None]:
        """The octets of a name; None if there are none."""

    def get_many(names: Iterable[str]) -> Deferred[Mapping[str, bytes]]:
        """The octets of those names that have any."""

    def put(name: str, value: bytes, keep_s: float) -> Deferred[None]:
        """Keep octets for so many seconds. LimitReached if there are too many."""

    def put_if_absent(name: str, value: bytes, keep_s: float) -> Deferred[bool]:
        """As put, if nothing is there; whether that was so."""

    def total(name: str) -> Deferred[int]:
        """How often it was counted in its window; 0: never, or the window has ended."""

    def add(name: str, window_s: float, amount: int = 1) -> Deferred[int]:
        """Count ``amount`` more; what that makes it."""

    def delete(*names: str) -> Deferred[None]:
        """Forget these, octets and counts alike."""
