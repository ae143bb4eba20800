"""Chains for tests: sealed by as many hops as wanted."""

from __future__ import annotations

from typing import Any

from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.dns.fake import FakeResolver
from pymailsuite.policy.arc import ArcResult, seal_message, verify_arc
from pymailsuite.policy.arc.seal import SEALING_RULES
from pymailsuite.policy.dkim.sign import SigningRules
from tests.policy.dkim.support import MESSAGE, NOW, resolver, run, signing_key


def sealed(
    message: bytes = MESSAGE,
    hops: int = 1,
    *,
    results: str = "spf=pass smtp.mailfrom=example.org",
    rules: SigningRules = SEALING_RULES,
    asked: FakeResolver | None = None,
) -> bytes:
    """The message, sealed so many times, each hop by another domain's name for the same key."""
    for hop in range(1, hops + 1):
        key = signing_key(domain=f"hop{hop}.example.org")
        fields = run(
            seal_message(
                message, key, f"hop{hop}.example.org", asked or keys(), NOW + hop, results=results, rules=rules
            )
        )
        message = fields + message
    return message


def keys(hops: int = 60) -> FakeResolver:
    return resolver(*(signing_key(domain=f"hop{hop}.example.org") for hop in range(1, hops + 1)))


def chain_of(message: bytes, asked: FakeResolver | None = None, **settings: Any) -> ArcResult:
    return run(verify_arc(message, asked or keys(), NOW, ArcSettings(**settings)))
