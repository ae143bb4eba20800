"""The policy ``iprev``: reverse DNS of the client, confirmed by forward DNS. Source: RFC 8601 §3, RFC 7372 §3.3."""

from __future__ import annotations

import ipaddress
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.policy import Action, MailTransaction, MethodResult, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy
from pymailsuite.policy.coroutines import start_coroutine

_NAMES_TRIED: Final = 10
"""PTR records looked at: an address may have any number of them."""
_BUDGET_SHARE: Final = 0.9
_NO_NAME: Final = PolicyReply(550, "5.7.25", "Your address has no name in reverse DNS")
_UNCONFIRMED: Final = PolicyReply(550, "5.7.25", "Your address and its name in reverse DNS do not fit")


class IprevPolicy(Policy):
    """Look-ups take ``budget_s`` together at most."""

    name = "iprev"

    def __init__(self, resolver: IResolver, budget_s: float, clock: IReactorTime) -> None:
        self._resolver = resolver
        self._budget_s = budget_s
        self._clock = clock

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """pass, fail, temperror or permerror; evidence has the ``names`` that were found, confirmed or not."""
        try:
            address = ipaddress.ip_address(transaction.peer.ip)
        except ValueError:
            return succeed(NO_OPINION)
        looked_up = start_coroutine(self._look_up(address))
        if not looked_up.called:
            looked_up.addTimeout(self._budget_s, self._clock)
        return looked_up.addErrback(
            lambda failure: (
                failure.trap(DnsFailure, TimeoutError, CancelledError)
                and _verdict(str(address), "temperror", failure.getErrorMessage(), [])
            )
        )

    async def _look_up(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Verdict:
        ip = str(address)
        names = [str(name) for name in (await self._resolver.ptr(ip)).records[:_NAMES_TRIED]]
        if not names:
            return _verdict(ip, "permerror", "no PTR record", names, _NO_NAME)
        look_up = self._resolver.a if address.version == 4 else self._resolver.aaaa
        failed: DnsFailure | None = None
        for name in names:
            try:
                answer = await look_up(name)
            except DnsFailure as error:
                failed = error
                continue
            if any(ipaddress.ip_address(one) == address for one in answer.records):
                return _verdict(ip, "pass", "", [name, *(other for other in names if other != name)])
        if failed is not None:
            raise failed
        return _verdict(ip, "fail", f"{names[0]} has another address", names, _UNCONFIRMED)


def _verdict(ip: str, result: str, reason: str, names: list[str], objection: PolicyReply | None = None) -> Verdict:
    comment = names[0] if names else ""
    found = MethodResult("iprev", result, properties=(("policy.iprev", ip),), comment=comment)
    return Verdict(
        Action.PASS if objection is None else Action.REJECT,
        f"iprev={result} {reason or comment}",
        reply=objection,
        evidence={"result": result, "names": names},
        results=(found,),
    )


def make_policy(context: PolicyContext) -> IprevPolicy:
    """For the plugin."""
    return IprevPolicy(context.resolver, context.settings.policy.budget * _BUDGET_SHARE, context.clock)
