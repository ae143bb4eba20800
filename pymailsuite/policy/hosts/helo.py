"""The policy ``helo``: the form of the client's name. Source: RFC 5321 §4.1.1.1, §4.1.3, §4.1.4."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from twisted.internet.defer import Deferred, succeed

from pymailsuite.config.sections.hosts import HeloForm, HeloSettings
from pymailsuite.dns.names import comparable_domain
from pymailsuite.interfaces.policy import Action, MailTransaction, PolicyContext, PolicyReply, Verdict
from pymailsuite.policy.base import NO_OPINION, Policy

_TEXTS: dict[HeloForm, tuple[str, str]] = {
    "localhost": ("HELO localhost is not your name", "localhost is not your name"),
    "unqualified": ("HELO must be fully qualified", "domain name should be qualified"),
    "bare_address": ("HELO must be a host name, or an address in brackets", "an address should be in brackets"),
    "own_name": ("HELO with my own name", "that name is mine"),
}


def form_of(name: str, own_names: Collection[str] = ()) -> HeloForm | None:
    """The fault in the form of a HELO name; None for a qualified name or an address literal.

    ``own_names`` are ours, in lower case.
    """
    name = comparable_domain(name.rstrip("."))
    if name == "localhost" or name.endswith((".localhost", ".localdomain")):
        return "localhost"
    if name.startswith("["):
        return None if _is_literal(name) else "bare_address"
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return "bare_address"
    if "." not in name:
        return "unqualified"
    return "own_name" if name in own_names else None


def _is_literal(name: str) -> bool:
    if not name.endswith("]"):
        return False
    inner = name[1:-1]
    try:
        if inner.startswith("ipv6:"):
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ValueError:
        return False
    return True


class HeloPolicy(Policy):
    """Objects to the forms its settings name."""

    name = "helo"

    def __init__(self, settings: HeloSettings, own_names: Collection[str]) -> None:
        self._refused = frozenset(settings.refuse)
        self._own_names = frozenset(map(comparable_domain, own_names))

    def helo(self, transaction: MailTransaction) -> Deferred[Verdict]:
        """Only the form: whether the name exists is asked of others."""
        name = transaction.peer.helo
        form = form_of(name, self._own_names)
        if form is None or form not in self._refused:
            return succeed(NO_OPINION)
        text, hint = _TEXTS[form]
        return succeed(
            Verdict(
                Action.REJECT,
                f"HELO {name}: {form.replace('_', ' ')}",
                reply=PolicyReply(550, "5.7.1", text),
                evidence={"helo": name, "form": form},
                hint=hint,
            )
        )


def make_policy(context: PolicyContext) -> HeloPolicy:
    """For the plugin."""
    return HeloPolicy(context.section, (context.hostname, *context.settings.server.domains))
