"""Looks addresses up in the directory, in whatever form they are written."""

from __future__ import annotations

import unicodedata

from attrs import frozen

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.names import canonical_domain, domain_forms
from pymailsuite.directory.roles import POSTMASTER
from pymailsuite.errors import NoSuchUser
from pymailsuite.interfaces import DirectoryRow, IDirectory
from pymailsuite.values import Address


def key_of(address: Address) -> tuple[str, str]:
    """The key that is equal for addresses of the same meaning, however they are written; a detail is not looked at."""
    return address.matched_local_part, canonical_domain(address.domain)


@frozen
class Route:
    """What the directory knows of an address, and the address without the detail that was cut off to find it."""

    row: DirectoryRow
    address: Address
    detail: str = ""

    @property
    def known(self) -> bool:
        """Whether it is an alias or an account."""
        return bool(self.row.targets or self.row.account)


@frozen
class Routes:
    """Reads them from ``directory``."""

    settings: DirectorySettings
    directory: IDirectory

    async def route(self, address: Address) -> Route:
        """What is known of the address as it stands, or else without its detail."""
        local_part = address.matched_local_part
        exact: Route | None = None
        for form in domain_forms(address.domain):
            whole = Address(local_part, form)
            route = Route(await self.directory.route(whole), whole)
            if route.row.domain is not None:
                exact = route
                break
        if exact is None:
            return Route(DirectoryRow(None), address)
        user, detail = self.without_detail(local_part)
        if exact.known or not user:
            return exact
        base = Address(user, exact.address.domain)
        # The detail keeps its case: it may be the name of a mailbox.
        written = unicodedata.normalize("NFC", address.local_part)[-len(detail) :] if detail else ""
        route = Route(await self.directory.route(base), base, written)
        return route if route.known else exact

    def without_detail(self, local_part: str) -> tuple[str, str]:
        """The user and the detail of ``user+detail``; the user is empty if it is of no such form."""
        separator = self.settings.detail_separator
        user, found, detail = local_part.partition(separator) if separator else ("", "", "")
        return (user, detail) if found else ("", "")

    async def with_domain(self, address: Address) -> Address:
        """A bare ``postmaster`` (RFC 5321 §4.1.1.3) or an address literal of ours belongs to the default domain.
        NoSuchUser if there is none."""
        bare = not address.domain and address.local_part.lower() == POSTMASTER
        if not (bare or self.is_own_literal(address.domain)):
            return address
        default = self.settings.default_domain
        if not default:
            domains = await self.directory.domains()
            if not domains:
                raise NoSuchUser(cause="no domain to take it for")
            default = domains[0].name
        return Address(address.local_part, default)

    def is_own_literal(self, domain: str) -> bool:
        """Whether it is an address literal of ours."""
        literal = domain.removeprefix("[").removesuffix("]").lower().removeprefix("ipv6:")
        return domain.startswith("[") and any(literal == ip.lower() for ip in self.settings.own_literals)
