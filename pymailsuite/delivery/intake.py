"""The door behind every way of accepting mail.

:mod:`pymailsuite.delivery.incoming` takes a message's octets. When all are there, one
:class:`~pymailsuite.interfaces.Acceptance` says everything the message must become, and the store does it in one
transaction: local copies are in their mailboxes, remote recipients in the queue, and only then is the peer answered.

This is the hot path of the whole house: no coroutine, one callback, and the header alone is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.delivery.history import HistoryRecorder
from pymailsuite.delivery.incoming import IncomingMessage, ReceivingRules, Resolved
from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces import (
    Acceptance,
    Delivery,
    IIncomingMessage,
    IMailStore,
    IMessageIntake,
    LocalRecipient,
    QueuedRecipient,
    RemoteRecipient,
    StagedContent,
)
from pymailsuite.interfaces.intake import NO_DISPOSALS
from pymailsuite.interfaces.onward import Departure, IOnwardMail, Way
from pymailsuite.interfaces.policy import Disposal, IMessageTap, Ruling
from pymailsuite.interfaces.queue import OutgoingEnvelope
from pymailsuite.message.a_labels import a_labels
from pymailsuite.message.trace import delivered_to_field, return_path_field
from pymailsuite.values import Address, Envelope, Peer, QueueId, SpecialUse


class AccountGone(NoSuchAccount):
    """An account has gone between RCPT and the end of the message. Nothing was stored: when the client comes again, it
    is told so at RCPT, of that recipient alone."""

    smtp_code = 451
    enhanced_code = "4.2.1"
    text = "A recipient's account has just gone, try again"


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


def remote_recipients(recipients: Resolved, now: float, known: Collection[Address] = ()) -> tuple[QueuedRecipient, ...]:
    """A queue row for each remote address but those ``known``, once, due at ``now`` (POSIX seconds)."""
    rows: dict[Address, QueuedRecipient] = {}
    for given, resolved in recipients:
        for recipient in resolved:
            if isinstance(recipient, RemoteRecipient) and recipient.address not in rows:
                address = recipient.address
                if address in known:
                    continue
                rows[address] = QueuedRecipient(
                    position=len(rows),
                    address=address,
                    route=route_of(address.domain),
                    original=None if given == address else given,
                    next_attempt=now,
                )
    return tuple(rows.values())


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
        self.rules = ReceivingRules(settings, host_name, authserv_id or host_name, clock.seconds)
        self._accept: Callable[[Acceptance], Deferred[QueueId]] = store.queue.accept
        self._new_content = store.new_content
        self._now = clock.seconds
        self._onward = onward
        self._history = history

    def open(
        self, envelope: Envelope, recipients: Resolved, peer: Peer, taps: Sequence[IMessageTap] = ()
    ) -> IIncomingMessage:
        """Begin a message. Source of the trace fields: RFC 5321 §4.4."""
        onward = self._onward.begin(envelope, recipients, peer) if self._onward is not None else None
        if onward is not None:
            taps = (*taps, *onward.taps)
        return IncomingMessage(self.rules, self, self._new_content(), envelope, recipients, peer, taps, onward)

    def accept_received(
        self,
        message: IncomingMessage,
        prefix: bytes,
        rulings: Sequence[Ruling],
        disposals: Mapping[Address, Disposal],
    ) -> Deferred[QueueId]:
        """One transaction for all that the message becomes."""
        if message.onward is not None:
            departing: Deferred[Departure] = message.onward.depart(prefix)
            accepted = departing.addCallback(self._finish, message, prefix, rulings, disposals)
        else:
            departure = Departure((Way(message.envelope.reverse_path, prefix),))
            try:
                accepted = self._finish(departure, message, prefix, rulings, disposals)
            except Exception:
                accepted = fail()
        return accepted.addErrback(_not_accepted, message)

    def _finish(
        self,
        departure: Departure,
        message: IncomingMessage,
        prefix: bytes,
        rulings: Sequence[Ruling],
        disposals: Mapping[Address, Disposal],
    ) -> Deferred[QueueId]:
        finished: Deferred[StagedContent] = message.writer.finish()
        if finished.called and isinstance(finished.result, StagedContent):
            # As it is with all but long messages: a callback would cost more than to look.
            return self._commit(finished.result, departure, message, prefix, rulings, disposals)
        return finished.addCallback(self._commit, departure, message, prefix, rulings, disposals)

    def _commit(
        self,
        content: StagedContent,
        departure: Departure,
        message: IncomingMessage,
        prefix: bytes,
        rulings: Sequence[Ruling],
        disposals: Mapping[Address, Disposal],
    ) -> Deferred[QueueId]:
        envelope, peer = message.envelope, message.peer
        recipients = message.recipients
        if disposals:
            recipients = [one for one in recipients if disposals.get(one[0]) is not Disposal.DISCARD]
        history = None
        if self._history is not None:
            history = self._history.accepted(
                content.content_id,
                peer,
                envelope,
                message.recipients,
                message.size,
                message.message_id,
                rulings,
                disposals,
            )
        deliveries = local_deliveries(envelope.reverse_path, recipients, disposals=disposals)
        return self._accept(
            Acceptance(
                content,
                deliveries,
                _outgoing(message, recipients, departure, self._now()),
                history,
                peer.grant,
                prefix if deliveries else b"",
            )
        )


def _outgoing(
    message: IncomingMessage, recipients: Resolved, departure: Departure, now: float
) -> tuple[OutgoingEnvelope, ...]:
    """What is to leave: an envelope for each way that any of the recipients leaves on."""
    envelope, peer = message.envelope, message.peer
    ways, way_of = departure.ways, departure.way_of
    outgoing = []
    known: set[Address] = set()
    for number, way in enumerate(ways):
        leaving = [one for one in recipients if way_of.get(one[0], 0) == number] if len(ways) > 1 else recipients
        relays = remote_recipients(leaving, now, known)
        if relays:
            known.update([relay.address for relay in relays])
            outgoing.append(
                OutgoingEnvelope(
                    way.reverse_path,
                    relays,
                    way.prefix,
                    origin=peer.login or peer.ip,
                    body=envelope.body.value,
                    smtputf8=envelope.smtputf8,
                )
            )
    return tuple(outgoing)


def _not_accepted(failure: Failure, message: IncomingMessage) -> Failure:
    """What was staged is of no use any more."""
    message.abort()
    error = failure.value
    # A refusal would be for good, and of all recipients: it is for now.
    return Failure(AccountGone(cause=error.cause)) if isinstance(error, NoSuchAccount) else failure
