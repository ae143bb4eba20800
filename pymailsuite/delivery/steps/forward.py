"""Gives outgoing mail its return path, its ARC seal and its mark against loops.

Mail that an alias forwards to another host would fail SPF there, as this server may not send in its sender's name: it
gets a return path at this server (SRS), a seal (ARC) with the results of the checks, and a mark by which it is
recognized if it comes back. Mail of local users gets a return path with a tag. Local copies have none of these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.delivery.incoming import TooManyHops
from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.dns.names import comparable_address, comparable_domain
from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.interfaces import IRecipientResolver, RemoteRecipient
from pymailsuite.interfaces.delivery import (
    NOTHING,
    Actions,
    DeliveryAction,
    DeliveryMessage,
    Discard,
    IReturnPaths,
    PlannedRecipient,
    Refuse,
    SendOn,
    StepContext,
)
from pymailsuite.interfaces.intake import GivenRecipients
from pymailsuite.interfaces.policy import Decision, IMessageTap
from pymailsuite.interfaces.signing import ISealer, ISealingMessage
from pymailsuite.policy.decision import is_listed
from pymailsuite.values import Address, Envelope, Peer

log = Logger()

FORWARDED_MARK: Final = "X-Forwarded-Mark"
"""The field with the addresses for which this server has forwarded a message, as digests to keep them private."""
_MARKS: Final = re.compile(rb"^x-forwarded-mark[ \t]*+:([^\n]*+\n?(?:[ \t][^\n]*+\n?)*+)", re.IGNORECASE | re.MULTILINE)


class SentOnBefore(TooManyHops):
    """An address that forwards the message has forwarded it already, and it has come back."""

    text = "Mail loop: it has been sent on from here before"


def forwarded_mark(address: Address) -> str:
    """The digest that stands for an address."""
    text = comparable_address(address.local_part, address.domain).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=9, person=b"forwarded").hexdigest()


def _leads_on(recipient: PlannedRecipient) -> bool:
    """Whether mail for the address is forwarded to another address at another host."""
    return any(transmission.address != recipient.given for transmission in recipient.transmissions)


class ForwardStep(DeliveryStep):
    """``sealer`` None: nothing is sealed."""

    name = "forward"

    def __init__(
        self,
        forwarding: ForwardingSettings,
        tags: BounceTagSettings,
        paths: IReturnPaths,
        recipients: IRecipientResolver,
        sealer: ISealer | None = None,
    ) -> None:
        self.forwarding = forwarding
        self.paths = paths
        self.recipients = recipients
        self._sealer = sealer
        self._tagged_domains = frozenset(map(comparable_domain, tags.domains))

    def tap(self, envelope: Envelope, recipients: GivenRecipients, peer: Peer) -> IMessageTap | None:
        """A seal covers the whole message; mail of local users is not sealed."""
        if self._sealer is None or peer.login:
            return None
        for given, resolved in recipients:
            for target in resolved or ():
                if isinstance(target, RemoteRecipient) and target.address != given and self.changes(given):
                    sealing: ISealingMessage = self._sealer.listen()
                    return sealing
        return None

    def changes(self, given: Address) -> bool:
        """Whether mail forwarded for the address leaves in the name of its domain."""
        return not is_listed(given, self.forwarding.unchanged_for)

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        for recipient in recipients:
            # Most mail is for local accounts, and this is on the hot path.
            if recipient.transmissions:
                return self._decide(message, recipients, decision)
        return NOTHING

    def _decide(
        self, message: DeliveryMessage, recipients: Sequence[PlannedRecipient], decision: Decision
    ) -> Actions | Deferred[Actions]:
        marks = {one.given: forwarded_mark(one.given) for one in recipients if _leads_on(one)}
        came_back = _sent_before(message.header, marks) if marks else frozenset()
        leaving = [one for one in recipients if one.transmissions and one.given not in came_back]
        tagged = self._is_tagged(message)
        ended = [_came_back(message, one, recipients, came_back) for one in recipients if one.given in came_back]
        if not (tagged or any(one.given in marks for one in leaving)):
            return ended
        return Deferred.fromCoroutine(_Leaving(self, message, decision, marks, tagged).decide(leaving)).addCallback(
            ended.__add__
        )

    def _is_tagged(self, message: DeliveryMessage) -> bool:
        """Whether it is local mail from a sender whose return paths are tagged."""
        peer, sender = message.peer, message.envelope.reverse_path
        if message.from_queue:
            return False
        # Mail without a client's address was made by the server itself: reports.
        own = bool(peer.login or peer.trusted or not peer.ip)
        return own and sender is not None and comparable_domain(sender.domain) in self._tagged_domains


def _sent_before(header: bytes, marks: Mapping[Address, str]) -> frozenset[Address]:
    """The addresses for which this server has forwarded the message before, according to its header."""
    seen = {mark for body in _MARKS.findall(header) for mark in body.decode("latin-1").split()}
    return frozenset([address for address, mark in marks.items() if mark in seen])


def _came_back(
    message: DeliveryMessage,
    recipient: PlannedRecipient,
    recipients: Sequence[PlannedRecipient],
    came_back: frozenset[Address],
) -> DeliveryAction:
    """Leave out an address that has had the message; refuse the message if no other recipient is left."""
    log.info(
        "{event} {queue_id} from={peer_ip} to=<{recipient}>",
        event="delivery.came_back",
        queue_id=message.queue_id,
        peer_ip=message.peer.ip,
        recipient=str(recipient.given),
    )
    if all(one.given in came_back for one in recipients):
        return Refuse(recipient, SentOnBefore())
    return Discard(recipient, "it has been sent on from here before, and has come back")


@frozen
class _Leaving:
    """One message on its way through; ``marks`` are of those addresses that lead on to others."""

    step: ForwardStep
    message: DeliveryMessage
    decision: Decision
    marks: Mapping[Address, str]
    tagged: bool

    async def decide(self, leaving: Sequence[PlannedRecipient]) -> list[DeliveryAction]:
        # In the name of each forwarding domain, and unchanged: recipients must not be affected by the rules of others
        # in the same message, or by where these have their mail sent.
        by_domain: dict[str, list[PlannedRecipient]] = {}
        for one in leaving:
            changed = one.given in self.marks and self.step.changes(one.given)
            by_domain.setdefault(one.given.domain.lower() if changed else "", []).append(one)
        actions: list[DeliveryAction] = []
        for domain, recipients in by_domain.items():
            try:
                actions += await self._send_on(domain, recipients)
            except CancelledError:
                return [Refuse(one, TemporaryFailure(cause="called off")) for one in leaving]
            except MailError as error:
                # With a foreign return path it would be refused permanently elsewhere.
                actions += [Refuse(one, error) for one in recipients]
        return actions

    async def _send_on(self, domain: str, recipients: Sequence[PlannedRecipient]) -> list[DeliveryAction]:
        """``domain`` is the domain in whose name it leaves, empty for unchanged mail."""
        reverse_path = await self._reverse_path(domain)
        marks = dict.fromkeys([self.marks[one.given] for one in recipients if one.given in self.marks])
        mark = f"{FORWARDED_MARK}: {' '.join(marks)}\r\n".encode() if marks else b""
        front = await self._seal(domain) + mark if domain else mark
        sender = self.message.envelope.reverse_path
        if not front and reverse_path == sender:
            return []
        why = f"in the name of {domain}" if domain else "tagged" if self.tagged else "as it came"
        return [
            SendOn(
                one,
                tuple(
                    [
                        # Mail to which an earlier step has given a return path keeps it.
                        evolve(
                            each,
                            prefix=front + each.prefix,
                            reverse_path=reverse_path if each.reverse_path == sender else each.reverse_path,
                        )
                        for each in one.transmissions
                    ]
                ),
                why,
            )
            for one in recipients
        ]

    async def _seal(self, domain: str) -> bytes:
        """The seal of a domain; none after an unexpected error, so that other recipients do not wait for it."""
        sealing: ISealingMessage | None = self.message.taps.get(self.step.name)  # type: ignore[assignment]
        if sealing is None:
            return b""
        try:
            seal: bytes = await sealing.seal(self.decision.prefix, domain)
            return seal
        except (CancelledError, MailError):
            raise
        except Exception:
            log.failure("{event} for {domain}", event="delivery.seal_failed", domain=domain)
            return b""

    async def _reverse_path(self, domain: str) -> Address | None:
        sender, step = self.message.envelope.reverse_path, self.step
        if sender is None:
            return None
        if self.tagged:
            return await step.paths.tagged(sender)
        if not (domain and step.forwarding.srs) or await step.recipients.is_local_domain(sender.domain):
            return sender
        return await step.paths.rewritten(sender, step.forwarding.srs_domain or domain)


def make_step(context: StepContext) -> ForwardStep:
    settings = context.settings
    return ForwardStep(
        settings.forwarding, settings.bounce_tags, context.return_paths, context.recipients, context.sealer
    )
