"""Domains, accounts and aliases. Names are kept and matched in lower case.

The rules of a domain or an account for checks are in its own row, which is read for every recipient.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.errors import AlreadyExists, NoSuchAccount, NoSuchEntry, Refusal
from pymailsuite.interfaces.directory import (
    Account,
    Alias,
    ChangeOverrides,
    Credentials,
    DirectoryRow,
    Domain,
    IDirectoryStore,
    LoginEpochs,
)
from pymailsuite.interfaces.overrides import NO_OVERRIDES, RecipientOverrides
from pymailsuite.interfaces.quota import ChangeDomainQuota, ChangeQuota
from pymailsuite.store.acl import forget_account_txn
from pymailsuite.store.database import Database
from pymailsuite.store.login_epochs import login_epochs_txn, next_epoch_txn
from pymailsuite.store.mailboxes import advance_txn, create_levels_txn, subscribe_txn
from pymailsuite.store.quota import (
    count_domain_txn,
    domain_quota_in,
    quota_in,
    text_of,
    uncount_account_txn,
)
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import INBOX, AccountId, Address, SpecialUse

_ACCOUNT_COLUMNS = (
    "account_id, login_name, full_name, enabled, created_at, overrides, login_epoch, shared, quota,"
    " (SELECT d.quota FROM domains d WHERE d.name = accounts.domain)"
)
_ACCOUNT = f"SELECT {_ACCOUNT_COLUMNS} FROM accounts"
_DOMAIN = "SELECT name, catch_all_local, catch_all_domain, overrides, quota FROM domains"
_FIRST_MAILBOXES: tuple[tuple[str, SpecialUse | None], ...] = (
    (INBOX, None),
    ("Drafts", SpecialUse.DRAFTS),
    ("Sent", SpecialUse.SENT),
    ("Junk", SpecialUse.JUNK),
    ("Trash", SpecialUse.TRASH),
    ("Archive", SpecialUse.ARCHIVE),
)


def _account(row: Row) -> Account:
    account_id, login_name, full_name, enabled, created_at, overrides, login_epoch, shared, quota, domain_quota = row
    wanted = _overrides_in(overrides)
    return Account(
        AccountId(account_id),
        login_name,
        full_name,
        bool(enabled),
        created_at,
        wanted,
        login_epoch,
        bool(shared),
        quota_in(quota),
        bool(quota or domain_quota),
    )


def _domain(row: Row) -> Domain:
    name, local_part, domain, overrides, quota = row
    catch_all = None if local_part is None else Address(local_part, domain)
    return Domain(name, catch_all, _overrides_in(overrides), domain_quota_in(quota))


def _overrides_in(text: str) -> RecipientOverrides:
    return RecipientOverrides.model_validate_json(text) if text else NO_OVERRIDES


def _text_of(overrides: RecipientOverrides) -> str:
    return "" if overrides == NO_OVERRIDES else overrides.model_dump_json(exclude_defaults=True)


def _key(address: Address) -> tuple[str, str]:
    return address.domain.lower(), address.matched_local_part


def _domain_txn(txn: Transaction, name: str) -> Domain | None:
    row = txn.row(f"{_DOMAIN} WHERE name = ?", (name.lower(),))
    return None if row is None else _domain(row)


def _known_domain_txn(txn: Transaction, name: str) -> Domain:
    domain = _domain_txn(txn, name)
    if domain is None:
        raise NoSuchEntry(f"No such domain: {name.lower()}")
    return domain


def _lock_domain_txn(txn: Transaction, name: str) -> bool:
    """Whether the domain exists; if so, it is locked until the commit."""
    return txn.row(f"SELECT 1 FROM domains WHERE name = ?{txn.for_update}", (name,)) is not None


def _account_txn(txn: Transaction, login_name: str) -> Account | None:
    row = txn.row(f"{_ACCOUNT} WHERE login_name = ?", (login_name.lower(),))
    return None if row is None else _account(row)


def _targets_txn(txn: Transaction, address: Address) -> tuple[Address, ...]:
    rows = txn.rows(
        "SELECT target_local, target_domain FROM aliases WHERE domain = ? AND local_part = ? ORDER BY position",
        _key(address),
    )
    return tuple(Address(local_part, domain) for local_part, domain in rows)


@implementer(IDirectoryStore)
class DirectoryStore:
    """Domains, accounts and aliases in the store's own tables."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock

    # --- domains

    def add_domain(self, name: str) -> Deferred[Domain]:
        def add_txn(txn: Transaction) -> Domain:
            if not txn.execute("INSERT INTO domains (name) VALUES (?) ON CONFLICT DO NOTHING", (name.lower(),)):
                raise AlreadyExists(cause=f"domain {name}")
            return Domain(name.lower())

        return self._database.run("add domain", add_txn)

    def remove_domain(self, name: str) -> Deferred[None]:
        def remove_txn(txn: Transaction) -> None:
            key = name.lower()
            _lock_domain_txn(txn, key)
            for table, what in (("accounts", "accounts"), ("aliases", "aliases")):
                if txn.row(f"SELECT 1 FROM {table} WHERE domain = ? LIMIT 1", (key,)) is not None:
                    raise Refusal(f"Domain still has {what}")
            count_domain_txn(txn, key, wanted=False)
            if not txn.execute("DELETE FROM domains WHERE name = ?", (key,)):
                raise NoSuchEntry(cause=f"domain {key}")

        return self._database.run("remove domain", remove_txn)

    def set_catch_all(self, name: str, target: Address | None) -> Deferred[Domain]:
        def set_txn(txn: Transaction) -> Domain:
            parts = (None, None) if target is None else (target.local_part, target.domain)
            txn.execute(
                "UPDATE domains SET catch_all_local = ?, catch_all_domain = ? WHERE name = ?", (*parts, name.lower())
            )
            return _known_domain_txn(txn, name)

        return self._database.run("set catch-all", set_txn)

    def change_domain_overrides(self, name: str, change: ChangeOverrides) -> Deferred[Domain]:
        def change_txn(txn: Transaction) -> Domain:
            _lock_domain_txn(txn, name.lower())
            wanted = change(_known_domain_txn(txn, name).overrides)
            txn.execute("UPDATE domains SET overrides = ? WHERE name = ?", (_text_of(wanted), name.lower()))
            return _known_domain_txn(txn, name)

        return self._database.run("change overrides of domain", change_txn)

    def change_domain_quota(self, name: str, change: ChangeDomainQuota) -> Deferred[Domain]:
        key = name.lower()

        def change_txn(txn: Transaction) -> Domain:
            _lock_domain_txn(txn, key)
            wanted = change(_known_domain_txn(txn, key).quota)
            txn.execute("UPDATE domains SET quota = ? WHERE name = ?", (text_of(wanted), key))
            count_domain_txn(txn, key, wanted=wanted.has_total)
            return _known_domain_txn(txn, key)

        return self._database.run("change quota of domain", change_txn)

    def domains(self) -> Deferred[list[Domain]]:
        def domains_txn(txn: Transaction) -> list[Domain]:
            return [_domain(row) for row in txn.rows(f"{_DOMAIN} ORDER BY name")]

        return self._database.read("domains", domains_txn)

    def domain(self, name: str) -> Deferred[Domain | None]:
        return self._database.read("domain", lambda txn: _domain_txn(txn, name))

    # --- accounts

    def add_account(
        self, login_name: str, password_hash: str, full_name: str, is_shared: bool = False
    ) -> Deferred[Account]:
        now = self._clock.seconds()
        login_name = login_name.lower()
        password_hash = "" if is_shared else password_hash

        def add_txn(txn: Transaction) -> Account:
            domain = login_name.rpartition("@")[2]
            if not _lock_domain_txn(txn, domain):
                raise NoSuchEntry(f"No such domain: {domain}")
            account_id = AccountId(
                txn.value("UPDATE counters SET value = value + 1 WHERE name = 'account' RETURNING value")
            )
            if not txn.execute(
                "INSERT INTO accounts (account_id, login_name, domain, full_name, enabled, password_hash, created_at,"
                " shared) VALUES (?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO NOTHING",
                (account_id, login_name, domain, full_name, password_hash, now, int(is_shared)),
            ):
                raise AlreadyExists(cause=f"account {login_name}")
            txn.execute(
                "INSERT INTO account_state (account_id, modseq, next_mailbox_id, last_uid_validity, login_name,"
                " total_of) VALUES (?, 0, 1, 0, ?, (SELECT u.domain FROM domain_usage u WHERE u.domain = ?))",
                (account_id, login_name, domain),
            )
            modseq = advance_txn(txn, account_id)
            first = _FIRST_MAILBOXES[:1] if is_shared else _FIRST_MAILBOXES
            for name, special_use in first:
                create_levels_txn(txn, account_id, name, modseq, now, () if special_use is None else (special_use,))
            subscribe_txn(txn, account_id, [name for name, _ in first], modseq, now)
            account = _account_txn(txn, login_name)
            assert account is not None
            return account

        return self._database.run("add account", add_txn)

    def remove_account(self, login_name: str) -> Deferred[None]:
        now = self._clock.seconds()

        def remove_txn(txn: Transaction) -> None:
            next_epoch_txn(txn)
            row = txn.row("DELETE FROM accounts WHERE login_name = ? RETURNING account_id", (login_name.lower(),))
            if row is None:
                raise NoSuchAccount(cause=login_name)
            uncount_account_txn(txn, row[0])
            txn.execute("DELETE FROM send_as_grants WHERE account_id = ?", (row[0],))
            forget_account_txn(txn, row[0])
            txn.execute("UPDATE account_state SET removed_at = ? WHERE account_id = ?", (now, row[0]))

        return self._database.run("remove account", remove_txn)

    def set_password_hash(self, account_id: AccountId, password_hash: str) -> Deferred[None]:
        return self._set(
            account_id, "scram_keys = '', password_hash", password_hash, ends_logins=True, for_shared=False
        )

    def keep_scram_keys(self, account_id: AccountId, password_hash: str, scram_keys: str) -> Deferred[bool]:
        def keep_txn(txn: Transaction) -> bool:
            kept = txn.execute(
                "UPDATE accounts SET scram_keys = ? WHERE account_id = ? AND password_hash = ?",
                (scram_keys, account_id, password_hash),
            )
            return bool(kept)

        return self._database.run("keep SCRAM keys", keep_txn)

    def renew_password_hash(self, account_id: AccountId, old: str, new: str) -> Deferred[bool]:
        def renew_txn(txn: Transaction) -> bool:
            replaced = txn.execute(
                "UPDATE accounts SET password_hash = ? WHERE account_id = ? AND password_hash = ?",
                (new, account_id, old),
            )
            return bool(replaced)

        return self._database.run("renew password hash", renew_txn)

    def set_enabled(self, account_id: AccountId, enabled: bool) -> Deferred[None]:
        return self._set(account_id, "enabled", int(enabled), ends_logins=not enabled)

    def login_epochs(self, account_ids: Sequence[AccountId]) -> Deferred[LoginEpochs]:
        return self._database.read("login epochs", lambda txn: login_epochs_txn(txn, account_ids))

    def change_account_overrides(self, login_name: str, change: ChangeOverrides) -> Deferred[Account]:
        def change_txn(txn: Transaction) -> Account:
            row = txn.row(f"{_ACCOUNT} WHERE login_name = ?{txn.for_update}", (login_name.lower(),))
            if row is None:
                raise NoSuchAccount(f"No such account: {login_name.lower()}")
            account = _account(row)
            account = evolve(account, overrides=change(account.overrides))
            txn.execute(
                "UPDATE accounts SET overrides = ? WHERE account_id = ?",
                (_text_of(account.overrides), account.account_id),
            )
            return account

        return self._database.run("change overrides of account", change_txn)

    def change_account_quota(self, login_name: str, change: ChangeQuota) -> Deferred[Account]:
        def change_txn(txn: Transaction) -> Account:
            row = txn.row(f"{_ACCOUNT} WHERE login_name = ?{txn.for_update}", (login_name.lower(),))
            if row is None:
                raise NoSuchAccount(f"No such account: {login_name.lower()}")
            account = _account(row)
            wanted = change(account.quota)
            txn.execute("UPDATE accounts SET quota = ? WHERE account_id = ?", (text_of(wanted), account.account_id))
            changed = _account_txn(txn, login_name)
            assert changed is not None
            return changed

        return self._database.run("change quota of account", change_txn)

    def _set(
        self, account_id: AccountId, column: str, value: object, ends_logins: bool, for_shared: bool = True
    ) -> Deferred[None]:
        def set_txn(txn: Transaction) -> None:
            shared = "SELECT 1 FROM accounts WHERE account_id = ? AND shared = 1"
            if not for_shared and txn.row(shared, (account_id,)) is not None:
                raise Refusal("Nobody logs in to a shared account")
            if ends_logins:
                txn.execute(
                    "UPDATE accounts SET login_epoch = ? WHERE account_id = ?", (next_epoch_txn(txn), account_id)
                )
            if not txn.execute(f"UPDATE accounts SET {column} = ? WHERE account_id = ?", (value, account_id)):
                raise NoSuchAccount(cause=f"account {account_id}")

        return self._database.run(f"set {column}", set_txn)

    def accounts(self, domain: str | None) -> Deferred[list[Account]]:
        def accounts_txn(txn: Transaction) -> list[Account]:
            if domain is None:
                rows = txn.rows(f"{_ACCOUNT} ORDER BY login_name")
            else:
                rows = txn.rows(f"{_ACCOUNT} WHERE domain = ? ORDER BY login_name", (domain.lower(),))
            return [_account(row) for row in rows]

        return self._database.read("accounts", accounts_txn)

    def first_account(self, domain: str | None) -> Deferred[Account | None]:
        def first_txn(txn: Transaction) -> Account | None:
            where, values = ("", ()) if domain is None else (" AND domain = ?", (domain.lower(),))
            row = txn.row(f"{_ACCOUNT} WHERE enabled = 1 AND shared = 0{where} ORDER BY login_name LIMIT 1", values)
            return None if row is None else _account(row)

        return self._database.read("first account", first_txn)

    def account(self, login_name: str) -> Deferred[Account | None]:
        return self._database.read("account", lambda txn: _account_txn(txn, login_name))

    def credentials(self, login_name: str) -> Deferred[Credentials | None]:
        def credentials_txn(txn: Transaction) -> Credentials | None:
            row = txn.row(
                f"SELECT {_ACCOUNT_COLUMNS}, password_hash, scram_keys FROM accounts WHERE login_name = ?",
                (login_name.lower(),),
            )
            return None if row is None else Credentials(_account(row[:-2]), row[-2], row[-1])

        return self._database.read("credentials", credentials_txn)

    # --- aliases

    def set_alias(self, address: Address, targets: Sequence[Address]) -> Deferred[Alias]:
        domain, local_part = _key(address)

        def set_txn(txn: Transaction) -> Alias:
            _lock_domain_txn(txn, domain)
            txn.execute("DELETE FROM aliases WHERE domain = ? AND local_part = ?", (domain, local_part))
            txn.insert(
                "aliases",
                "domain, local_part, position, target_local, target_domain",
                [
                    (domain, local_part, position, target.local_part, target.domain)
                    for position, target in enumerate(targets)
                ],
            )
            return Alias(Address(local_part, domain), tuple(targets))

        return self._database.run("set alias", set_txn)

    def remove_alias(self, address: Address) -> Deferred[None]:
        def remove_txn(txn: Transaction) -> None:
            if not txn.execute("DELETE FROM aliases WHERE domain = ? AND local_part = ?", _key(address)):
                raise NoSuchEntry(cause=f"alias {address}")

        return self._database.run("remove alias", remove_txn)

    def aliases(self, domain: str | None) -> Deferred[list[Alias]]:
        def aliases_txn(txn: Transaction) -> list[Alias]:
            where, values = ("", ()) if domain is None else (" WHERE domain = ?", (domain.lower(),))
            targets: dict[Address, list[Address]] = {}
            for name, local_part, target_local, target_domain in txn.rows(
                f"SELECT domain, local_part, target_local, target_domain FROM aliases{where}"
                " ORDER BY local_part, domain, position",
                values,
            ):
                targets.setdefault(Address(local_part, name), []).append(Address(target_local, target_domain))
            return [Alias(address, tuple(found)) for address, found in targets.items()]

        return self._database.read("aliases", aliases_txn)

    def route(self, address: Address) -> Deferred[DirectoryRow]:
        domain, local_part = _key(address)

        def route_txn(txn: Transaction) -> DirectoryRow:
            return DirectoryRow(
                _domain_txn(txn, domain), _account_txn(txn, f"{local_part}@{domain}"), _targets_txn(txn, address)
            )

        return self._database.read("route", route_txn)
