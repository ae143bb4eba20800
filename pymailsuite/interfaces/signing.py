"""Signatures on mail of our own making, reports of all kinds, and seals on mail of others that we send on."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.interfaces.policy import IMessageTap


class ISigner(Interface):
    """Signs messages that do not come in through SMTP, where the policies sign."""

    def sign(octets: bytes) -> Deferred[bytes]:
        """Header fields, CRLF ended, to stand in front of a message whose lines end in CRLF; empty if there is no key
        for its author's domain. A fault of a key or the message is logged and never fails: a report without a signature
        is better than none. Temporary errors of the store come through."""


class ISealingMessage(IMessageTap):
    """Hears one message that is to be sealed."""

    def seal(prefix: bytes, domain: str) -> Deferred[bytes]:
        """Fields to stand in front of it, of what ``prefix`` says we found, with the key of ``domain``; empty without a
        key, or if it cannot be sealed. For one domain after another. Temporary errors of the store come through."""


class ISealer(Interface):
    """Vouches for what was found of a message before it was sent on. Source: RFC 8617 §5.1."""

    def listen() -> ISealingMessage:
        """A message begins."""
