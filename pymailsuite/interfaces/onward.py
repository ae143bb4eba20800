"""Mail that does not end here: how it leaves for other hosts, where that is not as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.intake import LocalRecipient, RemoteRecipient
from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.values import Address, Envelope, Peer


@frozen
class Way:
    """How a message leaves for some of its recipients: ``reverse_path``, and the header lines in front of it."""

    reverse_path: Address | None
    prefix: bytes = field(default=b"", repr=False)


@frozen
class Departure:
    """How a message leaves: the ways there are, and on which of them mail for an address leaves that RCPT gave.

    Recipients are not to feel what others in the same message want, or where those have their mail sent."""

    ways: tuple[Way, ...]
    way_of: Mapping[Address, int] = field(factory=dict)
    """Way 0 for those that are not there."""


class IOnwardMessage(Interface):
    """One message on its way through."""

    taps = Attribute("What is to hear it come in: a tuple of IMessageTap.")

    def sent_before(header: bytes) -> frozenset[Address]:
        """The recipients for which we have sent this message on before, as the header that came in says."""

    def depart(prefix: bytes) -> Deferred[Departure]:
        """How it leaves, when all of it has been heard. ``prefix``: the fields in front of it that every copy has, our
        Authentication-Results among them. Any MailError is why it cannot be taken now."""


class IOnwardMail(Interface):
    """Looks after what is sent on."""

    def begin(
        envelope: Envelope, recipients: Sequence[tuple[Address, Sequence[LocalRecipient | RemoteRecipient]]], peer: Peer
    ) -> IOnwardMessage | None:
        """A message of ``peer`` begins; None if it leaves as it comes, or does not leave."""


class ISealingMessage(IMessageTap):
    """Hears one message that is to be sealed."""

    def seal(prefix: bytes, domain: str) -> Deferred[bytes]:
        """Fields to stand in front of it, of what ``prefix`` says we found, with the key of ``domain``; empty without a
        key, or if it cannot be sealed. For one domain after another. Temporary errors of the store come through."""


class ISealer(Interface):
    """Vouches for what was found of a message before it was sent on. Source: RFC 8617 §5.1."""

    def listen() -> ISealingMessage:
        """A message begins."""
