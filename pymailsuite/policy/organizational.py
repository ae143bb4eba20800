"""The domain of an identity, and the registered one above it.

The list of public suffixes is the one that comes with the library ``publicsuffixlist``. It is read once, when first
asked for (a tenth of a second).
"""

from __future__ import annotations

from functools import cache

from publicsuffixlist import PublicSuffixList

from pymailsuite.dns.names import absolute_name, text_of
from pymailsuite.policy.short_keys import remember_short


@cache
def _suffixes() -> PublicSuffixList:
    # Names that people write in their script are A-labels here before they are looked up, as the rules are.
    return PublicSuffixList(accept_encoded_idn=True)


@remember_short(1024, 512)
def domain_of(value: str) -> str:
    """The domain of an identity as results name it (``user@domain`` or a domain), in A-labels; empty if none."""
    name = absolute_name(value.rpartition("@")[2])
    return "" if name is None else text_of(name)


@remember_short(4096, 255)
def registered_domain(name: str) -> str:
    """The domain that was registered for ``name`` to exist: one label more than its public suffix, in A-labels.

    A name that is a public suffix itself, or of one label, is its own. ``""`` for what can be no domain name.
    """
    absolute = absolute_name(name)
    if absolute is None:
        return ""
    text = text_of(absolute)
    return _suffixes().privatesuffix(text) or text


def is_public_suffix(name: str) -> bool:
    """Whether others register below this name."""
    absolute = absolute_name(name)
    return absolute is not None and _suffixes().privatesuffix(text_of(absolute)) is None
