"""Checks of a mail transaction while it goes on: the input of a policy, and its verdict.

A policy has one method a stage. It looks at what is known so far and answers a :class:`Verdict`; the chain runs the
policies of a stage side by side within a time budget, and makes a :class:`Decision` of their verdicts and the
configuration. The chain remembers nothing: the verdicts so far travel in the :class:`MailTransaction`, and the protocol
forgets what RSET, HELO and STARTTLS make void.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Mapping
from random import random
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.content import IReadableMessage
from pymailsuite.interfaces.dns import IResolver
from pymailsuite.interfaces.edits import NO_EDITS, Edit, Edits, IMessageSignature
from pymailsuite.interfaces.overrides import RecipientOverrides
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.interfaces.state import IExpiringState
from pymailsuite.interfaces.store import IMailStore, needed, plugin_state
from pymailsuite.interfaces.transient import transient
from pymailsuite.message.structure import Part, PartTable
from pymailsuite.values import Address, BodyType, Peer, QueueId

T = TypeVar("T")


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

    # Members are singletons, and keys of what is looked up a hundred times a message: Enum's own hash, that of the
    # name, is computed in Python each time.
    __hash__ = object.__hash__


class Action(enum.Enum):
    """The action that a policy asks for."""

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


class Disposal(enum.Enum):
    """What is to be done with a message that is taken all the same."""

    JUNK = "junk"
    """Into the recipient's mailbox for junk, if there is one."""
    DISCARD = "discard"
    """Nowhere; nobody is told."""


@transient
class MethodResult:
    """One method's part of an Authentication-Results field. Source: RFC 8601 §2.2.

    ``properties`` are ``("smtp.mailfrom", "example.org")`` and the like, in the order they are to be written;
    ``comment`` stands in parentheses behind the result, without meaning to programs.
    """

    method: str
    result: str
    reason: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    comment: str = ""


@frozen
class PolicyReply:
    """The SMTP reply of a refusal: ``550 5.7.23 text``."""

    code: int
    enhanced_code: str
    text: str


@transient
class Verdict:
    """The verdict of one policy at one stage.

    ``reason`` is one line for operators. ``reply`` is for TEMPFAIL and REJECT; without it the chain has a general one.
    ``evidence`` says on what it rests, in values that JSON knows; never a secret. ``fields`` are header fields to stand
    in front of the message, each ended by CRLF. ``disposal``, for TAG, is where a copy goes instead, and ``edits``, for
    TAG too, are what is to be changed. ``hint`` is a word to the client in a positive reply, for a refusal that the
    configuration has softened. ``signature`` is asked for other fields in place of ``fields`` if the message is
    changed.
    """

    action: Action = Action.PASS
    reason: str = ""
    score: float = 0.0
    reply: PolicyReply | None = None
    evidence: Mapping[str, object] = field(factory=dict)
    results: tuple[MethodResult, ...] = ()
    fields: tuple[bytes, ...] = ()
    hint: str = ""
    disposal: Disposal | None = None
    edits: tuple[Edit, ...] = ()
    signature: IMessageSignature | None = None


class Effect(enum.Enum):
    """The effect of a verdict by the configuration."""

    NONE = "none"
    """No opinion, or one that is only written down: the policy's action is ``log``, or the peer is exempt."""
    ACCEPT = "accept"
    TAG = "tag"
    SCORE = "score"
    TEMPFAIL = "tempfail"
    REJECT = "reject"
    OVERRULED = "overruled"
    """An objection that an ACCEPT of another policy, or a recipient's own configuration, has set aside."""


@transient
class AppliedVerdict:
    """One policy's verdict, as it counted. ``seconds`` is how long it took; ``failure`` why there is none, if so.

    ``recipient`` is the one it was about, at RCPT. ``score`` is what it adds. ``overruled_by`` says for an OVERRULED
    one by which policy or rule."""

    policy: str
    stage: Stage
    verdict: Verdict
    effect: Effect
    score: float = 0.0
    seconds: float = 0.0
    failure: str = ""
    recipient: Address | None = None
    overruled_by: str = ""


@transient
class Decision:
    """The decision of the chain at one stage.

    ``refusal`` None: go on. ``applied_verdicts`` are those of this stage, in the configured order; ``decided_by`` names
    the policy whose objection the refusal is, which may be one of an earlier stage. ``score`` is the transaction's so
    far. ``hints`` are words to the client for the positive reply. ``prefix``, at MESSAGE, is what is to stand in front
    of the message: our Authentication-Results and other fields of the verdicts, in wire form. ``disposals`` says for
    whom it goes elsewhere, by recipient, ``edits`` what is to be changed. ``final_verdicts``, at MESSAGE, are all
    verdicts of the transaction as they have counted in the end; empty where that is what each says itself, since none
    that objected was set aside.
    """

    refusal: PolicyReply | None = None
    applied_verdicts: tuple[AppliedVerdict, ...] = ()
    decided_by: str = ""
    score: float = 0.0
    hints: tuple[str, ...] = ()
    prefix: bytes = b""
    disposals: Mapping[Address, Disposal] = field(factory=dict)
    final_verdicts: tuple[AppliedVerdict, ...] = ()
    edits: Edits = NO_EDITS


class IMessageTap(Interface):
    """Hears a message's octets while they come in: for what would otherwise have to read it all again."""

    def write(octets: bytes) -> Deferred[None] | None:
        """The next octets as the client sent them, dot-stuffing undone, without any field of ours; in any cut.

        What is handed in and completed (``[delivery] complete``) is heard as it is then. None: go on. A Deferred:
        nothing more is read from the client until it fires. A tap that fails, or that has its client wait longer than
        ``[delivery] tap_time`` for all of a message, hears no more; the Deferred is then cancelled, as it is when the
        client leaves."""


@transient
class ReceivedMessage:
    """A message whose final dot has come and that is not accepted yet.

    ``header`` is as it was received, or completed if it was handed in, up to and with the empty line; ``taps`` are
    those the policies asked for, by the policy's name. ``content`` is all of it, to be read.
    """

    queue_id: QueueId
    size: int
    header: bytes = field(repr=False)
    taps: Mapping[str, IMessageTap] = field(factory=dict)
    content: IReadableMessage | None = field(default=None, eq=False, repr=False)

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        """As :meth:`IReadableMessage.read`."""
        return self._readable.read(start, stop)

    def parts(self) -> PartTable:
        """As :meth:`IReadableMessage.parts`."""
        return self._readable.parts()

    def text(self, part: Part) -> AsyncIterator[str]:
        """As :meth:`IReadableMessage.text`."""
        return self._readable.text(part)

    def decoded(self, part: Part) -> AsyncIterator[bytes]:
        """As :meth:`IReadableMessage.decoded`."""
        return self._readable.decoded(part)

    @property
    def _readable(self) -> IReadableMessage:
        assert self.content is not None, "a message that was made up, of which only the header is known"
        return self.content


@transient
class MailTransaction:
    """What is known when a policy is asked; what a stage does not know yet is None or empty.

    ``reverse_path`` None at MAIL and later is the null path. ``recipient`` is the one RCPT asks about; ``recipients``
    are those accepted so far. ``verdicts`` are the last ones of each policy, by name, of this transaction and its
    connection. ``authserv_id`` is our name in Authentication-Results. ``submission``: the client hands in mail of its
    own. ``early_talker``: it spoke before it was greeted.

    ``applied_verdicts`` are all so far, of connection, HELO and transaction; the chain fills ``verdicts`` from them,
    and goes on to while policies answer: whoever runs after others sees what these have said.

    ``account`` is the address of the one account that mail for ``recipient`` goes to; None if it goes to several, or
    elsewhere. ``overrides`` is what the directory says that recipients want otherwise, those without a wish left out.
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
    verdicts: dict[str, Verdict] = field(factory=dict)
    early_talker: bool = False
    applied_verdicts: tuple[AppliedVerdict, ...] = ()
    account: Address | None = None
    overrides: Mapping[Address, RecipientOverrides] = field(factory=dict)
    parameters: Mapping[str, Any] = field(factory=dict)
    """Those of MAIL, by keyword, as extensions took them."""
    recipient_parameters: Mapping[Address, Mapping[str, Any]] = field(factory=dict)
    """Those of RCPT, for recipients that had any."""


class IPolicy(Interface):
    """One check. :class:`pymailsuite.policy.base.Policy` has no opinion at any stage: derive and override.

    A DnsFailure, any other failure (which is logged in full) and what is not there when the stage's budget ends all
    count as no opinion, or as TEMPFAIL where the policy's ``on_failure`` says so. When the budget ends the Deferred is
    cancelled: a policy that makes a verdict of that at once is heard.
    """

    name = Attribute("Its name in the configuration, the log and MailTransaction.verdicts; lower case.")
    after = Attribute("Names of policies whose verdicts of the same stage it reads: it runs when they have ended.")
    silent_at = Attribute("Stages at which, as it is configured, it never has anything to say: nobody asks it there.")
    services = Attribute("IServices of its own, which start and stop with the server: no mail comes before or after.")

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

    def speaks_after_recipients(transaction: MailTransaction) -> bool:
        """Whether it may yet say something, at DATA or later. Asked at RCPT about recipients of one message that have
        different rules for this policy: there will be one answer for all of them, or none."""


class ProbeResult(enum.Enum):
    """The answer of a host about an address."""

    ACCEPTED = "taken"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Nothing, or not now."""


@frozen
class ProbeAnswer:
    """``reply`` is the reply of ``host``, or why there is none."""

    result: ProbeResult
    reply: str
    host: str = ""


class IRecipientProbe(Interface):
    """Asks other hosts about addresses of theirs."""

    def probe(address: Address, hosts: int) -> Deferred[ProbeAnswer]:
        """Whether a mail host of its domain would take a bounce to the address; ``hosts`` are tried at most. It has no
        time limit, and can be cancelled."""


@frozen
class PolicyContext:
    """The arguments for making a policy.

    ``section`` is the policy's own part of the configuration, derived from
    :class:`~pymailsuite.config.sections.policy.PolicySection`; ``settings`` is the whole of it. ``store`` is not open
    yet. ``probe`` is None where other hosts are not to be spoken to.
    """

    section: Any
    settings: Any
    hostname: str
    authserv_id: str
    resolver: IResolver
    store: IMailStore
    clock: IReactorTime
    chance: Callable[[], float] = random
    """Draws a number from 0 up to 1."""
    probe: IRecipientProbe | None = None
    rights: ISenderRights | None = None
    """As whom users may send; None: as anybody."""
    name: str = ""
    """The policy's."""
    key_ring: Any = None
    """The keys that sign mail, shared by all that sign; None: a policy that signs has its own."""

    def needs(self, interface: type[T]) -> T:
        """An ability of the store. MissingAbility: then the policy is left out, or whoever wants it is told."""
        return needed(self.store, interface, self.name)

    @property
    def state(self) -> IExpiringState:
        """What the policy keeps for a time, the same on every node, under names of its own. MissingAbility."""
        return plugin_state(self.store, "policy", self.name)


class IPolicyFactory(Interface):
    """Makes one policy; a Twisted plugin, in ``twisted/plugins/``, that provides IPlugin too.

    See :class:`pymailsuite.policy.plugin.PolicyPlugin`.
    """

    name = Attribute("The policy's name, which is also that of its section, ``-`` written as ``_``.")

    def make(context: PolicyContext) -> IPolicy:
        """The policy. Called once for each server, not at all if its action is off. ConfigError."""


class IPolicyChain(Interface):
    """All policies, asked stage by stage."""

    authserv_id = Attribute("Our name in Authentication-Results.")

    def stages_for(peer: Peer, submission: bool) -> frozenset[Stage]:
        """The stages at which any policy is asked about this peer; at the others :meth:`check` need not be called.

        It changes when the peer logs in."""

    def check(transaction: MailTransaction) -> Deferred[Decision]:
        """Ask the policies of the transaction's stage. Never fails, and takes no longer than the stage's budget.

        When it is cancelled, as nobody waits any more, so is what the policies have under way.

        At RCPT, what was held back of earlier stages is decided too: to be called even if nobody is asked at RCPT, once
        any verdict of the transaction is not a PASS."""

    def taps(transaction: MailTransaction) -> Mapping[str, IMessageTap]:
        """What is to hear the message that DATA begins, by the policy's name."""

    def ended(peer: Peer, submission: bool, faults: int) -> None:
        """A connection has ended on which ``faults`` commands, recipients and messages were refused for good."""


class IConnectionRecord(Interface):
    """A policy that provides this too is told how connections went of those it is asked about."""

    def ended(peer: Peer, faults: int) -> None:
        """A connection has ended, with so many refusals for good. Not called if there were none."""


class IVerdictRecord(Interface):
    """Records verdicts for the history. Never waited for. A policy may provide it too."""

    def note(transaction: MailTransaction, decision: Decision) -> None:
        """A stage has been decided. ``transaction.message`` tells the queue id at MESSAGE."""
