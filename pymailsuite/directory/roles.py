"""Addresses that exist at every host and domain that accepts mail, whether they are set up or not.

Source: RFC 5321 §4.5.1 (postmaster), RFC 2142 §4 (abuse), RFC 3464 §2 (who answers a report reaches those in charge).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from pymailsuite.directory.names import canonical_domain
from pymailsuite.values import Address

REPORT_AUTHOR: Final = "MAILER-DAEMON"
"""The local part of the author of our reports, at the host's own name."""
POSTMASTER: Final = "postmaster"
ROLES: Final = frozenset((POSTMASTER, "abuse", REPORT_AUTHOR.lower()))
"""Local parts, in lower case, that stand for those in charge at each of our domains and at the host's own name."""


def is_role(address: Address) -> bool:
    """Whether an address, if it is one of ours, is that of a role."""
    return address.local_part.lower() in ROLES


def _key(address: Address) -> tuple[str, str]:
    return address.matched_local_part, canonical_domain(address.domain)


def _keys(authors: Iterable[str]) -> frozenset[tuple[str, str]]:
    split = [text.rpartition("@") for text in authors]
    return frozenset(_key(Address(local_part, domain)) for local_part, _, domain in split if local_part)


@frozen
class RoleAddresses:
    """Which addresses are roles at a host. ``host_name`` is its own name, which need not be a domain of accounts;
    ``authors`` are further addresses that its reports come from."""

    host_name: str = ""
    authors: frozenset[tuple[str, str]] = field(default=(), converter=_keys)

    def include(self, address: Address) -> bool:
        """Whether it is one, provided that its domain is ours."""
        return is_role(address) or (bool(self.authors) and _key(address) in self.authors)

    def is_at_host(self, address: Address) -> bool:
        """Whether it is one at the host's own name."""
        return bool(self.host_name) and address.domain.lower() == self.host_name and self.include(address)
