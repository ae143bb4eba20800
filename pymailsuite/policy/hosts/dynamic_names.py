"""The policy ``dynamic_names``: names in reverse DNS that look like those of private lines."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed

from pymailsuite.config.sections.hosts import DynamicNamesSettings
from pymailsuite.interfaces import IResolver
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy

_WORDS = re.compile(r"[a-z]+")
_NUMBERS = re.compile(r"[0-9]+")


def holds_address(name: str, ip: str) -> bool:
    """True if an IPv4 address is written out in the name: its octets in order or in reverse, or as hexadecimal."""
    try:
        octets = ipaddress.IPv4Address(ip).packed
    except ValueError:
        return False
    numbers = [int(number) for number in _NUMBERS.findall(name) if len(number) <= 3]
    forward = list(octets)
    for wanted in (forward, forward[::-1]):
        # The last three are enough: some leave the network's first number out.
        for part in (wanted, wanted[1:], wanted[:3]):
            if any(numbers[at : at + len(part)] == part for at in range(len(numbers) - len(part) + 1)):
                return True
    padded = "".join(f"{octet:03d}" for octet in octets)
    return octets.hex() in name or padded in name


class DynamicNamesPolicy(Policy):
    """Takes the names that ``iprev`` found; looks them up if that is off."""

    name = "dynamic_names"
    after = ("iprev",)

    def __init__(self, settings: DynamicNamesSettings, resolver: IResolver) -> None:
        self._settings = settings
        self._resolver = resolver
        self._words = frozenset(settings.words)
        self._static = frozenset(settings.static_words)
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in settings.patterns]

    def connect(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Only the name is looked at; what else speaks against the address is for lists to say."""
        ip = transaction.peer.ip
        if not ip:
            return succeed(NO_OPINION)
        known = transaction.verdicts.get("iprev")
        if known is not None and "names" in known.evidence:
            names = known.evidence["names"]
            if known.evidence.get("result") == "temperror":
                return succeed(NO_OPINION)
            return succeed(self._address_filter(ip, names if isinstance(names, list) else []))
        return self._resolver.ptr(ip).addCallback(lambda answer: self._address_filter(ip, answer.records))

    def _address_filter(self, ip: str, names: Sequence[str]) -> Verdict:
        if not names:
            return self._objection(ip, "", "no name") if self._settings.without_name else NO_OPINION
        for name in names:
            reason = self.looks_dynamic(name.lower(), ip)
            if not reason:
                return NO_OPINION
        return self._objection(ip, names[0], reason)

    def looks_dynamic(self, name: str, ip: str) -> str:
        """Why a name, in lower case, looks dynamic; empty if it does not."""
        for pattern in self._patterns:
            if pattern.search(name):
                return f"matches {pattern.pattern}"
        host = name.rpartition(".")[0].rpartition(".")[0] or name  # the registered part says nothing of the host
        words = set(_WORDS.findall(host))
        if words & self._static:
            return ""
        found = words & self._words
        if found:
            return f"has {min(found)} in it"
        return "has the address in it" if holds_address(host, ip) else ""

    def _objection(self, ip: str, name: str, reason: str) -> Verdict:
        shown = name or "an address without a name"
        text = f"{shown} looks like a dynamic line; send through your provider's mail server"
        return Verdict(
            Action.REJECT,
            f"{shown} {reason}",
            reply=PolicyReply(550, "5.7.1", text),
            evidence={"ip": ip, "name": name, "why": reason},
        )


def make_policy(context: PolicyContext) -> DynamicNamesPolicy:
    """For the plugin."""
    return DynamicNamesPolicy(context.section, context.resolver)
