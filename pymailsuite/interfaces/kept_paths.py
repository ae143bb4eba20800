"""Addresses that return paths of ours stand for and cannot hold."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.values import Address


class IKeptPaths(Interface):
    """Addresses by their tokens, known to all nodes, for as long as something may come back to them."""

    def keep(token: str, address: Address, until: float, at_least: float) -> Deferred[None]:
        """Have the address kept until ``until`` (POSIX seconds), unless it is kept until ``at_least`` already.

        The same token is always that of the same address."""

    def kept(token: str, now: float) -> Deferred[Address | None]:
        """The address; None if there is none, or none any more at ``now``."""
