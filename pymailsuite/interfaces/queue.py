"""Accepting messages, and the queue of what still has somewhere to go."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.interfaces.content import MessageSource, StagedContent
from pymailsuite.interfaces.history import HistoryEntry, StepNote
from pymailsuite.interfaces.transient import transient
from pymailsuite.values import (
    AccountId,
    Address,
    ContentId,
    EntryId,
    Flags,
    LoginGrant,
    QueueId,
    SpecialUse,
    queue_id_of,
)


@transient
class Delivery:
    """One copy into one mailbox. ``prefix`` is this copy's own header lines (Return-Path, Delivered-To), CRLF ended.

    ``special_use``: into the mailbox of this use instead, if the account has one. ``internal_date`` is POSIX seconds;
    None: when it is accepted."""

    account_id: AccountId
    prefix: bytes
    mailbox: str = "INBOX"
    flags: Flags = field(factory=Flags)
    special_use: SpecialUse | None = None
    internal_date: float | None = None
    beyond_quota: bool = False
    """It is delivered however full the account is: a message of ours."""


class RecipientState(enum.Enum):
    """What has become of a queued recipient, in the words of RFC 3464 §2.3.3. DELAYED: there will be another attempt,
    or a first one."""

    DELAYED = "delayed"
    DELIVERED = "delivered"
    FAILED = "failed"


class Notify(enum.Flag):
    """Of what the sender wants to be told for a recipient. Source: RFC 3461 §4.1."""

    UNSAID = 0
    """The sender did not say, which means failures and delays."""
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8

    @property
    def parameter(self) -> str:
        """The value of the NOTIFY parameter; empty if it was not given."""
        return ",".join([one.name or "" for one in self])

    @property
    def without_success(self) -> Notify:
        """The same for hosts behind this one, where success is reported here."""
        return (self & ~Notify.SUCCESS) or Notify.NEVER if Notify.SUCCESS in self else self

    def wants(self, kind: Notify) -> bool:
        """Whether the sender is to be told of FAILURE or DELAY."""
        return not self or kind in self


class SuccessKind(enum.Enum):
    """The success that this server reports of a recipient, in the words of RFC 3464 §2.3.3."""

    DELIVERED = "delivered"
    """It is in a mailbox here."""
    RELAYED = "relayed"
    """It was sent on to a host that sends no such reports. Source: RFC 3461 §5.2.2."""
    EXPANDED = "expanded"
    """It was sent on to several addresses that this one leads to."""


class Ret(enum.Enum):
    """How much of the message a report of a failure returns. Source: RFC 3461 §4.3."""

    FULL = "FULL"
    HDRS = "HDRS"


@frozen
class QueuedRecipient:
    """One recipient of a queue entry. ``position`` identifies it within the entry; times are POSIX seconds.

    ``original`` is the address RCPT gave, where an alias led to ``address``. ``last_reply`` is the remote's (or our)
    last word, one line. ``route`` groups recipients that travel together: a lower-case domain.
    """

    position: int
    address: Address
    route: str
    original: Address | None = None
    state: RecipientState = RecipientState.DELAYED
    attempts: int = 0
    next_attempt: float = 0.0
    delay_reported: bool = False
    last_status: str = ""
    """RFC 3463 status of the last attempt, such as ``4.4.1``."""
    last_reply: str = ""
    last_host: str = ""
    notify: Notify = Notify.UNSAID
    orcpt: str = ""
    """The ORCPT parameter, decoded: ``rfc822;a@b.example``. Source: RFC 3461 §4.2."""


@frozen
class OutgoingEnvelope:
    """What an accepted message asks to be sent to other hosts: its content, in one envelope. Each becomes an entry of
    the queue; a message may ask for several, for recipients who are to get it from another reverse-path or with other
    header lines in front.

    ``prefix`` are header lines, CRLF ended, that stand in front of the content when it is sent on or returned.
    ``envid`` (decoded) and ``ret`` are those of RFC 3461 §4.4 and §4.3, empty and None if the sender gave none.
    ``priority``: entries of a higher one are tried first. ``origin``: who gave it to us (IP, login name), for
    operators. ``body`` is a value of :class:`~pymailsuite.values.BodyType`, ``smtputf8`` that of MAIL. ``held``: until
    an operator releases it.
    """

    reverse_path: Address | None
    recipients: tuple[QueuedRecipient, ...]
    prefix: bytes = field(default=b"", repr=False)
    envid: str = ""
    ret: Ret | None = None
    priority: int = 0
    origin: str = ""
    body: str = "7BIT"
    smtputf8: bool = False
    held: bool = False


@frozen
class QueueEntry:
    """One envelope of an accepted message that still has somewhere to go. Several entries may share a content.

    The fields of :class:`OutgoingEnvelope` are as they were asked for; ``size`` and ``header_size`` count the prefix.
    """

    entry_id: EntryId
    content_id: ContentId
    size: int
    header_size: int
    reverse_path: Address | None
    recipients: tuple[QueuedRecipient, ...]
    created_at: float
    smtputf8: bool = False
    body: str = "7BIT"
    held: bool = False
    origin: str = ""
    prefix: bytes = field(default=b"", repr=False)
    envid: str = ""
    ret: Ret | None = None
    priority: int = 0

    @property
    def queue_id(self) -> QueueId:
        """The name of the message as it was received; it is in Received, in the log and in the history."""
        return queue_id_of(self.content_id)

    def source(self, read_content: Callable[[ContentId, int, int], Deferred[bytes]]) -> MessageSource:
        """The message as it is sent on, the prefix first. ``read_content`` is :meth:`IMailStore.read_content`."""
        ahead = len(self.prefix)
        content = MessageSource(self.size - ahead, self.header_size - ahead, partial(read_content, self.content_id))
        return content.with_fields(self.prefix)


@frozen
class Outcome:
    """What one attempt made of one recipient. DELAYED means: again at ``next_attempt``."""

    position: int
    state: RecipientState
    status: str = ""
    reply: str = ""
    host: str = ""
    next_attempt: float = 0.0
    delay_reported: bool = False
    success: SuccessKind | None = None
    """Of a delivered recipient: what to report, if the sender asked for it; None: nothing, or a later host reports."""


@transient
class Acceptance:
    """A message as it is accepted: content, and all it must become, in one transaction.

    ``fields`` are header lines of ours, each ended by CRLF, in front of all local copies; those that one copy has for
    itself stand before them and are in its :class:`Delivery`. The prefix of an envelope holds them too, at its end.
    """

    content: StagedContent
    deliveries: tuple[Delivery, ...] = ()
    outgoing: tuple[OutgoingEnvelope, ...] = ()
    """An entry of the queue for each; each has recipients."""
    history: HistoryEntry | None = None
    """What is to be remembered of it."""
    grant: LoginGrant | None = None
    """By which login it was submitted: that must be good still."""
    fields: bytes = field(default=b"", repr=False)
    along: tuple[Acceptance, ...] = ()
    """Messages of ours about this one: accepted in the same transaction."""


@frozen
class DeliveredHere:
    """What became of recipients of an entry whose domain turned out to be ours, and what is done with that: copies, the
    same message to others, and messages of our own ``along`` with it."""

    outcomes: tuple[Outcome, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    outgoing: tuple[OutgoingEnvelope, ...] = ()
    along: tuple[Acceptance, ...] = ()
    notes: tuple[StepNote, ...] = ()


class IQueueStore(Interface):
    """The queue's rows. A claimed entry belongs to its owner until settled or until its lease ends."""

    def accept(acceptance: Acceptance) -> Deferred[QueueId]:
        """Store the message, its local copies and its queue rows: the transaction behind SMTP's 250.

        The id is ``queue_id_of(content.content_id)``: known beforehand, so that Received can name it. NoSuchAccount if
        an account has gone since it was resolved, LoginEnded if the login that submits it has ended: then nothing was
        stored. A target mailbox that is gone means INBOX. OverQuota if a copy is too much for an account: likewise.
        """

    def claim(owner: str, now: float, lease_s: float, limit: int) -> Deferred[list[QueueEntry]]:
        """Entries with a due, unheld, unclaimed recipient; ``recipients`` are the due ones only.

        Those of a higher priority come first, and of one priority those that are due longest."""

    def renew(owner: str, entry_ids: Iterable[EntryId], until: float) -> Deferred[None]:
        """Keep claims while work goes on."""

    def settle(
        owner: str,
        entry_id: EntryId,
        outcomes: Sequence[Outcome],
        deliveries: Sequence[Delivery],
        report: Acceptance | None,
        more: bool = False,
        history: HistoryEntry | None = None,
        outgoing: Sequence[OutgoingEnvelope] = (),
        along: Sequence[Acceptance] = (),
    ) -> Deferred[None]:
        """Record an attempt, deliver local copies, put further envelopes of the same message into the queue, accept a
        report (DSN) and what is accepted along with all this, in one transaction; end the claim.

        ``more``: some of the claimed recipients are still under way, and the claim is kept for them. An entry with no
        delayed recipient left is finished: its rows go. ``history`` is what is to be remembered of the attempt.
        NoSuchEntry if the claim was lost.
        """

    def release_claims(owners: Iterable[str]) -> Deferred[int]:
        """End all claims of owners that are known to be gone; how many entries."""

    def next_due(now: float) -> Deferred[float | None]:
        """When the next unheld, unclaimed recipient is due (POSIX, maybe past), or when the first claim lapses."""

    def entries(queue_id: QueueId | None = None) -> Deferred[list[QueueEntry]]:
        """All, oldest first, with all recipients: for operators. Or those that an id names: the entry whose own it is,
        or all entries of the message."""

    def flush(entry_ids: Sequence[EntryId] | None, now: float) -> Deferred[int]:
        """Make delayed recipients due now (None: of all entries); how many entries. Those that are held stay as they
        are, and do not count."""

    def hold(entry_ids: Sequence[EntryId], held: bool) -> Deferred[int]:
        """Hold or release; how many entries were not as they are to be."""

    def delete(entry_ids: Sequence[EntryId]) -> Deferred[int]:
        """Remove without a report; how many entries."""

    def subscribe(callback: Callable[[], None], heard: Callable[[], None] | None = None) -> Callable[[], None]:
        """Call ``callback`` after each commit of ours that made queue rows due; answers how to stop.

        ``heard`` (None: ``callback`` too) is called when another process made some due.
        """

    def hear() -> None:
        """Tell the subscribers that another process made queue rows due."""
