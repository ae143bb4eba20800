"""Gives mail that leaves the return path, the seal and the mark with which it is to leave.

What an alias sends on to another host would fail SPF there, as we may not send in its sender's name: it gets a return
path of ours (SRS), a seal (ARC) that tells what we found, and a mark by which we know it if it comes back. What our own
users send gets a return path with a tag. Local copies have nothing of this.
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
"""The field that tells for which addresses we have sent a message on, in digests: they may be nobody's business."""
_MARKS: Final = re.compile(rb"^x-forwarded-mark[ \t]*+:([^\n]*+\n?(?:[ \t][^\n]*+\n?)*+)", re.IGNORECASE | re.MULTILINE)


class SentOnBefore(TooManyHops):
    """An address that sends the message on has sent it on already, and it has come back."""

    text = "Mail loop: it has been sent on from here before"


def forwarded_mark(address: Address) -> str:
    """The digest that stands for an address."""
    text = comparable_address(address.local_part, address.domain).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=9, person=b"forwarded").hexdigest()


def _leads_on(recipient: PlannedRecipient) -> bool:
    """Whether mail for the address goes on to another address at another host."""
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
        """A seal needs to hear the whole message; what our users send is not sealed."""
        if self._sealer is None or peer.login:
            return None
        for given, resolved in recipients:
            for target in resolved or ():
                if isinstance(target, RemoteRecipient) and target.address != given and self.changes(given):
                    sealing: ISealingMessage = self._sealer.listen()
                    return sealing
        return None

    def changes(self, given: Address) -> bool:
        """Whether what is sent on for the address leaves in the name of its domain."""
        return not is_listed(given, self.forwarding.unchanged_for)

    def decide(
        self, message: DeliveryMessage, recipients: tuple[PlannedRecipient, ...], decision: Decision
    ) -> Actions | Deferred[Actions]:
        for recipient in recipients:
            # Most mail is for accounts here, and this is on its way.
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
        """Whether it is mail of ours from a sender whose return paths are tagged."""
        peer, sender = message.peer, message.envelope.reverse_path
        if message.from_queue:
            return False
        # What has no address of a client we have made ourselves: reports.
        own = bool(peer.login or peer.trusted or not peer.ip)
        return own and sender is not None and comparable_domain(sender.domain) in self._tagged_domains


def _sent_before(header: bytes, marks: Mapping[Address, str]) -> frozenset[Address]:
    """The addresses for which we have sent this message on before, as its header says."""
    seen = {mark for body in _MARKS.findall(header) for mark in body.decode("latin-1").split()}
    return frozenset([address for address, mark in marks.items() if mark in seen])


def _came_back(
    message: DeliveryMessage,
    recipient: PlannedRecipient,
    recipients: Sequence[PlannedRecipient],
    came_back: frozenset[Address],
) -> DeliveryAction:
    """An address that has had the message is left out; the message is refused if nobody else is to have it."""
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
        # In the name of each domain that sends it on, and as it came: recipients are not to feel what others in the
        # same message want, or where those have their mail sent.
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
                # With a return path that is not ours it would be refused elsewhere, for good.
                actions += [Refuse(one, error) for one in recipients]
        return actions

    async def _send_on(self, domain: str, recipients: Sequence[PlannedRecipient]) -> list[DeliveryAction]:
        """``domain`` is in whose name it leaves, empty for what is not changed."""
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
                        # What a step before has given a path of its own keeps that.
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
        """The seal of a domain; without one if that fails unforeseen: no other recipient is to wait for it."""
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
