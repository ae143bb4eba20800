"""Recipient resolution: from the address that RCPT names to the accounts and hosts its mail goes to.

An address of ours is, in this order: an alias, an account, an alias or account once its detail is cut off
(``user+detail``), in a lookup table, a role such as ``postmaster``, or caught by a table's ``@domain`` or the domain's
catch-all. What the store knows comes before the tables, so that its users get their mail while a table is away; the
catch-all comes behind them, as it would leave them nothing. The targets of an alias or a table are resolved likewise.
A role is never refused: if its alias leads to nobody, its mail goes to the administrators. Positive answers are
remembered for a few seconds, so that a busy receiver asks the store once and otherwise gets a Deferred that has fired
already; the transaction that delivers looks at the account again, so an answer that is a little old can do no harm.
"""

from __future__ import annotations

from typing import Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.names import domain_forms
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.routes import Route, Routes, key_of
from pymailsuite.directory.tables import LookupTables
from pymailsuite.errors import NoSuchUser
from pymailsuite.interfaces import (
    Account,
    DirectoryRow,
    Domain,
    IDirectory,
    IRecipientResolver,
    LocalRecipient,
    RemoteRecipient,
)
from pymailsuite.interfaces.intake import Recipients
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.memory import ExpiringMemory
from pymailsuite.values import INBOX, AccountId, Address

_NO_ROLES_AT_HOST: Final = RoleAddresses()


class AliasLoop(NoSuchUser):
    """Aliases lead in a circle, or too far. Source: RFC 3463 §3.5 (X.4.6)."""

    enhanced_code = "5.4.6"
    text = "Routing loop detected in aliases"


@define
class _Expansion:
    """One recipient being resolved: what was found so far, and why branches of it came to nothing.

    ``route`` is that of the recipient itself, ``accounts`` are those found."""

    found: dict[object, LocalRecipient | RemoteRecipient] = field(factory=dict)
    accounts: dict[AccountId, Account] = field(factory=dict)
    route: Route | None = None
    addresses: int = 0
    failure: NoSuchUser | None = None

    def add(self, recipient: LocalRecipient | RemoteRecipient) -> None:
        key = recipient
        if isinstance(recipient, LocalRecipient):
            self.found.setdefault((recipient.account_id, recipient.mailbox), key)
        else:
            self.found.setdefault(recipient.address, key)

    def overrides(self) -> RecipientOverrides:
        """The rules for checks: of the domain of the address, and before that by the account whose own the address is,
        or which alone gets its mail."""
        row = DirectoryRow(None) if self.route is None else self.route.row
        wanted = NO_OVERRIDES if row.domain is None else row.domain.overrides
        account = row.account
        if account is None and len(self.found) == len(self.accounts) == 1:
            (account,) = self.accounts.values()
        if account is None or account.overrides is NO_OVERRIDES:
            return wanted
        return account.overrides.over(wanted)

    def recipients(self) -> Recipients:
        """The recipients found, with their rules for checks."""
        overrides = self.overrides()
        found = self.found.values()
        if overrides is NO_OVERRIDES:
            return tuple(found)
        return tuple([evolve(recipient, overrides=overrides) for recipient in found])


@implementer(IRecipientResolver)
class RecipientResolver:
    """Resolves addresses by what the directory says; remembers positive answers by ``clock`` for a short time.

    ``roles`` are the addresses that go to the administrators if they have no account or alias; ``tables`` are asked for
    addresses of ours that the directory does not know."""

    _log = Logger()

    def __init__(
        self,
        settings: DirectorySettings,
        directory: IDirectory,
        clock: IReactorTime,
        roles: RoleAddresses = _NO_ROLES_AT_HOST,
        tables: LookupTables | None = None,
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._tables = tables
        self._directory = directory
        self._routes = Routes(settings, directory)
        self._answers: ExpiringMemory[Address, Recipients] = ExpiringMemory(clock, settings.cache_entries)
        self._domains: ExpiringMemory[str, bool] = ExpiringMemory(clock, settings.cache_entries)

    def resolve(self, address: Address) -> Deferred[Recipients]:
        """All final recipients, each once; fired already if the answer is remembered.

        NoSuchUser for an unknown or disabled user of ours, :class:`AliasLoop` (5.4.6) if aliases never end,
        TemporaryFailure if a lookup table could not be asked. A target of an alias that leads nowhere is left out and
        logged, unless all do.
        """
        # An address that goes on as it was written must not go on as another message had it.
        remembered = None if address.unquoted else self._answers.get(address)
        if remembered is not None:
            return succeed(remembered)
        return Deferred.fromCoroutine(self._resolve(address))

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        """True if we are the final destination of the domain, or it is an address literal of ours."""
        if domain.startswith("["):
            return succeed(self._routes.is_own_literal(domain))
        if self._domains.get(domain):
            return succeed(True)
        return Deferred.fromCoroutine(self._find_domain(domain))

    async def _find_domain(self, domain: str) -> bool:
        for form in domain_forms(domain):
            if await self._directory.domain(form) is not None:
                self._domains.put(domain, True, self._settings.cache_life)
                return True
        return False

    async def _resolve(self, address: Address) -> Recipients:
        expansion = _Expansion()
        address = await self._routes.with_domain(address)
        await self._expand(address, (), expansion)
        if not expansion.found and self._roles.include(address):
            # What was set up for it leads nowhere.
            row = None if expansion.route is None else expansion.route.row
            await self._expand_role(address, None if row is None else row.domain, (), expansion)
        if not expansion.found:
            raise expansion.failure or NoSuchUser()
        if expansion.failure is not None:
            self._log.warn(
                "{event} {address}: {reason}",
                event="directory.alias_target_unknown",
                address=str(address),
                reason=str(expansion.failure),
            )
        recipients = expansion.recipients()
        if not address.unquoted:
            self._answers.put(address, recipients, self._settings.cache_life)
        return recipients

    async def _expand(self, address: Address, path: tuple[tuple[str, str], ...], expansion: _Expansion) -> None:
        """Add to ``expansion`` what ``address`` leads to; ``path`` are the addresses that led here."""
        expansion.addresses += 1
        if expansion.addresses > self._settings.max_alias_targets or len(path) > self._settings.max_alias_depth:
            expansion.failure = AliasLoop("Aliases lead too far")
            return
        route = await self._routes.route(address)
        expansion.route = expansion.route or route
        row = route.row
        if row.domain is None:
            if self._roles.is_at_host(address):
                await self._expand_role(address, None, (*path, key_of(address)), expansion)
            else:
                expansion.add(RemoteRecipient(address))
            return
        here = key_of(route.address)
        if here in path:
            expansion.failure = AliasLoop()
            return
        if row.targets:
            for target in row.targets:
                # An alias that names itself means "and keep a copy here".
                if key_of(target) == here and row.account is not None:
                    self._deliver(row.account, route, address, expansion)
                else:
                    await self._expand(target, (*path, here), expansion)
        elif row.account is not None:
            self._deliver(row.account, route, address, expansion)
        else:
            await self._expand_unknown(address, row.domain, (*path, here), expansion)

    async def _expand_unknown(
        self, address: Address, domain: Domain, path: tuple[tuple[str, str], ...], expansion: _Expansion
    ) -> None:
        """An address of ours that is neither alias nor account: in a table, a role, the catch-all, or nobody."""
        if self._tables is not None:
            user, _ = self._routes.without_detail(address.matched_local_part)
            targets = await self._tables.targets(address, user, catch_all=not self._roles.include(address))
            for target in targets:
                await self._expand(target, path, expansion)
            if targets:
                return
        if self._roles.include(address):
            await self._expand_role(address, domain, path, expansion)
        elif domain.catch_all is not None:
            await self._expand(domain.catch_all, path, expansion)
        else:
            expansion.failure = NoSuchUser()

    async def _expand_role(
        self, address: Address, domain: Domain | None, path: tuple[tuple[str, str], ...], expansion: _Expansion
    ) -> None:
        """The administrators of ``domain``, or of the host if that is None: the first setting that leads to anybody.
        Source: RFC 5321 §4.5.1."""
        settings = self._settings
        for targets in ((settings.postmaster,) if settings.postmaster else (), settings.administrators):
            for target in targets:
                if key_of(_address(target)) not in path:
                    await self._expand(_address(target), path, expansion)
            if expansion.found:
                return
        if domain is not None and domain.catch_all is not None:
            await self._expand(domain.catch_all, path, expansion)
            if expansion.found:
                return
        account = await self._first_account(domain)
        if account is None:
            expansion.failure = expansion.failure or NoSuchUser(cause="there are no accounts")
        else:
            expansion.accounts[account.account_id] = account
            expansion.add(_recipient(account, address))

    async def _first_account(self, domain: Domain | None) -> Account | None:
        """The first account that may be used, of the domain, of the default domain, or of any."""
        for name in (None if domain is None else domain.name, self._settings.default_domain or None):
            if name is not None:
                account: Account | None = await self._directory.first_account(name)
                if account is not None:
                    return account
        return await self._directory.first_account(None)

    def _deliver(self, account: Account, route: Route, address: Address, expansion: _Expansion) -> None:
        if not account.enabled:
            expansion.failure = NoSuchUser(cause=f"account {account.login_name} is disabled")
            return
        expansion.accounts[account.account_id] = account
        mailbox = route.detail if route.detail and self._settings.detail_names_mailbox else INBOX
        expansion.add(_recipient(account, address, mailbox))


def _recipient(account: Account, address: Address, mailbox: str = INBOX) -> LocalRecipient:
    return LocalRecipient(
        account.account_id, address, mailbox, login_name=account.login_name, has_quota=account.has_quota
    )


def _address(text: str) -> Address:
    local_part, _, domain = text.rpartition("@")
    return Address(local_part, domain.lower())
