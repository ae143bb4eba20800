"""The explanation of a domain for hosts it does not permit: ``exp=``. Source: RFC 7208 §6.2.

Whatever is wrong with it, the result stays fail and our own text is used; so nothing here fails.
"""

from __future__ import annotations

from typing import Final

from pymailsuite.errors import DnsFailure
from pymailsuite.policy.short_keys import remember_short
from pymailsuite.policy.spf.client_names import ClientNames
from pymailsuite.policy.spf.look_ups import LimitExceeded, LookUps
from pymailsuite.policy.spf.macros import MacroError, MacroString, macro_values, parse_macro_string, target_name
from pymailsuite.policy.spf.values import Query

TEXT_MAX: Final = 2048
"""An explanation longer than this, in octets as published, is taken for none."""


@remember_short(1024, TEXT_MAX)
def read_explanation(octets: bytes) -> MacroString | None:
    """The explanation a TXT record holds; None if it is none: beyond ASCII, too long, or no ``explain-string``."""
    if len(octets) > TEXT_MAX or not octets.isascii():
        return None
    try:
        return parse_macro_string(octets.decode("ascii"), explanation=True)
    except MacroError:
        return None


async def explain(
    spec: MacroString, query: Query, domain: str, look_ups: LookUps, names: ClientNames, now: float
) -> str | None:
    """What ``exp=spec`` of ``domain`` says to this client at ``now`` (POSIX seconds); None if it says nothing."""
    letters = spec.letters
    try:
        best = await names.best(domain) if "p" in letters else "unknown"
        target = target_name(spec.expand(macro_values(query, domain, best)))
        records = await look_ups.records("txt", target, may_be_void=True)
        text = read_explanation(records[0]) if len(records) == 1 else None
        if text is None:
            return None
        best = await names.best(domain) if "p" in text.letters else "unknown"
    except (DnsFailure, LimitExceeded):
        return None
    expanded = text.expand(macro_values(query, domain, best, now))
    # The sender's own words may come in by %{l} and go beyond ASCII.
    return expanded if expanded.isascii() else None
