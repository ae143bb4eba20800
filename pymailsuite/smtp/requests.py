"""The services that a session is given, and the requests it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from twisted.cred.credentials import ICredentials
from twisted.python.failure import Failure

from pymailsuite.config.sections.smtp import SmtpMxSettings, SmtpSettings
from pymailsuite.interfaces.edits import NO_EDITS, Edits
from pymailsuite.interfaces.history import IRefusalRecord, Refused
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.policy import AppliedVerdict, Disposal, IPolicyChain, MailTransaction
from pymailsuite.interfaces.quota import IRecipientQuotas
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.interfaces.transient import transient
from pymailsuite.sasl import Mechanisms, Pending
from pymailsuite.smtp.extension import Extensions
from pymailsuite.values import Address, Envelope, Peer
from pymailsuite.wire.extension import AwaitReply


@frozen
class Service:
    """The values that all sessions of a listener share."""

    settings: SmtpSettings
    hostname: str
    help_topics: Mapping[str, tuple[str, ...]] = field(repr=False)
    version: str = ""
    submission: bool = False
    tls_available: bool = False
    mechanisms: Mechanisms | None = None
    postmaster_domain: str = ""
    """The domain of ``<postmaster>`` unless the settings name another; empty: the host name."""
    policies: IPolicyChain | None = None
    refusals: IRefusalRecord | None = None
    rights: ISenderRights | None = None
    """The addresses that users may send as; None: any."""
    quotas: IRecipientQuotas | None = None
    """Those of recipients; None: the store has none."""
    extensions: Extensions = field(factory=lambda: Extensions(()))
    """The listener's extensions to RFC 5321."""

    @property
    def postmaster(self) -> Address:
        """The recipient of mail for ``<postmaster>``."""
        return Address("postmaster", self.postmaster_domain or self.hostname)

    @property
    def offers_login(self) -> bool:
        """Whether the listener has AUTH at all."""
        return not isinstance(self.settings, SmtpMxSettings) or self.settings.offer_login

    @property
    def sender_domain(self) -> str:
        """The domain for a local sender whose address has none."""
        return self.settings.sender_domain or self.postmaster_domain or self.hostname


# --- requests


@transient
class ResolveRecipient:
    """Find where mail for ``address`` goes; answer with ``recipient_resolved`` or ``recipient_refused``."""

    address: Address


@transient
class CheckRoom:
    """Ask whether a message of so many octets (0: not known) fits into the accounts of a recipient; answer with
    ``room_checked``."""

    resolved: Recipients
    octets: int


@transient
class CheckSenders:
    """Ask whether a user may send as all of ``addresses``; answer with ``senders_checked`` or ``senders_unknown``."""

    login_name: str
    addresses: tuple[Address, ...]


@transient
class BeginMessage:
    """Open the intake; answer with ``message_begun`` or ``message_refused``."""

    envelope: Envelope
    recipients: tuple[tuple[Address, Recipients], ...]
    peer: Peer
    transaction: MailTransaction | None = None
    """The envelope for policies that read the message; None if there are none."""


@transient
class CheckPolicy:
    """Ask the policies; answer with ``policy_decided``."""

    transaction: MailTransaction


@transient
class CommitMessage:
    """All of the text has come; answer with ``message_committed`` or ``message_refused``.

    ``prefix`` are fields that go in front of it, ``applied_verdicts`` the policies' verdicts, ``disposals`` the
    recipients whose copy goes elsewhere, ``edits`` the changes to the message."""

    prefix: bytes = b""
    applied_verdicts: tuple[AppliedVerdict, ...] = ()
    disposals: Mapping[Address, Disposal] = field(factory=dict)
    edits: Edits = NO_EDITS


@frozen
class DropMessage:
    """Forget the message that was begun; it has been refused."""


@frozen
class SkipOctets:
    """Read that many octets and discard them."""

    count: int


@frozen
class BeginTls:
    """Send the replies, begin TLS, discard unread octets; then call ``tls_begun``."""


@frozen
class LogIn:
    """Ask the portal; answer with ``logged_in``, ``login_refused`` or ``login_failed``."""

    credentials: ICredentials = field(repr=False)


@frozen
class AwaitLogin:
    """Await what the exchange needs; answer with ``login_goes_on``, ``login_refused`` or ``login_failed``."""

    pending: Pending


@frozen
class HoldBack:
    """Wait that many seconds, then call ``held_back``."""

    delay_s: float


Request = (
    ResolveRecipient
    | CheckRoom
    | CheckSenders
    | CheckPolicy
    | BeginMessage
    | CommitMessage
    | DropMessage
    | SkipOctets
    | BeginTls
    | LogIn
    | AwaitLogin
    | HoldBack
    | AwaitReply
)


@frozen
class Note:
    """Something worth a line in the log; ``event`` is its name there."""

    event: str
    fields: Mapping[str, Any]
    refused: Refused | None = None
    """The same event for the record of refusals, if it is a refusal."""
    failure: Failure | None = None
    """The unexpected error, if there was one."""
