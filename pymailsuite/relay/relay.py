"""Sends one message on to where its recipients' domain takes mail, and says what became of each of them.

An attempt goes through the domain's addresses in order. A host that cannot be reached, greets with 4xx or 5xx, or goes
away before the message was sent gives no verdict: the recipients it said nothing of are tried at the next address
(RFC 5321 §5.1). Those nobody said anything of wait. What a host does say of a recipient is final for this attempt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.judge import AddressJudge
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IResolver, Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.relay.connection import Content, HostUnavailable, RelayConnection
from pymailsuite.relay.connector import Connector
from pymailsuite.relay.pool import ConnectionPool
from pymailsuite.relay.route import Destination, Routes, Unroutable
from pymailsuite.relay.session import Finished, HostProblem, MessageEnvelope
from pymailsuite.relay.verdict import Verdict
from pymailsuite.values import MAX_CHUNK, BodyType, ContentId
from pymailsuite.wire.dots import BareLineEnd

log = Logger()

_WORDS = {
    RecipientState.DELIVERED: "delivered",
    RecipientState.WAITING: "delayed",
    RecipientState.FAILED: "failed",
    RecipientState.EXPIRED: "expired",
}

_PREFETCH = 64 * 1024
"""A message of up to this size is read while it waits for its connection; a longer one when it has it."""

_NO_HOST = HostProblem("4.4.1", "no host to try")


@frozen
class _Needs:
    """What a host must be able to do for a message; found out only when asked for."""

    eight_bit: bool
    utf8_header: bool


@define
class _Attempt:
    """One message on its way to one domain."""

    entry: QueueEntry
    waiting: list[QueuedRecipient]
    read: Callable[[int, int], Deferred[bytes]]
    first: bytes
    needs: _Needs | None = None
    problem: HostProblem = _NO_HOST
    host: str = ""
    outcomes: list[Outcome] = field(factory=list)

    def settle(self, verdicts: dict[int, Verdict]) -> None:
        """Note the verdicts; the others still wait."""
        still = []
        for recipient in self.waiting:
            verdict = verdicts.get(recipient.position)
            if verdict is None:
                still.append(recipient)
            else:
                self.end(recipient, verdict)
        self.waiting = still

    def settle_all(self, verdict: Verdict) -> None:
        """The same for all that wait."""
        for recipient in self.waiting:
            self.end(recipient, verdict)
        self.waiting = []

    def end(self, recipient: QueuedRecipient, verdict: Verdict) -> None:
        """The last word on a recipient, for this attempt."""
        self.outcomes.append(Outcome(recipient.position, verdict.state, verdict.status, verdict.reply, self.host))
        reverse_path = self.entry.reverse_path
        log.info(
            "{event} {queue_id} from=<{sender}> to=<{recipient}> host={host} status={status} reply={reply}",
            event="relay." + _WORDS[verdict.state],
            queue_id=self.entry.queue_id,
            sender=str(reverse_path) if reverse_path is not None else "",
            recipient=str(recipient.address),
            host=self.host,
            status=verdict.status,
            reply=verdict.reply,
        )


class Relay:
    """The SMTP client side. ``host_name`` is our own name: said in EHLO, and known in MX lists. ``judge`` says no to
    addresses; None: one with the usual settings.

    ``read_content`` is :meth:`pymailsuite.interfaces.IMailStore.read_content`; ``reactor`` is IReactorTCP as well.
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
        judge: AddressJudge | None = None,
    ) -> None:
        self._settings = settings
        self._read_content = read_content
        # Only shares load among equal hosts.
        self._routes = Routes(settings, resolver, (host_name, *own_names), rng or random.Random(), judge)  # noqa: S311
        self._pool = ConnectionPool(settings, Connector(settings, host_name, reactor).connect, reactor)

    def close(self) -> Deferred[None]:
        """Take leave of all hosts; fires when no connection is left. Attempts under way end as delayed."""
        return self._pool.close()

    async def attempt(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> list[Outcome]:
        """Try to send ``entry`` to ``recipients``, all of ``route``: an outcome for each, whatever happens.

        Their ``next_attempt`` is for the caller to set."""
        attempt = _Attempt(
            entry, list(recipients), lambda start, stop: entry.read(self._read_content, start, stop), b""
        )
        try:
            await self._go(attempt, route)
        except CancelledError:
            raise
        except MailError as error:
            attempt.settle_all(Verdict(RecipientState.WAITING, "4.3.0", error.public))
        except Exception:
            # Those who have it already must not get it again: what is known of them stands.
            log.failure(
                "{event} {queue_id} {route}", event="relay.attempt_broken", queue_id=entry.queue_id, route=route
            )
            attempt.settle_all(Verdict(RecipientState.WAITING, "4.3.0", "internal error"))
        return attempt.outcomes

    async def _go(self, attempt: _Attempt, route: str) -> None:
        """From host to host until nobody waits or no host is left."""
        try:
            targets = await self._routes.find(route)
        except Unroutable as reason:
            attempt.settle_all(Verdict(reason.state, reason.status, reason.text))
            return
        size = attempt.entry.size
        if size <= _PREFETCH:
            attempt.first = await attempt.read(0, size)
        for target in targets[: self._settings.hosts_per_attempt]:
            attempt.host = target.host
            await self._try(attempt, self._routes.destination(route, target))
            if not attempt.waiting:
                return
        problem = attempt.problem
        attempt.settle_all(Verdict(RecipientState.WAITING, problem.status, problem.reply))

    async def _try(self, attempt: _Attempt, destination: Destination) -> None:
        """At one address: in as many transactions as the number of recipients needs."""
        fresh = False
        while attempt.waiting:
            try:
                connection = await self._pool.acquire(destination, fresh)
            except HostUnavailable as unavailable:
                attempt.problem = unavailable.problem
                return
            reused = connection.messages > 0
            try:
                finished = await self._transact(attempt, connection)
            finally:
                self._pool.release(connection)
            if finished is None:
                return
            attempt.settle(finished.verdicts)
            if finished.problem is None:
                continue
            attempt.problem = finished.problem
            if fresh or not reused:
                return
            # A kept connection may have been closed by the host meanwhile: that says nothing of the host.
            fresh = True

    async def _transact(self, attempt: _Attempt, connection: RelayConnection) -> Finished | None:
        """One transaction; None if the message cannot be sent by anybody and all has been said."""
        entry = attempt.entry
        if not attempt.first:
            attempt.first = await attempt.read(0, min(entry.size, MAX_CHUNK))
        needs = await self._needs(attempt, connection)
        batch = attempt.waiting[: self._settings.recipients_per_transaction]
        envelope = MessageEnvelope(
            reverse_path=entry.reverse_path,
            recipients=tuple((recipient.position, recipient.address) for recipient in batch),
            size=entry.size,
            eight_bit=needs.eight_bit,
            utf8_header=needs.utf8_header,
        )
        try:
            return await connection.send_message(envelope, Content(attempt.first, entry.size, attempt.read))
        except BareLineEnd as error:
            attempt.settle_all(Verdict(RecipientState.FAILED, "5.6.0", str(error)))
            return None

    async def _needs(self, attempt: _Attempt, connection: RelayConnection) -> _Needs:
        """What the message asks of this host. What the sender declared is enough for a host that can do it; for one
        that cannot, the octets are looked at: most messages declared 8-bit are not."""
        entry, offered = attempt.entry, connection.extensions
        eight_bit = entry.body == BodyType.EIGHTBITMIME.value
        utf8 = entry.smtputf8
        if (not eight_bit or "8BITMIME" in offered) and (not utf8 or "SMTPUTF8" in offered):
            return _Needs(eight_bit, utf8)
        if attempt.needs is None:
            header = attempt.first[: entry.header_size]
            attempt.needs = _Needs(
                eight_bit and not await _is_ascii(attempt),
                utf8 and not header.isascii(),
            )
        return attempt.needs


async def _is_ascii(attempt: _Attempt) -> bool:
    piece, position = attempt.first, 0
    while piece:
        if not piece.isascii():
            return False
        position += len(piece)
        if position >= attempt.entry.size:
            break
        piece = await attempt.read(position, min(position + MAX_CHUNK, attempt.entry.size))
    return True
