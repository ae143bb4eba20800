"""Mail that leaves with another return path than it came with, and sealed.

What an alias sends on to another host would fail SPF there, as we may not send in its sender's name: it gets a return
path of ours (SRS), a seal (ARC) that tells what we found, and a mark by which we know it if it comes back. What our own
users send gets a return path with a tag. Local copies have nothing of this.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.delivery.incoming import Resolved
from pymailsuite.directory.return_paths import ReturnPaths
from pymailsuite.dns.names import comparable_address, comparable_domain
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IRecipientResolver, RemoteRecipient
from pymailsuite.interfaces.onward import Departure, IOnwardMail, IOnwardMessage, ISealer, ISealingMessage, Way
from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.policy.deciding import is_listed
from pymailsuite.values import Address, Envelope, Peer

log = Logger()

MARK: Final = "X-Forwarded-Mark"
"""The field that tells for which addresses we have sent a message on, in digests: they may be nobody's business."""
_MARKS: Final = re.compile(rb"^x-forwarded-mark[ \t]*+:([^\n]*+\n?(?:[ \t][^\n]*+\n?)*+)", re.IGNORECASE | re.MULTILINE)


def mark_of(address: Address) -> str:
    """The digest that stands for an address."""
    text = comparable_address(address.local_part, address.domain).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=9, person=b"forwarded").hexdigest()


def forwarding_addresses(recipients: Resolved) -> tuple[Address, ...]:
    """Those of ``recipients`` that lead on to another address at another host."""
    return tuple(
        [
            given
            for given, resolved in recipients
            if any(isinstance(target, RemoteRecipient) and target.address != given for target in resolved)
        ]
    )


@implementer(IOnwardMail)
@frozen
class OnwardMail:
    """``sealer`` None: nothing is sealed."""

    forwarding: ForwardingSettings
    tags: BounceTagSettings
    paths: ReturnPaths
    recipients: IRecipientResolver
    sealer: ISealer | None = None

    def begin(self, envelope: Envelope, recipients: Resolved, peer: Peer) -> OnwardMessage | None:
        # Most mail is for accounts here, and this is on its way.
        leaving = [
            given for given, resolved in recipients if any(isinstance(target, RemoteRecipient) for target in resolved)
        ]
        if not leaving:
            return None
        forwarded = forwarding_addresses(recipients)
        # Mail without an address of a client is our own: reports.
        own = bool(peer.login or peer.trusted or not peer.ip)
        sender = envelope.reverse_path
        tagged = (
            own and sender is not None and comparable_domain(sender.domain) in map(comparable_domain, self.tags.domains)
        )
        if not (forwarded or tagged):
            return None
        changed = frozenset([each for each in forwarded if not is_listed(each, self.forwarding.unchanged_for)])
        sealing = self.sealer.listen() if self.sealer is not None and changed and not peer.login else None
        return OnwardMessage(self, sender, tuple(leaving), forwarded, changed, tagged, sealing)


@implementer(IOnwardMessage)
@frozen
class OnwardMessage:
    """``leaving`` are the recipients whose mail goes to other hosts, ``forwarded`` those of them that lead on to
    another address, and ``changed`` those of these whose mail leaves changed: in the name of their domain."""

    owner: OnwardMail
    sender: Address | None
    leaving: tuple[Address, ...]
    forwarded: tuple[Address, ...]
    changed: frozenset[Address]
    tagged: bool
    sealing: ISealingMessage | None
    marks: Mapping[Address, str] = field(init=False)
    taps: tuple[IMessageTap, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "marks", {address: mark_of(address) for address in self.forwarded})
        object.__setattr__(self, "taps", () if self.sealing is None else (self.sealing,))

    def sent_before(self, header: bytes) -> frozenset[Address]:
        if not self.marks:
            return frozenset()
        seen = {mark for body in _MARKS.findall(header) for mark in body.decode("latin-1").split()}
        return frozenset([address for address, mark in self.marks.items() if mark in seen])

    def depart(self, prefix: bytes) -> Deferred[Departure]:
        return Deferred.fromCoroutine(self._depart(prefix))

    async def _depart(self, prefix: bytes) -> Departure:
        # A way for each domain in whose name mail is sent on, and one for what leaves as it came.
        by_domain: dict[str, list[Address]] = {}
        for address in self.leaving:
            by_domain.setdefault(address.domain.lower() if address in self.changed else "", []).append(address)
        ways = [await self._way(domain, addresses, prefix) for domain, addresses in by_domain.items()]
        way_of = {address: way for way, addresses in enumerate(by_domain.values()) for address in addresses if way}
        return Departure(tuple(ways), way_of)

    async def _way(self, domain: str, addresses: Sequence[Address], prefix: bytes) -> Way:
        """How mail for these leaves; ``domain`` is in whose name, empty for that which is not changed."""
        reverse_path = await self._return_path(domain)
        seal = await self._seal(prefix, domain) if domain else b""
        marks = [self.marks[address] for address in addresses if address in self.marks]
        mark = f"{MARK}: {' '.join(marks)}\r\n".encode() if marks else b""
        return Way(reverse_path, seal + mark + prefix)

    async def _seal(self, prefix: bytes, domain: str) -> bytes:
        """The seal of a domain; without one if that fails unforeseen: no other recipient is to wait for it."""
        if self.sealing is None:
            return b""
        try:
            return await self.sealing.seal(prefix, domain)
        except (CancelledError, MailError):
            raise
        except Exception:
            log.failure("{event} for {domain}", event="delivery.seal_failed", domain=domain)
            return b""

    async def _return_path(self, domain: str) -> Address | None:
        sender, owner = self.sender, self.owner
        if sender is None:
            return None
        if self.tagged:
            return await owner.paths.tagged(sender)
        if not (domain and owner.forwarding.srs) or await owner.recipients.is_local_domain(sender.domain):
            return sender
        return await owner.paths.rewritten(sender, owner.forwarding.srs_domain or domain)
