"""The policy ``dnsbl``: the client's address at CONNECT, names at MAIL, hosts of web addresses at MESSAGE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread

from pymailsuite.config.sections.lists import DnsblSettings
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.policy import (
    Action,
    IMessageTap,
    MailTransaction,
    MethodResult,
    PolicyContext,
    PolicyReply,
    Stage,
    Verdict,
)
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.lists.dns_lists import DnsLists, Listing
from pymailsuite.policy.lists.urls import MessageStart, hosts_in_message

_CLEARED: Final = "cleared"
"""Evidence that a list of good ones has the client: block lists do not count for it."""

InThread = Callable[..., Deferred[Any]]


class DnsListPolicy(Policy):
    """``in_thread`` runs the search of a message: ``deferToThread`` or what does as it does."""

    name = "dnsbl"

    def __init__(
        self, settings: DnsblSettings, resolver: IResolver, clock: IReactorTime, in_thread: InThread = deferToThread
    ) -> None:
        self._settings = settings
        self._in_thread = in_thread
        by_kind = {
            kind: DnsLists((one for one in settings.lists if one.kind == kind), resolver, clock, settings.budget)
            for kind in ("ip", "domain", "uri")
        }
        self._of_addresses, self._of_domains, self._of_uris = by_kind["ip"], by_kind["domain"], by_kind["uri"]
        asked = {Stage.CONNECT: self._of_addresses, Stage.MAIL: self._of_domains, Stage.MESSAGE: self._of_uris}
        self.silent_at = frozenset(stage for stage, lists in asked.items() if not lists)

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        if not self._of_addresses:
            return succeed(NO_OPINION)
        return self._of_addresses.about_address(transaction.peer.ip).addCallback(self._verdict, transaction)

    def mail(self, transaction: MailTransaction) -> Deferred[Verdict]:
        if not self._of_domains:
            return succeed(NO_OPINION)
        peer, sender = transaction.peer, transaction.reverse_path
        names = [peer.helo, peer.rdns, sender.domain if sender is not None else ""]
        asked = self._of_domains.about_names([name for name in names if name and not name.startswith("[")], peer.ip)
        return asked.addCallback(self._verdict, transaction)

    def tap(self, transaction: MailTransaction) -> IMessageTap | None:
        """The message's start, if any list is asked about what is in it."""
        return MessageStart(self._settings.message_size) if self._of_uris else None

    def message(self, transaction: MailTransaction) -> Deferred[Verdict]:
        tap: Any = transaction.message.taps.get(self.name) if transaction.message is not None else None
        if tap is None:
            return succeed(NO_OPINION)
        return Deferred.fromCoroutine(self._message(transaction, tap))

    async def _message(self, transaction: MailTransaction, tap: MessageStart) -> Verdict:
        hosts = await self._in_thread(hosts_in_message, tap.octets, self._settings.uri_hosts)
        return self._verdict(await self._of_uris.about_names(hosts, transaction.peer.ip), transaction)

    def _verdict(self, found: Sequence[Listing], transaction: MailTransaction) -> Verdict:
        """A list of good ones goes before those of bad ones, and stays so for the whole transaction."""
        if not found:
            return NO_OPINION
        results = tuple(_dnswl(one) for one in found if one.action in ("clear", "accept"))
        evidence: dict[str, object] = {
            "listed": [
                {"zone": one.zone, "name": one.name, "code": one.code, "action": one.action, "score": one.score}
                for one in found
            ]
        }
        reason = ", ".join(f"{one.name} is listed at {one.zone} ({one.code})" for one in found)
        if results or self._is_cleared(transaction):
            evidence[_CLEARED] = True
            action = Action.ACCEPT if any(one.action == "accept" for one in found) else Action.PASS
            return Verdict(action, reason, evidence=evidence, results=results)
        score = sum(one.score for one in found)
        refusing = next((one for one in found if one.action == "reject"), None)
        if refusing is not None:
            # RFC 5321 §3.1: a client is refused in the greeting by 554.
            code = 554 if transaction.stage is Stage.CONNECT and self._settings.at_once else 550
            reply = PolicyReply(code, "5.7.1", refusing.text)
            return Verdict(Action.REJECT, reason, score=score, reply=reply, evidence=evidence)
        return Verdict(Action.SCORE, reason, score=score, evidence=evidence)

    def _is_cleared(self, transaction: MailTransaction) -> bool:
        return any(
            applied.policy == self.name and applied.verdict.evidence.get(_CLEARED)
            for applied in transaction.applied_verdicts
        )


def _dnswl(listing: Listing) -> MethodResult:
    """Source: RFC 8904 §2."""
    return MethodResult("dnswl", "pass", properties=(("dns.zone", listing.zone), ("policy.ip", listing.code)))


def make_policy(context: PolicyContext) -> DnsListPolicy:
    """The policy as the chain wants it. ConfigError for ``codes`` that are none."""
    try:
        return DnsListPolicy(context.section, context.resolver, context.clock)
    except ValueError as error:
        raise ConfigError(f"dnsbl.lists: {error}") from None
