"""The door behind every way of accepting mail.

A message's octets go straight on into the store's content writer, our Received field in front. When all are there, one
:class:`~pymailsuite.interfaces.Acceptance` says everything the message must become, and the store does it in one
transaction: local copies are in their mailboxes, remote recipients in the queue, and only then is the peer answered.

This is the hot path of the whole house: no coroutine, one callback, and the header alone is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.errors import NoSuchAccount, Refusal
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
from pymailsuite.interfaces.intake import NO_DISPOSALS
from pymailsuite.interfaces.onward import Departure, IOnwardMail, IOnwardMessage
from pymailsuite.interfaces.policy import Disposal, IMessageTap, ReceivedMessage, Ruling
from pymailsuite.interfaces.queue import Way
from pymailsuite.message.a_labels import a_labels
from pymailsuite.message.authentication_results import remove_own_fields
from pymailsuite.message.completion import completed, lacks_from
from pymailsuite.message.trace import count_received, delivered_to_field, received_field, return_path_field
from pymailsuite.values import Address, Envelope, Peer, QueueId, SpecialUse, queue_id_of

log = Logger()

Resolved = Sequence[tuple[Address, Sequence[LocalRecipient | RemoteRecipient]]]
"""Recipients as RCPT gave them, each with what it resolved to."""


_ONE_WAY: Final[Mapping[Address, int]] = {}
"""All leave in the same way."""


class AccountGone(NoSuchAccount):
    """An account has gone between RCPT and the end of the message. Nothing was stored: when the client comes again, it
    is told so at RCPT, of that recipient alone."""

    smtp_code = 451
    enhanced_code = "4.2.1"
    text = "A recipient's account has just gone, try again"


class TooManyHops(Refusal):
    """The message has been through so many hosts that it must be going in circles. Source: RFC 5321 §6.3."""

    smtp_code = 554
    enhanced_code = "5.4.6"
    text = "Too many hops: mail loop"


class SentOnBefore(TooManyHops):
    """An alias that sends the message on has sent it on already, and it has come back."""

    text = "Mail loop: it has been sent on from here before"


class NoAuthor(Refusal):
    """A message without From, to which nothing is added."""

    text = "The message has no From field"


class HeaderTooLong(Refusal):
    """The header alone is longer than we look at."""

    smtp_code = 552
    enhanced_code = "5.3.4"
    text = "Message header too long"


def route_of(domain: str) -> str:
    """What groups recipients that travel together: the domain in lower case, in A-labels (RFC 5891).

    A domain that has no A-label form is its own route; relaying it will fail with a reason.
    """
    return a_labels(domain).lower()


def local_deliveries(
    reverse_path: Address | None,
    recipients: Resolved,
    prefix: bytes = b"",
    disposals: Mapping[Address, Disposal] = NO_DISPOSALS,
) -> tuple[Delivery, ...]:
    """A copy for each account and mailbox, once, under the address that led to it first; ``prefix`` in all of them.

    ``disposals`` send copies to the account's mailbox for junk instead.
    """
    targets: dict[tuple[int, str], Delivery] = {}
    return_path = b""
    for given, resolved in recipients:
        for recipient in resolved:
            if isinstance(recipient, LocalRecipient):
                key = (recipient.account_id, recipient.mailbox)
                if key not in targets:
                    return_path = return_path or return_path_field(reverse_path)
                    fields = return_path + delivered_to_field(given) + prefix
                    use = SpecialUse.JUNK if disposals.get(given) is Disposal.JUNK else None
                    targets[key] = Delivery(recipient.account_id, fields, recipient.mailbox, special_use=use)
    return tuple(targets.values())


def remote_recipients(
    recipients: Resolved, now: float, way_of: Mapping[Address, int] = _ONE_WAY
) -> tuple[QueuedRecipient, ...]:
    """A queue row for each remote address, once, due at ``now`` (POSIX seconds), on the way that ``way_of`` says."""
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
                    way=way_of.get(given, 0),
                )
    return tuple(rows.values())


def _may_be_named(resolved: Sequence[LocalRecipient | RemoteRecipient]) -> bool:
    """Of an address that needs SMTPUTF8: False if it leads to one elsewhere that does not: it must not be made to."""
    return not any(isinstance(target, RemoteRecipient) and target.address.local_part.isascii() for target in resolved)


_HEADER_BEGINS: Final = re.compile(rb"[!-9;-~]+[ \t]*:|\r\n|>*From ").match
"""A field, the empty line that ends a header of no fields, or the line an mbox separates messages with."""
_UNDECIDED: Final = re.compile(rb"(?:[!-9;-~]*[ \t]*|\r)\Z").match
"""What may still become the beginning of a header, when more octets come."""
_MESSAGE_ID: Final = re.compile(rb"\r\nMessage-ID:[ \t]*<([!-=?-~]{1,250})>", re.IGNORECASE).search
_FIRST_LINE_MAX: Final = 998
"""Octets of a line. Source: RFC 5322 §2.1.1."""


def _message_id(header: bytes) -> str:
    """What stands between its angle brackets; empty if there is none, or it is in no usual form."""
    found = _MESSAGE_ID(b"\r\n" + header)
    return "" if found is None else found[1].decode("ascii")


@implementer(IIncomingMessage)
class IncomingMessage:
    """One message on its way into the store."""

    __slots__ = (
        "_completes",
        "_envelope",
        "_header",
        "_intake",
        "_onward",
        "_peer",
        "_pending",
        "_recipients",
        "_refusal",
        "_searched",
        "_size",
        "_taps",
        "_trace",
        "_writer",
        "queue_id",
    )

    def __init__(
        self,
        intake: MessageIntake,
        writer: IContentWriter,
        envelope: Envelope,
        recipients: Resolved,
        peer: Peer,
        taps: Sequence[IMessageTap],
        onward: IOnwardMessage | None = None,
    ) -> None:
        self.queue_id: QueueId = queue_id_of(writer.content_id)
        self._intake = intake
        self._writer = writer
        self._envelope = envelope
        self._recipients = recipients
        self._peer = peer
        self._taps = list(taps)
        self._onward = onward
        self._completes = intake.completes(peer)
        self._trace = intake.trace_of(self.queue_id, envelope, recipients, peer)
        self._refusal: Refusal | None = None
        # The header is held back until it is complete; None once it has gone on.
        self._pending: bytes | None = b""
        self._searched = 0
        self._header = b""
        self._size = 0

    @property
    def whole_lines(self) -> bool:
        """As the interface says. What is put in front of the octets or taken out of them are lines, too."""
        return bool(self._writer.whole_lines)

    @whole_lines.setter
    def whole_lines(self, known: bool) -> None:
        self._writer.whole_lines = known

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Pass the octets on, behind our trace field. A message we shall refuse is no longer stored, only read."""
        self._size += len(octets)
        if self._taps and not (self._completes and self._pending is not None):
            self._tell_taps(octets)
        if self._pending is not None:
            octets = self._behind_header(self._pending + octets)
        if not octets or self._refusal is not None:
            return None
        return self._writer.write(octets)

    def _tell_taps(self, octets: bytes) -> None:
        for tap in list(self._taps):
            try:
                tap.write(octets)
            except Exception:
                # What its policy then says is for it to know; the message goes on.
                log.failure("{event} {queue_id}", event="delivery.tap_failed", queue_id=self.queue_id)
                self._taps.remove(tap)

    def _behind_header(self, octets: bytes) -> bytes:
        """What may go on of the beginning of the message: nothing until its header is there."""
        self._pending = octets
        if not _HEADER_BEGINS(octets):
            if _UNDECIDED(octets) and len(octets) < _FIRST_LINE_MAX:
                return b""
            return self._without_header()
        end = 2 if octets.startswith(b"\r\n") else octets.find(b"\r\n\r\n", self._searched) + 4
        if end >= 4 or octets.startswith(b"\r\n"):
            return self._header_ended(end)
        self._searched = max(len(octets) - 3, 0)
        if len(octets) > self._intake.header_size:
            # Whoever looks at the header before it is refused is not to think that there is none.
            self._header = octets
            self._refuse(HeaderTooLong())
        return b""

    def _without_header(self) -> bytes:
        """The beginning of a message that has none: it does not become one."""
        octets, self._pending = self._pending or b"", None
        if self._completes:
            added = self._completed(b"")
            if added is None:
                return b""
            octets = b"%b\r\n%b" % (added, octets)
            self._header = octets[: len(added) + 2]
            self._tell_taps(octets)
            return self._trace + octets
        return b"%b\r\n%b" % (self._trace, octets) if octets else self._trace

    def _header_ended(self, end: int) -> bytes:
        """The header with our trace in front and without the results that are said to be ours, and what follows it."""
        octets, self._pending = self._pending or b"", None
        if self._completes:
            whole = self._completed(octets[:end])
            if whole is None:
                return b""
            octets, end = whole + octets[end:], len(whole)
            self._tell_taps(octets)
        header = self._header = octets[:end]
        hops = count_received(header)
        if hops > self._intake.max_received:
            log.info(
                "{event} {queue_id} from={ip} received={count}",
                event="delivery.looped",
                queue_id=self.queue_id,
                ip=self._peer.ip,
                count=hops,
            )
            self._refuse(TooManyHops(cause=f"{hops} Received fields"))
            return b""
        if self._onward is not None and not self._leave_out(self._onward.sent_before(header)):
            self._refuse(SentOnBefore())
            return b""
        clean = remove_own_fields(header, self._intake.authserv_id)
        return self._trace + (octets if clean is header else clean + octets[end:])

    def _leave_out(self, sent_before: Collection[Address]) -> bool:
        """Leave out recipients that have had the message before; False if nobody is left."""
        for address in sent_before:
            log.info(
                "{event} {queue_id} from={ip} to=<{recipient}>",
                event="delivery.came_back",
                queue_id=self.queue_id,
                ip=self._peer.ip,
                recipient=str(address),
            )
        if sent_before:
            self._recipients = [one for one in self._recipients if one[0] not in sent_before]
        return bool(self._recipients)

    def _completed(self, header: bytes) -> bytes | None:
        """The header with what it lacks; None if it is refused for what cannot be added."""
        author = self._intake.author_of(self._envelope, self._peer)
        if author is None and lacks_from(header) and (self._peer.login or self._intake.refuses_missing_from):
            self._refuse(NoAuthor())
            return None
        return completed(header, self._intake.now(), self._intake.host_name, author)

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._pending = None
        self._writer.abort()

    def _end(self) -> None:
        """All octets are there: those that waited for the end of a header go on."""
        if self._pending is None:
            return
        has_header = bool(_HEADER_BEGINS(self._pending))
        octets = self._header_ended(len(self._pending)) if has_header else self._without_header()
        if octets:
            self._writer.write(octets)

    def received(self, taps: Mapping[str, IMessageTap]) -> ReceivedMessage:
        """What policies are told of it."""
        self._end()
        return ReceivedMessage(self.queue_id, self._size, self._header, taps)

    def commit(
        self,
        prefix: bytes = b"",
        rulings: Sequence[Ruling] = (),
        disposals: Mapping[Address, Disposal] = NO_DISPOSALS,
    ) -> Deferred[QueueId]:
        """Fires with the queue id after the one transaction; HeaderTooLong, TooManyHops, or what the store refuses
        with."""
        self._end()
        if self._refusal is not None:
            return fail(self._refusal)
        if self._onward is not None:
            departing: Deferred[Departure] = self._onward.depart(prefix)
            accepted = departing.addCallback(self._finish, prefix, rulings, disposals)
        else:
            departure = Departure((Way(self._envelope.reverse_path, prefix),))
            try:
                accepted = self._finish(departure, prefix, rulings, disposals)
            except Exception:
                accepted = fail()
        return accepted.addErrback(self._not_accepted)

    def _not_accepted(self, failure: Failure) -> Failure:
        """What was staged is of no use any more."""
        self._writer.abort()
        error = failure.value
        # A refusal would be for good, and of all recipients: it is for now.
        return Failure(AccountGone(cause=error.cause)) if isinstance(error, NoSuchAccount) else failure

    def _finish(
        self,
        departure: Departure,
        prefix: bytes,
        rulings: Sequence[Ruling],
        disposals: Mapping[Address, Disposal],
    ) -> Deferred[QueueId]:
        finished: Deferred[StagedContent] = self._writer.finish()
        if finished.called and isinstance(finished.result, StagedContent):
            # As it is with all but long messages: a callback would cost more than to look.
            return self._accept(finished.result, departure, prefix, rulings, disposals)
        return finished.addCallback(self._accept, departure, prefix, rulings, disposals)

    def _accept(
        self,
        content: StagedContent,
        departure: Departure,
        prefix: bytes,
        rulings: Sequence[Ruling],
        disposals: Mapping[Address, Disposal],
    ) -> Deferred[QueueId]:
        envelope = self._envelope
        intake = self._intake
        recipients = self._recipients
        if disposals:
            recipients = [one for one in recipients if disposals.get(one[0]) is not Disposal.DISCARD]
        history = None
        if intake.history is not None:
            history = intake.history.accepted(
                content.content_id,
                self._peer,
                envelope,
                self._recipients,
                self._size,
                _message_id(self._header),
                rulings,
                disposals,
            )
        way, *other_ways = departure.ways
        return intake.accept(
            Acceptance(
                content=content,
                reverse_path=way.reverse_path,
                deliveries=local_deliveries(envelope.reverse_path, recipients, prefix, disposals),
                relays=remote_recipients(recipients, intake.now(), departure.way_of),
                smtputf8=envelope.smtputf8,
                body=envelope.body.value,
                origin=self._peer.login or self._peer.ip,
                prefix=way.prefix,
                history=history,
                grant=self._peer.grant,
                other_ways=tuple(other_ways),
            )
        )

    def abort(self) -> None:
        """Forget it; harmless at any time."""
        self._writer.abort()


@implementer(IMessageIntake)
class MessageIntake:
    """Opens messages whose recipients have been accepted; ``host_name`` is what our Received field says of us.

    ``authserv_id`` is our name in Authentication-Results, of which nobody else may write any; empty: ``host_name``.
    ``onward`` looks after what is sent on; None: it leaves as it came.
    ``history`` is told what was accepted, if given.
    """

    def __init__(
        self,
        store: IMailStore,
        settings: DeliverySettings,
        host_name: str,
        clock: IReactorTime,
        authserv_id: str = "",
        onward: IOnwardMail | None = None,
        history: HistoryRecorder | None = None,
    ) -> None:
        self.history = history
        self.authserv_id = authserv_id or host_name
        self.header_size = settings.header_size
        self.max_received = settings.max_received
        self.now = clock.seconds
        self.accept: Callable[[Acceptance], Deferred[QueueId]] = store.queue.accept
        self.host_name = host_name
        self.refuses_missing_from = settings.missing_from == "refuse"
        self._complete = settings.complete
        self._new_content = store.new_content
        self._onward = onward

    def open(
        self, envelope: Envelope, recipients: Resolved, peer: Peer, taps: Sequence[IMessageTap] = ()
    ) -> IIncomingMessage:
        """Begin a message. Source of the trace fields: RFC 5321 §4.4."""
        onward = self._onward.begin(envelope, recipients, peer) if self._onward is not None else None
        if onward is not None:
            taps = (*taps, *onward.taps)
        return IncomingMessage(self, self._new_content(), envelope, recipients, peer, taps, onward)

    def completes(self, peer: Peer) -> bool:
        """Whether a message of this peer is handed in, to be completed."""
        return self._complete != "nobody" and bool(peer.login or (self._complete == "trusted" and peer.trusted))

    def author_of(self, envelope: Envelope, peer: Peer) -> Address | None:
        """Who a message without From is from: its reverse-path, or the user; None if that cannot be written, or is not
        wanted."""
        if self.refuses_missing_from:
            return None
        local_part, _, domain = peer.login.rpartition("@")
        author = envelope.reverse_path or (Address(local_part, domain) if local_part else None)
        return author if author is not None and (author.is_ascii or envelope.smtputf8) else None

    def trace_of(self, queue_id: QueueId, envelope: Envelope, recipients: Resolved, peer: Peer) -> bytes:
        """Our Received field. It names the recipient only if there is one: others' addresses are nobody's business
        (RFC 5321 §7.2)."""
        named: Sequence[Address] = ()
        if len(recipients) == 1:
            given, resolved = recipients[0]
            if given.local_part.isascii() or _may_be_named(resolved):
                named = (given,)
        return received_field(peer, self.host_name, queue_id, self.now(), recipients=named, smtputf8=envelope.smtputf8)
