"""Groups: named lists of accounts, to which rights to mailboxes are given at once."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface


@frozen
class Group:
    """A group; ``members`` are login names, in order."""

    name: str
    members: tuple[str, ...] = ()


class IGroupStore(Interface):
    """Groups, as administrators make them. Names are in lower case. What changes counts at once, for sessions that are
    open too. An account that is removed leaves its groups."""

    def groups() -> Deferred[Sequence[Group]]:
        """All, by name."""

    def group(name: str) -> Deferred[Group | None]:
        """One, or None."""

    def add_group(name: str) -> Deferred[Group]:
        """A group without members. AlreadyExists."""

    def remove_group(name: str) -> Deferred[None]:
        """With all rights it has. NoSuchEntry."""

    def add_members(name: str, login_names: Sequence[str]) -> Deferred[Group]:
        """The group with these too. NoSuchEntry for the group, NoSuchAccount."""

    def remove_members(name: str, login_names: Sequence[str]) -> Deferred[Group]:
        """The group without these. NoSuchEntry for the group, or for one that is not in it."""
