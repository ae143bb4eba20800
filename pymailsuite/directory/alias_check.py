"""Finds faults of an alias or an account before it is made.

The directory takes anything, and the resolver makes the best of it: a target that leads nowhere is left out, an account
behind an alias gets no mail. The operator is told beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, field, frozen

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.names import domain_forms
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.routes import Route, Routes, key_of
from pymailsuite.directory.tables import LookupTables
from pymailsuite.errors import TemporaryFailure
from pymailsuite.interfaces import IDirectory
from pymailsuite.values import Address


@frozen
class AliasFault:
    """Why an alias or account is not as it should be; ``may_be_meant``: it can make sense all the same."""

    text: str
    may_be_meant: bool = True


@frozen
class AliasCheck:
    """Looks into ``directory`` and ``tables``; ``roles`` are addresses that exist anyhow."""

    settings: DirectorySettings
    directory: IDirectory
    roles: RoleAddresses = field(factory=RoleAddresses)
    tables: LookupTables | None = None

    async def alias_faults(self, address: Address, targets: Sequence[Address]) -> list[AliasFault]:
        """The faults of an alias ``address`` with these ``targets``; the worst first."""
        walk = _Walk(self, address, tuple(targets))
        faults = []
        if not await self._is_ours(address.domain):
            faults.append(AliasFault(f"{address.domain} is not a domain of ours: no mail for it comes here"))
        elif await self._account_behind(address, targets):
            faults.append(
                AliasFault(
                    f"{address} is an account, which would get no more mail: name it among the targets to keep a copy"
                )
            )
        await walk.follow(address, ())
        return sorted([*walk.faults, *faults], key=lambda fault: fault.may_be_meant)

    async def as_kept(self, address: Address) -> Address:
        """The address with its domain in the form in which the directory has it."""
        for form in domain_forms(address.domain):
            if await self.directory.domain(form) is not None:
                return evolve(address, domain=form)
        return address

    async def account_faults(self, address: Address) -> list[AliasFault]:
        """The faults of an account of this address."""
        for form in domain_forms(address.domain):
            row = await self.directory.route(Address(address.local_part, form))
            if row.targets and not any(key_of(target) == key_of(address) for target in row.targets):
                names = ", ".join(map(str, row.targets))
                return [AliasFault(f"{address} is an alias that leads to {names}: the account would get no mail")]
        return []

    async def _is_ours(self, domain: str) -> bool:
        return any([await self.directory.domain(form) is not None for form in domain_forms(domain)])

    async def _account_behind(self, address: Address, targets: Sequence[Address]) -> bool:
        if any(key_of(target) == key_of(address) for target in targets):
            return False
        rows = [await self.directory.route(Address(address.local_part, form)) for form in domain_forms(address.domain)]
        return any(row.account is not None for row in rows)


class _Walk:
    """Along aliases as they would be, with ``alias`` leading to ``targets``; what is found wrong on the way."""

    def __init__(self, check: AliasCheck, alias: Address, targets: tuple[Address, ...]) -> None:
        self.faults: list[AliasFault] = []
        self._check = check
        self._routes = Routes(check.settings, check.directory)
        self._alias = alias
        self._targets = targets
        self._seen = 0

    async def follow(self, address: Address, path: tuple[Address, ...]) -> None:
        """Look at ``address``, to which the addresses of ``path`` lead one after the other."""
        settings = self._check.settings
        self._seen += 1
        if len(path) > settings.max_alias_depth or self._seen > settings.max_alias_targets:
            self._add(AliasFault("aliases would lead too far, or to too many", may_be_meant=False))
            return
        here, account, targets = await self._route(address)
        if any(key_of(before) == key_of(here) for before in path):
            chain = " to ".join(map(str, (*path, here)))
            self._add(AliasFault(f"aliases would lead in a circle: {chain}", may_be_meant=False))
        elif targets:
            for target in targets:
                # An alias that names itself means "and keep a copy here".
                if not (account and key_of(target) == key_of(here)):
                    await self.follow(target, (*path, here))
        elif not account:
            await self._follow_unknown(address, (*path, here))

    async def _route(self, address: Address) -> tuple[Address, bool, tuple[Address, ...]]:
        """The address as the directory has it, whether it is an account, and where it would lead."""
        route = await self._routes.route(address)
        if self._is_alias(address, route):
            account = (await self._routes.route(self._alias)).row.account
            return self._alias, account is not None, self._targets
        account = route.row.account
        if account is not None and not account.enabled:
            self._add(AliasFault(f"the account {account.login_name} is disabled"))
        return route.address, account is not None, route.row.targets

    def _is_alias(self, address: Address, route: Route) -> bool:
        """Whether mail for the address would take the alias: its own, and with a detail that nobody has."""
        if key_of(address) == key_of(self._alias):
            return True
        user, _ = self._routes.without_detail(address.matched_local_part)
        exact = route.known and key_of(route.address) == key_of(address)
        return bool(user) and not exact and key_of(Address(user, address.domain)) == key_of(self._alias)

    async def _follow_unknown(self, address: Address, path: tuple[Address, ...]) -> None:
        """Neither alias nor account: elsewhere, in a table, a role, the catch-all's, or nobody's."""
        route = await self._routes.route(address)
        domain = route.row.domain
        if domain is None:
            return
        if self._check.tables is not None:
            user, _ = self._routes.without_detail(address.matched_local_part)
            try:
                is_role = self._check.roles.include(address)
                targets = await self._check.tables.targets(address, user, catch_all=not is_role)
            except TemporaryFailure as error:
                self._add(AliasFault(f"it cannot be told whether there is {address}: {error.cause}"))
                return
            for target in targets:
                await self.follow(target, path)
            if targets:
                return
        if self._check.roles.include(address):
            return
        if domain.catch_all is not None:
            await self.follow(domain.catch_all, path)
        else:
            self._add(AliasFault(f"there is no {address}"))

    def _add(self, fault: AliasFault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)
