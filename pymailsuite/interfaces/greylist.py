"""Greylisted clients and triplets, the same on every node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface


@frozen(order=True)
class Triplet:
    """A client, a sender and a recipient: ``client`` is a network (``192.0.2.0/24``) or a provider
    (``spf:example.com``, ``rdns:example.com``), ``sender`` and ``recipient`` are addresses in the form they are
    compared in; the null sender is empty."""

    client: str
    sender: str
    recipient: str


@frozen
class GreylistEntry:
    """When a triplet was first seen, and when it came back in time (0.0: not yet). Times are POSIX seconds."""

    triplet: Triplet
    first_seen: float
    passed_at: float
    expires_at: float


@frozen
class GreylistClient:
    """How many triplets of a client came back in time. ``allowed``: an operator has let it in, whatever its passes.

    ``expires_at`` is 0.0 for never."""

    client: str
    passes: int
    allowed: bool
    expires_at: float


@frozen
class GreylistKnowledge:
    """What is known of some triplets and their clients at ``now`` by the clock all nodes share; nothing that has
    expired."""

    now: float
    entries: Mapping[Triplet, GreylistEntry] = field(factory=dict)
    clients: Mapping[str, GreylistClient] = field(factory=dict)


class IGreylistStore(Interface):
    """Triplets and clients. Names that are too long to keep are kept as a digest."""

    def look_up(triplets: Sequence[Triplet]) -> Deferred[GreylistKnowledge]:
        """The entries of these triplets and of their clients: a read."""

    def begin(triplets: Sequence[Triplet], window_s: float, waiting_max: int) -> Deferred[bool]:
        """They have been seen, and may come back within ``window_s`` seconds. A triplet that another node has begun
        meanwhile stays as it is. False if one was not taken: ``waiting_max`` of its client wait already."""

    def passed(triplets: Sequence[Triplet], keep_s: float, client_keep_s: float) -> Deferred[None]:
        """They have come back in time: remembered for ``keep_s`` seconds, and each counted once for its client, which
        is remembered for ``client_keep_s``."""

    def refresh(
        triplets: Sequence[Triplet], keep_s: float, clients: Sequence[str], client_keep_s: float
    ) -> Deferred[None]:
        """They are still in use: remembered from now on for as long. What an operator has set stays as it is."""

    def entries(client: str | None, limit: int) -> Deferred[Sequence[GreylistEntry]]:
        """Triplets that have not expired, of one client or of all, the newest first."""

    def clients(limit: int) -> Deferred[Sequence[GreylistClient]]:
        """Clients that have not expired, those let in by operators first, then by passes."""

    def allow(client: str, expires_at: float) -> Deferred[None]:
        """Let a client in, until ``expires_at`` (POSIX seconds, 0.0: for ever)."""

    def forget(client: str, address: str) -> Deferred[int]:
        """Forget the client with all of its triplets, or (if ``client`` is empty) the triplets with ``address`` as
        sender or recipient; how many rows."""


class ICorrespondents(Interface):
    """The addresses that our users have written to. Pairs are kept as digests, which do not reveal who writes to
    whom."""

    def note(own: str, others: Iterable[str], keep_s: float) -> Deferred[None]:
        """``own`` has written to ``others``. Those that write together share a transaction."""

    def knows(pairs: Sequence[tuple[str, str]]) -> Deferred[frozenset[tuple[str, str]]]:
        """Those of the (own, other) that are known: a read."""
