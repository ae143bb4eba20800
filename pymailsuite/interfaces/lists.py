"""Local lists: whom the server, a domain or a user lets in or keeps out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen
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
