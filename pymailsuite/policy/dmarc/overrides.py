"""Reasons to accept mail that fails: it came through a trusted forwarder, sealer or mailing list.

Source: RFC 7489 §6.7 and appendix C, RFC 8617 §7.2.
"""

from __future__ import annotations

from collections.abc import Collection

from pymailsuite.dns.names import comparable_domain, is_below
from pymailsuite.message.authentication_results import AuthenticationResults, parse_authentication_results
from pymailsuite.policy.arc.sets import ChainError, covered_names, read_sets
from pymailsuite.policy.dkim.header import view_of
from pymailsuite.policy.dkim.signature import SignatureError, signer_of
from pymailsuite.policy.dmarc.evaluation import Override


def sealed_override(header: bytes, trusted: Collection[str], author_domain: str) -> Override | None:
    """The statement of a trusted sealer that the message passed where it was sealed, or None.

    Only for a message whose chain has been verified. From the last seal back, as long as those who sealed are trusted
    (``trusted`` are domains in comparable form), each is asked what it saw; what came before the first stranger is
    worth nothing, since a stranger can write it. The last one must have covered From, else anybody can write another
    author there.
    """
    try:
        sets = read_sets(view_of(header))
        if not sets or b"from" not in covered_names(sets[-1].signature_tags):
            return None
        for each in reversed(sets):
            domain, selector = signer_of(each.seal_tags)
            if not is_below(domain, trusted):
                return None
            seen = parse_authentication_results(each.payload.encode("utf-8"))
            if seen is not None and _passed(seen, author_domain):
                comment = f"arc=pass as[{each.instance}].d={domain} as[{each.instance}].s={selector}"
                return Override("local_policy", comment)
    except (ChainError, SignatureError):
        return None
    return None


def _passed(seen: AuthenticationResults, author_domain: str) -> bool:
    """Whether DMARC has passed for this author. If there are several results, none may say otherwise: one of them may
    have been slipped in."""
    told = [
        result.result
        for result in seen.results
        if result.method == "dmarc"
        and comparable_domain(dict(result.properties).get("header.from", author_domain)) == author_domain
    ]
    return set(told) == {"pass"}
