"""When mail that fails is let through all the same: it came over somebody who is trusted.

Source: RFC 7489 §6.7 and appendix C, RFC 8617 §7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from pymailsuite.message.authentication_results import AuthenticationResults, parse_authentication_results
from pymailsuite.message.headers import fields, unfold
from pymailsuite.policy.dmarc.evaluation import Override

_INSTANCES_MAX: Final = 50
"""Sets of one chain. Source: RFC 8617 §5.1.1."""


def is_below(domain: str, domains: Sequence[str]) -> bool:
    """Whether ``domain`` is one of these or below one of these."""
    return any(domain == known or domain.endswith("." + known) for known in domains)


@frozen
class _Seal:
    domain: str
    selector: str


def sealed_override(header: bytes, trusted: Sequence[str], author_domain: str) -> Override | None:
    """The word of a trusted sealer that the message passed where it was sealed, or None.

    Only for a message whose chain has been verified. From the last seal back, as long as those who sealed are trusted,
    each is asked what it saw; what came before the first stranger is worth nothing, since a stranger can write it. The
    last one must have covered From (a chain passes without that too), else anybody can write another author there.
    """
    seals: dict[int, _Seal] = {}
    seen: dict[int, AuthenticationResults] = {}
    covered: dict[int, list[str]] = {}
    for name, body in fields(header):
        lowered = name.lower()
        if lowered == b"arc-seal":
            tags = _tags(body)
            seals[_instance(tags.get("i", ""))] = _Seal(tags.get("d", "").lower().rstrip("."), tags.get("s", ""))
        elif lowered == b"arc-message-signature":
            tags = _tags(body)
            covered[_instance(tags.get("i", ""))] = tags.get("h", "").lower().split(":")
        elif lowered == b"arc-authentication-results":
            first, _, rest = body.partition(b";")
            results = parse_authentication_results(rest)
            if results is not None:
                seen[_instance(first.decode("latin-1").partition("=")[2].strip())] = results
    newest = max(seals, default=0)
    if "from" not in covered.get(newest, ()):
        return None
    for instance in range(newest, 0, -1):
        seal = seals.get(instance)
        if seal is None or not is_below(seal.domain, trusted):
            return None
        if instance in seen and _passed(seen[instance], author_domain):
            comment = f"arc=pass as[{instance}].d={seal.domain} as[{instance}].s={seal.selector}"
            return Override("local_policy", comment)
    return None


def _instance(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text[:4]) <= _INSTANCES_MAX else 0


def _tags(body: bytes) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in unfold(body).decode("utf-8", "replace").split(";"):
        name, _, value = tag.partition("=")
        tags.setdefault(name.strip(), "".join(value.split()))
    return tags


def _passed(seen: AuthenticationResults, author_domain: str) -> bool:
    for result in seen.results:
        if result.method == "dmarc" and result.result == "pass":
            said = dict(result.properties).get("header.from", author_domain)
            return said.lower().rstrip(".") == author_domain
    return False
