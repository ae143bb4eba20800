"""Signatures on mail of our own making: reports of all kinds."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface


class ISigner(Interface):
    """Says who answers for a message that did not come in through SMTP, where the policies sign."""

    def sign(octets: bytes) -> Deferred[bytes]:
        """Header fields, CRLF ended, to stand in front of a message whose lines end in CRLF; empty if there is no key
        for its author's domain. What is wrong with a key or the message is logged and never fails: a report without a
        signature is better than none. Temporary errors of the store come through."""
