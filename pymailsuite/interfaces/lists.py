"""Local lists: clients and senders that the server, a domain or a user allows or denies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

ListVerdict = Literal["allow", "deny"]
EntryKind = Literal["ip", "domain", "address", "helo"]
EntryAction = Literal["reject", "junk", "discard"]


@frozen
class ListEntry:
    """One entry, its ``value`` in the form in which it is compared.

    ``scope`` is ``""`` for the whole server, else the domain or the address of the recipients it is for. ``action`` is
    what a deny entry does. ``expires_at`` in POSIX seconds, 0: it stays. ``source`` names where it comes from, ``""``
    for the store.
    """

    verdict: ListVerdict
    kind: EntryKind
    value: str
    scope: str = ""
    action: EntryAction = "reject"
    comment: str = ""
    expires_at: float = 0.0
    source: str = ""


class IListStore(Interface):
    """Entries of local lists in the store. An entry is known by scope, kind, value and verdict."""

    def revision() -> Deferred[int]:
        """A number that every change makes greater."""

    def entries(scope: str | None) -> Deferred[Sequence[ListEntry]]:
        """Those of one scope, or all, that have not expired; by scope, kind and value."""

    def add(entries: Sequence[ListEntry]) -> Deferred[None]:
        """Add entries, in the place of those that are there already."""

    def remove(scope: str, kind: EntryKind, value: str) -> Deferred[int]:
        """Remove what says allow or deny of this; how many entries that were."""


@frozen
class FetchedList:
    """What is known of a list that was fetched. ``version`` is the digest of its octets, ``""`` if there are none yet;
    ``checked_at`` is when it was last found to be what its address has, ``claimed_until`` until when one node has
    claimed the fetching, POSIX seconds. ``etag`` and ``last_modified`` are what the address said about it, for the next
    question."""

    version: str
    checked_at: float
    claimed_until: float = 0.0
    etag: str = ""
    last_modified: str = ""


@frozen
class FetchedContent:
    """The octets of a list, compressed, and their version."""

    version: str
    octets: bytes = field(repr=False)


class IFetchedLists(Interface):
    """Lists fetched from elsewhere, which one node fetches for all."""

    def fetched(url: str) -> Deferred[FetchedList | None]:
        """The state of a list; None: it was never fetched."""

    def content(url: str) -> Deferred[FetchedContent | None]:
        """The octets of a list; None if there are none."""

    def claim(url: str, interval_s: float, lease_s: float) -> Deferred[bool]:
        """Claim a list for fetching: True if it was not checked for ``interval_s`` and no other node claimed it within
        ``lease_s``; the claim lasts as long."""

    def keep(url: str, content: FetchedContent, etag: str, last_modified: str) -> Deferred[None]:
        """This is what the address has now. It has been claimed."""

    def unchanged(url: str) -> Deferred[None]:
        """The address still has what is kept. It has been claimed."""
