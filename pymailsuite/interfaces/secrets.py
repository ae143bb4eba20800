"""Secrets that all nodes of a store share."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface


class ISecretStore(Interface):
    """Secrets by the name of what they are for. Whoever can read the database can read them."""

    def secret(name: str) -> Deferred[bytes]:
        """32 octets, made when they are first asked for and the same for ever after."""
