"""The door behind every way of accepting mail.

A message's octets go straight on into the store's content writer, our Received field in front. When all are there, one
:class:`~pymailsuite.interfaces.Acceptance` says everything the message must become, and the store does it in one
transaction: local copies are in their mailboxes, remote recipients in the queue, and only then is the peer answered.

This is the hot path of the whole house: no coroutine, one callback, and the header alone is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import idna
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.errors import Refusal
from pymailsuite.interfaces import (
    Acceptance,
    Delivery,
    IContentWriter,
    IIncomingMessage,
    IMailStore,
    IMessageIntake,
    LocalRecipient,
    QueuedRecipient,
    RemoteRecipient,
    StagedContent,
)
from pymailsuite.message.trace import delivered_to_field, received_field, return_path_field
from pymailsuite.values import Address, Envelope, Peer, QueueId, queue_id_of

log = Logger()

Resolved = Sequence[tuple[Address, Sequence[LocalRecipient | RemoteRecipient]]]
"""Recipients as RCPT gave them, each with what it resolved to."""


class TooManyHops(Refusal):
    """The message has been through so many hosts that it must be going in circles. Source: RFC 5321 §6.3."""

    smtp_code = 554
    enhanced_code = "5.4.6"
    text = "Too many hops: mail loop"


def route_of(domain: str) -> str:
    """What groups recipients that travel together: the domain in lower case, in A-labels (RFC 5891).

    A domain that has no A-label form is its own route; relaying it will fail with a reason.
    """
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        return domain.lower()


def local_deliveries(reverse_path: Address | None, recipients: Resolved, prefix: bytes = b"") -> tuple[Delivery, ...]:
    """A copy for each account and mailbox, once, under the address that led to it first; ``prefix`` in all of them."""
    targets: dict[tuple[int, str], Delivery] = {}
    return_path = b""
    for given, resolved in recipients:
        for recipient in resolved:
            if isinstance(recipient, LocalRecipient):
                key = (recipient.account_id, recipient.mailbox)
                if key not in targets:
                    return_path = return_path or return_path_field(reverse_path)
                    fields = return_path + delivered_to_field(given) + prefix
                    targets[key] = Delivery(recipient.account_id, fields, recipient.mailbox)
    return tuple(targets.values())


def remote_recipients(recipients: Resolved, now: float) -> tuple[QueuedRecipient, ...]:
    """A queue row for each remote address, once, due at ``now`` (POSIX seconds)."""
    rows: dict[Address, QueuedRecipient] = {}
    for given, resolved in recipients:
        for recipient in resolved:
            if isinstance(recipient, RemoteRecipient) and recipient.address not in rows:
                address = recipient.address
                rows[address] = QueuedRecipient(
                    position=len(rows),
                    address=address,
                    route=route_of(address.domain),
                    original=None if given == address else given,
                    next_attempt=now,
                )
    return tuple(rows.values())


_HEADER_BEGINS: Final = re.compile(rb"[!-9;-~]+[ \t]*:|\r\n|>*From ").match
"""A field, the empty line that ends a header of no fields, or the line an mbox separates messages with."""
_UNDECIDED: Final = re.compile(rb"(?:[!-9;-~]*[ \t]*|\r)\Z").match
"""What may still become the beginning of a header, when more octets come."""
_FIRST_LINE_MAX: Final = 998
"""Octets of a line. Source: RFC 5322 §2.1.1."""


class ReceivedCount:
    """Counts the Received fields of a header that comes in any cut; looks no further than the empty line."""

    __slots__ = ("_tail", "count", "ended")

    _FIELD = b"\r\nreceived:"

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self._tail = b"\r\n"  # the first line begins after a line end too

    def feed(self, octets: bytes) -> None:
        """Look at the next octets, until ``ended``."""
        region = self._tail + octets
        end = region.find(b"\r\n\r\n")
        if end >= 0:
            self.ended = True
            region = region[: end + 2]
        self.count += region.lower().count(self._FIELD)
        # One octet less than the field, so that none is counted twice.
        self._tail = region[-len(self._FIELD) + 1 :]


@implementer(IIncomingMessage)
class IncomingMessage:
    """One message on its way into the store."""

    __slots__ = ("_envelope", "_first", "_hops", "_intake", "_peer", "_recipients", "_trace", "_writer", "queue_id")

    def __init__(
        self,
        intake: MessageIntake,
        writer: IContentWriter,
        envelope: Envelope,
        recipients: Resolved,
        peer: Peer,
    ) -> None:
        self.queue_id: QueueId = queue_id_of(writer.content_id)
        self._intake = intake
        self._writer = writer
        self._envelope = envelope
        self._recipients = recipients
        self._peer = peer
        self._hops = ReceivedCount()
        self._trace = intake.trace_of(self.queue_id, envelope, recipients, peer)
        self._first = b""

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Pass the octets on, behind our trace field. A message that loops is no longer stored, only read."""
        hops = self._hops
        if not hops.ended:
            hops.feed(octets)
        if hops.count > self._intake.max_received:
            self._writer.abort()
            return None
        if self._trace:
            first = self._first + octets
            if _UNDECIDED(first) and len(first) < _FIRST_LINE_MAX:
                self._first = first
                return None
            octets = self._behind_trace(first)
            self._trace = b""
        return self._writer.write(octets)

    def _behind_trace(self, first: bytes) -> bytes:
        """The beginning of the message behind our trace field; a message without a header does not become one."""
        return self._trace + (first if not first or _HEADER_BEGINS(first) else b"\r\n" + first)

    def commit(self, prefix: bytes = b"") -> Deferred[QueueId]:
        """Fires with the queue id after the one transaction; TooManyHops, or what the store refuses with."""
        if self._hops.count > self._intake.max_received:
            log.info(
                "{event} {queue_id} from={ip} received={count}",
                event="delivery.looped",
                queue_id=self.queue_id,
                ip=self._peer.ip,
                count=self._hops.count,
            )
            return fail(TooManyHops(cause=f"{self._hops.count} Received fields"))
        if self._trace:  # not one line came
            self._writer.write(self._behind_trace(self._first))
        finished: Deferred[StagedContent] = self._writer.finish()
        return finished.addCallback(self._accept, prefix)

    def _accept(self, content: StagedContent, prefix: bytes) -> Deferred[QueueId]:
        envelope = self._envelope
        intake = self._intake
        return intake.accept(
            Acceptance(
                content=content,
                reverse_path=envelope.reverse_path,
                deliveries=local_deliveries(envelope.reverse_path, self._recipients, prefix),
                relays=remote_recipients(self._recipients, intake.now()),
                smtputf8=envelope.smtputf8,
                body=envelope.body.value,
                origin=self._peer.login or self._peer.ip,
                prefix=prefix,
            )
        )

    def abort(self) -> None:
        """Forget it; harmless at any time."""
        self._writer.abort()


@implementer(IMessageIntake)
class MessageIntake:
    """Opens messages whose recipients have been accepted; ``host_name`` is what our Received field says of us."""

    def __init__(self, store: IMailStore, settings: DeliverySettings, host_name: str, clock: IReactorTime) -> None:
        self.max_received = settings.max_received
        self.now = clock.seconds
        self.accept: Callable[[Acceptance], Deferred[QueueId]] = store.queue.accept
        self._new_content = store.new_content
        self._host_name = host_name

    def open(self, envelope: Envelope, recipients: Resolved, peer: Peer) -> IIncomingMessage:
        """Begin a message. Source of the trace fields: RFC 5321 §4.4."""
        return IncomingMessage(self, self._new_content(), envelope, recipients, peer)

    def trace_of(self, queue_id: QueueId, envelope: Envelope, recipients: Resolved, peer: Peer) -> bytes:
        """Our Received field. It names the recipient only if there is one: others' addresses are nobody's business
        (RFC 5321 §7.2)."""
        named = (recipients[0][0],) if len(recipients) == 1 else ()
        return received_field(peer, self._host_name, queue_id, self.now(), recipients=named, smtputf8=envelope.smtputf8)
