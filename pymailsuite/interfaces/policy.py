"""Checks of a mail transaction while it goes on: what a policy is told, and what it says.

A policy has one method a stage. It looks at what is known so far and answers a :class:`Verdict`; the chain runs the
policies of a stage side by side within a time budget, and decides by their verdicts and the configuration.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.values import Address, BodyType, Peer, QueueId


class Stage(enum.Enum):
    """When a policy is asked. Each is answered before the client gets the reply that belongs to it."""

    CONNECT = "connect"
    HELO = "helo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """Before 354: all recipients are known."""
    MESSAGE = "message"
    """After the final dot, before 250."""


class Action(enum.Enum):
    """What a policy would have done with the client, the sender, the recipient or the message."""

    PASS = "pass"  # noqa: S105
    """Nothing to say against it, or no opinion."""
    ACCEPT = "accept"
    """Known to be good: what other policies object to, apart from those the configuration excepts, does not count."""
    TAG = "tag"
    """Take it, marked by the verdict's ``fields``."""
    SCORE = "score"
    """Take it for now; ``score`` is added to the transaction's."""
    TEMPFAIL = "tempfail"
    """4yz: try again later."""
    REJECT = "reject"
    """5yz: not now and not later."""


@frozen
class MethodResult:
    """One method's part of an Authentication-Results field. Source: RFC 8601 §2.2.

    ``properties`` are ``("smtp.mailfrom", "example.org")`` and the like, in the order they are to be written.
    """

    method: str
    result: str
    reason: str = ""
    properties: tuple[tuple[str, str], ...] = ()


@frozen
class PolicyReply:
    """The SMTP reply of a refusal: ``550 5.7.23 text``."""

    code: int
    enhanced_code: str
    text: str


@frozen
class Verdict:
    """What one policy says at one stage.

    ``reason`` is one line for operators. ``reply`` is for TEMPFAIL and REJECT; without it the chain has a general one.
    ``evidence`` says on what it rests, in values that JSON knows; never a secret. ``fields`` are header fields to stand
    in front of the message, each ended by CRLF.
    """

    action: Action = Action.PASS
    reason: str = ""
    score: float = 0.0
    reply: PolicyReply | None = None
    evidence: Mapping[str, object] = field(factory=dict)
    results: tuple[MethodResult, ...] = ()
    fields: tuple[bytes, ...] = ()


class IMessageTap(Interface):
    """Hears a message's octets while they come in: for what would otherwise have to read it all again."""

    def write(octets: bytes) -> None:
        """The next octets as the client sent them, dot-stuffing undone, without any field of ours; in any cut."""


@frozen
class ReceivedMessage:
    """A message whose final dot has come and that is not accepted yet.

    ``header`` is as it was received, up to and with the empty line; ``taps`` are those the policies asked for, by the
    policy's name.
    """

    queue_id: QueueId
    size: int
    header: bytes = field(repr=False)
    taps: Mapping[str, IMessageTap] = field(factory=dict)


@frozen
class MailTransaction:
    """What is known when a policy is asked; what a stage does not know yet is None or empty.

    ``reverse_path`` None at MAIL and later is the null path. ``recipient`` is the one RCPT asks about; ``recipients``
    are those accepted so far. ``verdicts`` are the last ones of each policy, by name, of this transaction and its
    connection. ``authserv_id`` is our name in Authentication-Results. ``submission``: the client hands in mail of its
    own.
    """

    stage: Stage
    peer: Peer
    authserv_id: str
    submission: bool = False
    reverse_path: Address | None = None
    body: BodyType = BodyType.SEVENBIT
    smtputf8: bool = False
    recipient: Address | None = None
    recipients: tuple[Address, ...] = ()
    message: ReceivedMessage | None = None
    verdicts: Mapping[str, Verdict] = field(factory=dict)


class IPolicy(Interface):
    """One check. :class:`pymailsuite.policy.base.Policy` has no opinion at any stage: derive and override.

    Any failure but DnsFailure is logged and counts as no opinion; so does what is not there when the budget ends.
    """

    name = Attribute("Its name in the configuration, the log and MailTransaction.verdicts; lower case.")
    after = Attribute("Names of policies whose verdicts of the same stage it reads: it runs when they have ended.")

    def connect(transaction: MailTransaction) -> Deferred[Verdict]:
        """A client has connected; only its address is known."""

    def helo(transaction: MailTransaction) -> Deferred[Verdict]:
        """The client has said its name."""

    def mail(transaction: MailTransaction) -> Deferred[Verdict]:
        """The sender is known."""

    def rcpt(transaction: MailTransaction) -> Deferred[Verdict]:
        """A recipient is asked for."""

    def data(transaction: MailTransaction) -> Deferred[Verdict]:
        """All recipients are known."""

    def message(transaction: MailTransaction) -> Deferred[Verdict]:
        """The message is there."""

    def tap(transaction: MailTransaction) -> IMessageTap | None:
        """Called at the end of DATA: what is to hear this message come in, if anything."""
