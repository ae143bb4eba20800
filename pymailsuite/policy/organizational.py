"""The registered domain above a name, by the public suffix list that comes with the library ``publicsuffixlist``.

The list is read once, when it is first asked for (a tenth of a second).
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
