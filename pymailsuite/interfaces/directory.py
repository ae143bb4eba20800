"""Domains, accounts and aliases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.quota import (
    NO_DOMAIN_QUOTA,
    NO_QUOTA,
    ChangeDomainQuota,
    ChangeQuota,
    DomainQuota,
    Quota,
)
from pymailsuite.values import AccountId, Address, LoginGrant

ChangeOverrides = Callable[[RecipientOverrides], RecipientOverrides]
"""What is wanted from what was wanted; without side effects, for it may be called twice."""


@frozen
class Account:
    """A person's (or team's) mail account. ``login_name`` is an address in lower case; ``overrides`` is what it wants
    otherwise of the checks; ``login_epoch`` is another when its password has been set or it has been disabled.

    With ``is_shared`` nobody logs in to it: its mailboxes are there for those to whom they are shared."""

    account_id: AccountId
    login_name: str
    full_name: str = ""
    enabled: bool = True
    created_at: float = 0.0
    overrides: RecipientOverrides = NO_OVERRIDES
    login_epoch: int = 0
    is_shared: bool = False
    quota: Quota = NO_QUOTA
    """The account's own."""
    has_quota: bool = False
    """Whether the account or its domain has a quota: without one only the general one counts."""

    @property
    def grant(self) -> LoginGrant:
        """The grant for a login to the account in this state."""
        return LoginGrant(self.account_id, self.login_epoch)


@frozen
class LoginEpochs:
    """Which grants are good: those with the ``current`` epoch of their account; one that is gone or disabled has none.

    ``latest`` is another whenever any account's has become another.
    """

    latest: int
    current: Mapping[AccountId, int]


@frozen
class Credentials:
    """The credentials for a checker: the account and its password hash in PHC string form ("" = no password login).

    ``scram_keys`` are those of the same password for SCRAM-SHA-256 (RFC 5803), "" where none were made.
    """

    account: Account
    password_hash: str = field(repr=False)
    scram_keys: str = field(default="", repr=False)


@frozen
class Domain:
    """A domain we are the final destination of. ``catch_all`` takes mail for unknown local parts; ``overrides`` is what
    it wants otherwise of the checks of mail to its addresses."""

    name: str
    catch_all: Address | None = None
    overrides: RecipientOverrides = NO_OVERRIDES
    quota: DomainQuota = NO_DOMAIN_QUOTA


@frozen
class Alias:
    """``address`` is delivered to each of ``targets``; a target may itself be an alias, local or remote."""

    address: Address
    targets: tuple[Address, ...]


@frozen
class DirectoryRow:
    """The answer of :meth:`IDirectory.route`.

    ``domain`` None: not ours. Then the exact address, as alias targets or account, if there is one; the catch-all is
    in ``domain`` and is not applied here.
    """

    domain: Domain | None
    account: Account | None = None
    targets: tuple[Address, ...] = ()


class IDirectory(Interface):
    """Domains, accounts and aliases, to be looked up. Names are matched in lower case."""

    def domains() -> Deferred[list[Domain]]:
        """All, by name."""

    def domain(name: str) -> Deferred[Domain | None]:
        """One, or None."""

    def accounts(domain: str | None) -> Deferred[list[Account]]:
        """Those of one domain, or all, by login name."""

    def first_account(domain: str | None) -> Deferred[Account | None]:
        """Of those that are enabled and are not shared the first of :meth:`accounts`, or None."""

    def account(login_name: str) -> Deferred[Account | None]:
        """One, or None."""

    def credentials(login_name: str) -> Deferred[Credentials | None]:
        """One account with its password hash, or None."""

    def renew_password_hash(account_id: AccountId, old: str, new: str) -> Deferred[bool]:
        """Another hash of the same password in place of ``old``; no login ends. False if ``old`` is there no longer, or
        if the directory is only read."""

    def keep_scram_keys(account_id: AccountId, password_hash: str, scram_keys: str) -> Deferred[bool]:
        """Keep keys for SCRAM (RFC 5803) of the password that ``password_hash`` is of. False, and nothing is kept, if
        the account has another by now, or if the directory is only read."""

    def login_epochs(account_ids: Sequence[AccountId]) -> Deferred[LoginEpochs]:
        """Of these accounts, at one moment."""

    def aliases(domain: str | None) -> Deferred[list[Alias]]:
        """Those of one domain, or all, by address."""

    def route(address: Address) -> Deferred[DirectoryRow]:
        """All the directory knows of one address, in one read; what recipient resolution is built on."""


class IDirectoryStore(IDirectory):
    """A directory that operators change."""

    def add_domain(name: str) -> Deferred[Domain]:
        """AlreadyExists if it is there."""

    def remove_domain(name: str) -> Deferred[None]:
        """NoSuchEntry; Refusal while accounts or aliases in it remain."""

    def set_catch_all(name: str, target: Address | None) -> Deferred[Domain]:
        """NoSuchEntry if the domain is not there."""

    def change_domain_overrides(name: str, change: ChangeOverrides) -> Deferred[Domain]:
        """Change what the domain wants otherwise of the checks; the domain as it is then. NoSuchEntry."""

    def change_domain_quota(name: str, change: ChangeDomainQuota) -> Deferred[Domain]:
        """Change the quota of a domain's accounts and their total; the domain as it is then. NoSuchEntry."""

    def add_account(login_name: str, password_hash: str, full_name: str, is_shared: bool = False) -> Deferred[Account]:
        """Create the account with INBOX and the special-use mailboxes Drafts, Sent, Junk, Trash, Archive, subscribed; a
        shared one with INBOX alone, and without a password.

        AlreadyExists; NoSuchEntry if its domain is not there.
        """

    def remove_account(login_name: str) -> Deferred[None]:
        """NoSuchAccount. The account's id is never used again; its mail becomes unreachable and is swept later."""

    def set_password_hash(account_id: AccountId, password_hash: str) -> Deferred[None]:
        """A new password, without keys for SCRAM: what was granted to logins with the old one ends. NoSuchAccount;
        Refusal for a shared account."""

    def set_enabled(account_id: AccountId, enabled: bool) -> Deferred[None]:
        """With False all that was granted to its logins ends. NoSuchAccount."""

    def change_account_overrides(login_name: str, change: ChangeOverrides) -> Deferred[Account]:
        """Change what the account wants otherwise of the checks; the account as it is then. NoSuchAccount."""

    def change_account_quota(login_name: str, change: ChangeQuota) -> Deferred[Account]:
        """Change the quota of an account; the account as it is then. NoSuchAccount."""

    def set_alias(address: Address, targets: Sequence[Address]) -> Deferred[Alias]:
        """Create or replace."""

    def remove_alias(address: Address) -> Deferred[None]:
        """NoSuchEntry."""
