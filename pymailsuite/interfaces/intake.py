"""Where mail for an address goes, and the intake of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.edits import NO_EDITS, Edits
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.policy import AppliedVerdict, Disposal, IMessageTap, ReceivedMessage
from pymailsuite.values import AccountId, Address, Envelope, Peer, QueueId

NO_DISPOSALS: Final[Mapping[Address, Disposal]] = {}
"""Everybody gets a copy as usual."""


@frozen
class LocalRecipient:
    """Mail goes into this account; ``mailbox`` by plus-addressing or INBOX.

    ``overrides`` is what the directory says is wanted otherwise of the checks of mail for the address that was
    resolved: the same for all it resolved to."""

    account_id: AccountId
    address: Address
    mailbox: str = "INBOX"
    overrides: RecipientOverrides = field(default=NO_OVERRIDES, eq=False, repr=False)
    login_name: str = field(default="", eq=False, repr=False)
    """Whose account it was when it was resolved."""
    has_quota: bool = field(default=False, eq=False, repr=False)
    """Whether the account or its domain has a quota of its own."""


@frozen
class RemoteRecipient:
    """Mail goes on to another host; ``overrides`` as of :class:`LocalRecipient`."""

    address: Address
    overrides: RecipientOverrides = field(default=NO_OVERRIDES, eq=False, repr=False)


Recipients = tuple[LocalRecipient | RemoteRecipient, ...]
"""What one address resolves to."""

GivenRecipients = Sequence[tuple[Address, Recipients | None]]
"""Addresses as they were given, each with what it resolved to; None: nobody has looked it up yet."""


def account_of(resolved: Recipients) -> Address | None:
    """The address of the one account that gets the mail; None if there are several, or if it goes to another host."""
    return resolved[0].address if len(resolved) == 1 and isinstance(resolved[0], LocalRecipient) else None


def overrides_of(resolved: Recipients) -> RecipientOverrides:
    """The rules for checks of mail that goes there."""
    return resolved[0].overrides if resolved else NO_OVERRIDES


class IRecipientResolver(Interface):
    """Where mail for an address goes, aliases, plus-addressing and catch-all applied."""

    def resolve(address: Address) -> Deferred[tuple[LocalRecipient | RemoteRecipient, ...]]:
        """All final recipients, each once. NoSuchUser if the domain is ours and the address is not known or its account
        is disabled; TemporaryFailure if that cannot be found out now; DnsFailure never. A remote address resolves to
        itself: whether it may be relayed is not asked here. Alias loops end with NoSuchUser (5.4.6)."""

    def is_local_domain(domain: str) -> Deferred[bool]:
        """True if we are the final destination of the domain."""


class IIncomingMessage(Interface):
    """One message being received: SMTP gives it octets between 354 and the end of data."""

    queue_id = Attribute("QueueId, known from the start.")
    whole_lines = Attribute("As IContentWriter has it; to be set before the first write.")

    def write(octets: bytes) -> Deferred[None] | None:
        """Message octets, dot-stuffing undone. None: go on; a Deferred: pause the peer until it fires."""

    def received(taps: Mapping[str, IMessageTap]) -> ReceivedMessage:
        """What policies are told of the message, when all of it has been written; with the taps, by policy."""

    def commit(
        prefix: bytes = b"",
        applied_verdicts: Sequence[AppliedVerdict] = (),
        disposals: Mapping[Address, Disposal] = NO_DISPOSALS,
        edits: Edits = NO_EDITS,
    ) -> Deferred[QueueId]:
        """Accept the message: fires after the commit. Any MailError is the reply.

        ``prefix`` are header fields that go in front of it, each ended by CRLF, wherever it goes. ``applied_verdicts``
        are what the policies said, for the record; ``disposals`` say of recipients whose copies go elsewhere or
        nowhere, ``edits`` what is to be changed before. If the octets are changed, the queue id may be another than
        before.
        """

    def abort() -> None:
        """The peer went away or the message was refused."""


class IMessageIntake(Interface):
    """Takes messages in, whichever way they come: SMTP, submission, LMTP, reports of our own."""

    def open(
        envelope: Envelope,
        recipients: GivenRecipients,
        peer: Peer,
        taps: Sequence[IMessageTap] = (),
    ) -> IIncomingMessage:
        """Begin a message whose recipients have been accepted; ``taps`` are to hear it.

        Adds the Received field, and Return-Path and Delivered-To to local copies."""
