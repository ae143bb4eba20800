"""Sends one message to the hosts of its recipients' domain, and returns the outcome of each recipient.

An attempt goes through the domain's addresses in order. A host that cannot be reached, greets with 4xx or 5xx, closes
the connection before the message was sent or cannot take it as it is gives no verdict: the recipients without a verdict
are tried at the next address (RFC 5321 §5.1). A host's verdict on a recipient is final for this attempt. Recipients
without any verdict are delayed; if all hosts can be reached and none can take the message, not in 7 bits either, they
fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IResolver, Notify, Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.interfaces.egress import EgressTransaction, IEgressTransform
from pymailsuite.interfaces.queue import SuccessKind
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.interfaces.transport import ITransport
from pymailsuite.message.seven_bits import NotConvertible
from pymailsuite.relay.connection import HostUnavailable, RelayConnection
from pymailsuite.relay.connector import Connector
from pymailsuite.relay.delivery_status import NO_REPLY, DeliveryStatus
from pymailsuite.relay.egress import EgressTransforms, NotForHost, TransformFailed
from pymailsuite.relay.octets import PREFETCH, Converter, InThread, Octets, changed_octets, stored_octets
from pymailsuite.relay.pool import ConnectionPool
from pymailsuite.relay.route import Destination, Routes, Target, Unroutable
from pymailsuite.relay.session import Finished, HostProblem, MessageEnvelope, Unfit, as_said
from pymailsuite.relay.transports import TransportContext
from pymailsuite.values import Address, ContentId
from pymailsuite.wire.dot_stuffing import BareLineEnd

log = Logger()

_NO_HOST = HostProblem("4.4.1", "no host to try")


@define
class _Attempt:
    """One message on its way to one domain."""

    entry: QueueEntry
    waiting: list[QueuedRecipient]
    octets: Octets
    problems: dict[str, HostProblem] = field(factory=dict)
    """By name: the problems of the hosts that could not be used, the last one last."""
    unfit: dict[int, tuple[Unfit, str]] = field(factory=dict)
    """By recipient: why the last host that was reached could not take the message for it, and the host's name."""
    reached: set[str] = field(factory=set)
    """The names of these hosts: another address of theirs that does not answer changes nothing."""
    seven_bits: list[Destination] = field(factory=list)
    """The hosts that would take the message in 7 bits."""
    transforms: tuple[IEgressTransform, ...] = ()
    """Built-in transforms, which come before those of plugins."""
    host: str = ""
    reports_successes: bool = False
    """Whether the host tells the sender of successes (RFC 3461), if asked to."""
    outcomes: list[Outcome] = field(factory=list)

    def settle(self, verdicts: dict[int, DeliveryStatus]) -> None:
        """Note the verdicts; the other recipients are still open."""
        still = []
        for recipient in self.waiting:
            verdict = verdicts.get(recipient.position)
            if verdict is None:
                still.append(recipient)
            else:
                self.end(recipient, verdict)
        self.waiting = still

    def settle_all(self, verdict: DeliveryStatus) -> None:
        """Note the same verdict for all open recipients."""
        for recipient in self.waiting:
            self.end(recipient, verdict)
        self.waiting = []

    def note_unfit(self, destination: Destination, unfit: dict[int, Unfit]) -> None:
        """A host that was reached cannot take the message for these recipients."""
        for position, why in unfit.items():
            self.unfit[position] = (why, destination.target.host)
            self.reached.add(destination.target.host)
        if destination not in self.seven_bits and any(why.takes_seven_bits for why in unfit.values()):
            self.seven_bits.append(destination)

    def note_problem(self, destination: Destination, problem: HostProblem) -> None:
        """A host could not be used."""
        self.problems.pop(destination.target.host, None)
        self.problems[destination.target.host] = problem

    def begin_again(self, transform: IEgressTransform) -> None:
        """Start over with the message in 7 bits: the hosts' objections to its original form no longer count."""
        self.transforms = (transform,)
        self.reached.clear()
        self.unfit = {position: said for position, said in self.unfit.items() if not said[0].takes_seven_bits}

    def note_unconvertible(self, reason: str) -> None:
        """The message cannot be converted to 7 bits."""
        for position, (unfit, host) in self.unfit.items():
            if unfit.takes_seven_bits:
                reply = f"{unfit.verdict.reply}; it is not converted: {reason}"
                self.unfit[position] = (Unfit(evolve(unfit.verdict, reply=reply)), host)

    def settle_rest(self) -> None:
        """All hosts have been tried. A host that could not be used may take the message later."""
        others = [(host, problem) for host, problem in self.problems.items() if host not in self.reached]
        problem_host, problem = (others or list(self.problems.items()) or [(self.host, _NO_HOST)])[-1]
        waits = DeliveryStatus(RecipientState.DELAYED, problem.status, problem.reply)
        for recipient in self.waiting:
            unfit, host = self.unfit.get(recipient.position, (None, ""))
            if others or unfit is None:
                self.host = problem_host
                self.end(recipient, waits)
            else:
                self.host = host
                self.end(recipient, unfit.verdict)
        self.waiting = []

    def end(self, recipient: QueuedRecipient, verdict: DeliveryStatus) -> None:
        """Note the final verdict on a recipient, for this attempt."""
        success = None
        if verdict.state is RecipientState.DELIVERED and Notify.SUCCESS in recipient.notify:
            success = None if self.reports_successes else SuccessKind.RELAYED
        outcome = Outcome(recipient.position, verdict.state, verdict.status, verdict.reply, self.host, success=success)
        self.outcomes.append(outcome)
        reverse_path = self.entry.reverse_path
        log.info(
            "{event} {queue_id} from=<{sender}> to=<{recipient}> host={host} status={status} reply={reply}",
            event="relay." + verdict.state.value,
            queue_id=self.entry.queue_id,
            sender=str(reverse_path) if reverse_path is not None else "",
            recipient=str(recipient.address),
            host=self.host,
            status=verdict.status,
            reply=verdict.reply,
        )


@implementer(ITransport)
class Relay:
    """The SMTP client side. ``host_name`` is this host's name: sent in EHLO, and recognized in MX lists.
    ``address_filter`` excludes addresses; None: one with the default settings.

    ``read_content`` is :meth:`pymailsuite.interfaces.IMailStore.read_content`; ``reactor`` is IReactorTCP as well.
    ``in_thread`` calls a function in a thread; None: it is called directly. ``signer`` signs converted messages again.
    ``egress`` are the transforms of plugins for one transaction.
    """

    def __init__(
        self,
        settings: RelaySettings,
        host_name: str,
        resolver: IResolver,
        read_content: Callable[[ContentId, int, int], Deferred[bytes]],
        reactor: IReactorTime,
        rng: random.Random | None = None,
        own_names: Iterable[str] = (),
        address_filter: AddressFilter | None = None,
        in_thread: InThread | None = None,
        signer: ISigner | None = None,
        egress: EgressTransforms | None = None,
    ) -> None:
        self._settings = settings
        self._egress = EgressTransforms((), 60.0, reactor) if egress is None else egress
        self._converter = Converter(settings.convert_size, in_thread, signer)
        self._read_content = read_content
        # Randomness only shares load among equal hosts.
        self._routes = Routes(settings, resolver, (host_name, *own_names), rng or random.Random(), address_filter)  # noqa: S311
        self._pool = ConnectionPool(settings, Connector(settings, host_name, reactor).connect, reactor)

    def close(self) -> Deferred[None]:
        """Close the connections to all hosts; fires when none is left. Running attempts end as delayed."""
        self._egress.call_off()
        return self._pool.close()

    async def attempt(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> list[Outcome]:
        """Try to send ``entry`` to ``recipients``, all of ``route``: returns an outcome for each and does not raise.

        The caller sets their ``next_attempt``."""
        attempt = _Attempt(entry, list(recipients), stored_octets(entry, self._read_content))
        try:
            await self._go(attempt, route)
        except CancelledError:
            # Even if it is cancelled: recipients that have the message already must not get it again.
            attempt.settle_all(DeliveryStatus(RecipientState.DELAYED, "4.3.0", "called off"))
        except MailError as error:
            attempt.settle_all(DeliveryStatus(RecipientState.DELAYED, "4.3.0", error.public))
        except Exception:
            # Recipients that have the message already must not get it again: their outcomes stand.
            log.failure(
                "{event} {queue_id} {route}", event="relay.attempt_broken", queue_id=entry.queue_id, route=route
            )
            attempt.settle_all(DeliveryStatus(RecipientState.DELAYED, "4.3.0", "internal error"))
        return attempt.outcomes

    async def _go(self, attempt: _Attempt, route: str) -> None:
        """From host to host until no recipient is open or no host is left."""
        try:
            targets = await self._routes.find(route)
        except Unroutable as reason:
            attempt.settle_all(DeliveryStatus(reason.state, reason.status, reason.text))
            return
        if attempt.octets.size <= PREFETCH:
            await attempt.octets.prefetch()
        tried = 0
        for target in _doubtful_last(targets, attempt.waiting):
            destination = self._routes.destination(route, target)
            # A host that was only asked for its extensions has not been tried.
            tried += await self._try(attempt, destination)
            if not attempt.waiting:
                return
            if tried >= self._settings.hosts_per_attempt:
                break
        if attempt.seven_bits:
            await self._try_in_seven_bits(attempt)
        attempt.settle_rest()

    async def _try_in_seven_bits(self, attempt: _Attempt) -> None:
        """Try the hosts that need 7 bits, after all others."""
        stored = attempt.octets
        await self._converter.take_place(stored)
        try:
            seven_bits = await self._converter.convert(attempt.entry, stored)
            attempt.begin_again(seven_bits)
            log.info(
                "{event} {queue_id}: {octets} octets in 7 bits",
                event="relay.converted",
                queue_id=attempt.entry.queue_id,
                octets=seven_bits.converted.size,
            )
            for destination in attempt.seven_bits:
                await self._try(attempt, destination)
                if not attempt.waiting:
                    return
        except NotConvertible as reason:
            attempt.note_unconvertible(str(reason))
        finally:
            attempt.transforms = ()
            self._converter.leave_place(stored)

    async def _try(self, attempt: _Attempt, destination: Destination) -> bool:
        """Try one address, in as many transactions as the number of recipients needs. False if the host cannot take the
        message, and was not asked to."""
        attempt.host = destination.target.host
        fresh = False
        unfit: dict[int, Unfit] = {}
        while waiting := [recipient for recipient in attempt.waiting if recipient.position not in unfit]:
            try:
                connection = await self._pool.acquire(destination, fresh)
            except HostUnavailable as unavailable:
                attempt.note_problem(destination, unavailable.problem)
                return True
            reused = connection.messages > 0
            batch = waiting[: self._settings.recipients_per_transaction]
            try:
                finished = await self._transact(attempt, connection, batch)
            finally:
                self._pool.release(connection)
            if finished is None:
                return True
            if finished.unfit:
                attempt.note_unfit(destination, finished.unfit)
                unfit |= finished.unfit
            attempt.settle({one: verdict for one, verdict in finished.verdicts.items() if one not in unfit})
            if finished.problem is None:
                continue
            attempt.note_problem(destination, finished.problem)
            if fresh or not reused:
                return True
            # The host may have closed a kept connection meanwhile: that is no verdict on the host.
            fresh = True
        return not unfit or any(why.tried for why in unfit.values())

    async def _transact(
        self, attempt: _Attempt, connection: RelayConnection, batch: Sequence[QueuedRecipient]
    ) -> Finished | None:
        """One transaction; None if the message cannot be sent at all and every recipient has its verdict."""
        octets, entry = attempt.octets, attempt.entry
        recipients = tuple((recipient.position, recipient.address) for recipient in batch)
        if attempt.transforms or self._egress:
            try:
                octets = await self._transform(attempt, connection, recipients)
            except NotForHost as refusal:
                return Finished(
                    {}, unfit=dict.fromkeys([one.position for one in batch], Unfit(refusal.verdict, tried=True))
                )
            except TransformFailed as failure:
                attempt.settle_all(DeliveryStatus(RecipientState.DELAYED, failure.enhanced_code, failure.public))
                return None
        attempt.reports_successes = "DSN" in connection.extensions
        await octets.prefetch()
        needs = await octets.needs_of(connection.extensions)
        envelope = MessageEnvelope(
            reverse_path=entry.reverse_path,
            recipients=recipients,
            size=octets.size,
            eight_bit=needs.eight_bit,
            utf8_header=needs.utf8_header,
            ret=entry.ret.value if entry.ret is not None else "",
            envid=entry.envid,
            dsn={one.position: (one.notify.parameter, one.orcpt) for one in batch if one.notify or one.orcpt},
        )
        try:
            return await connection.send_message(envelope, octets.content())
        except BareLineEnd as error:
            if octets is not attempt.octets and self._egress:
                text = f"{error}, after egress transforms"
                attempt.settle_all(DeliveryStatus(RecipientState.DELAYED, "4.3.0", text))
            else:
                attempt.settle_all(DeliveryStatus(RecipientState.FAILED, "5.6.0", str(error)))
            return None

    async def _transform(
        self, attempt: _Attempt, connection: RelayConnection, recipients: tuple[tuple[int, Address], ...]
    ) -> Octets:
        """The message after the transforms for this transaction. NotForHost, TransformFailed."""
        stored, entry = attempt.octets, attempt.entry
        envelope = MessageEnvelope(entry.reverse_path, recipients, stored.size, utf8_header=stored.declared.utf8_header)
        said = as_said(envelope, connection.extensions)
        transaction = EgressTransaction(entry, *said, connection.extensions, connection.target.host)
        connection.hold(self._egress.longest_s(attempt.transforms))
        try:
            source = await self._egress.apply(transaction, stored.source, attempt.transforms)
        finally:
            connection.hold()
        return stored if source is stored.source else changed_octets(source, stored)


def make_transport(context: TransportContext) -> Relay:
    """The transport ``smtp``."""
    return Relay(
        context.settings,
        context.host_name,
        context.resolver,
        context.read_content,
        context.reactor,
        address_filter=context.address_filter,
        in_thread=context.in_thread,
        signer=context.signer,
        egress=context.egress,
    )


def _doubtful_last(targets: Sequence[Target], recipients: Sequence[QueuedRecipient]) -> list[Target]:
    """The targets, with hosts that did not answer after the whole message the last time put last: if they never answer,
    the message would not get past them."""
    doubtful = {recipient.last_host for recipient in recipients if recipient.last_reply.startswith(NO_REPLY)}
    return sorted(targets, key=lambda target: target.host in doubtful) if doubtful else list(targets)
