"""``pymailsuite account``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pymailsuite.auth import PasswordHashes, make_scram_keys
from pymailsuite.cli.domain import DomainType
from pymailsuite.cli.faults import alias_check, force_option, refuse_faults
from pymailsuite.cli.imap import quirk
from pymailsuite.cli.operation import AddressType, config_option, json_option, new_password, on_store
from pymailsuite.cli.output import moment, print_done, print_rows
from pymailsuite.cli.quota import changed_quota, default_option, folder_option, limit_options, print_account
from pymailsuite.cli.rules import RuleOwners, Rules, add_rule_commands
from pymailsuite.cli.send_as import grant_send_as, revoke_send_as, send_as
from pymailsuite.config.settings import Settings
from pymailsuite.directory import canonical_login
from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces import Account, IMailStore
from pymailsuite.interfaces.directory import ChangeOverrides, IDirectoryStore
from pymailsuite.interfaces.quota import NO_QUOTA, AccountQuota, IQuotaStore, Quota
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address

password_stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def as_row(account: Account) -> dict[str, Any]:
    """An account as commands show it."""
    return {
        "account": account.login_name,
        "full_name": account.full_name,
        "enabled": account.enabled,
        "shared": account.is_shared,
        "created": moment(account.created_at),
    }


def login_of(address: Address) -> str:
    """The login name an address stands for."""
    return canonical_login(str(address), "")


async def account_of(store: IMailStore, address: Address) -> Account:
    """The account. NoSuchAccount."""
    account: Account | None = await store.directory.account(login_of(address))
    if account is None:
        raise NoSuchAccount(f"no account {login_of(address)}")
    return account


@click.group()
def account() -> None:
    """Mail accounts."""


@account.command()
@click.argument("address", type=AddressType())
@click.option("--name", "full_name", default="", help="The person's full name.")
@click.option("--no-password", is_flag=True, help="There are no logins until a password is set.")
@click.option("--shared", is_flag=True, help="Nobody logs in to it: its mailboxes are shared with others.")
@password_stdin_option
@force_option
@config_option
@json_option
def add(
    address: Address,
    full_name: str,
    no_password: bool,
    shared: bool,
    password_stdin: bool,
    force: bool,
    config_file: Path,
    as_json: bool,
) -> None:
    """Create an account; its address is its login name. The password is asked for.

    One that would get no mail, as there is an alias of this name, needs --force."""
    if shared and (no_password or password_stdin):
        raise click.UsageError("a shared account has no password")
    password = None if no_password or shared else new_password(password_stdin)

    async def operation(store: IMailStore, settings: Settings) -> Account:
        refuse_faults(await alias_check(store, settings).account_faults(address), force)
        password_hash = PasswordHashes(settings.auth).hash(password) if password else ""
        made = await needed(store, IDirectoryStore).add_account(login_of(address), password_hash, full_name, shared)
        if password:
            await _keep_scram_keys(store, settings, made, password_hash, password)
        return made

    added = on_store(config_file, operation)
    print_done(f"added {added.login_name}", as_row(added), as_json)


@account.command()
@click.argument("address", type=AddressType())
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def remove(address: Address, yes: bool, config_file: Path, as_json: bool) -> None:
    """Remove an account and, after the store's undelete time, its mail."""
    if not yes:
        click.confirm(f"Remove {address} and all its mail?", abort=True, err=True)

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IDirectoryStore).remove_account(login_of(address))

    on_store(config_file, operation)
    print_done(f"removed {login_of(address)}", {"removed": login_of(address)}, as_json)


@account.command("list")
@click.option("--domain", "domain_name", type=DomainType(), help="Those of this domain only.")
@config_option
@json_option
def list_accounts(domain_name: str | None, config_file: Path, as_json: bool) -> None:
    """All accounts."""

    async def operation(store: IMailStore, settings: Settings) -> list[Account]:
        return await store.directory.accounts(domain_name)  # type: ignore[no-any-return]

    rows = [as_row(found) for found in on_store(config_file, operation)]
    print_rows(rows, ["account", "full_name", "enabled", "shared", "created"], as_json)


@account.command()
@click.argument("address", type=AddressType())
@password_stdin_option
@config_option
@json_option
def passwd(address: Address, password_stdin: bool, config_file: Path, as_json: bool) -> None:
    """Set a new password, which is asked for."""
    password = new_password(password_stdin)

    async def operation(store: IMailStore, settings: Settings) -> Account:
        changed = await account_of(store, address)
        password_hash = PasswordHashes(settings.auth).hash(password)
        await needed(store, IDirectoryStore).set_password_hash(changed.account_id, password_hash)
        await _keep_scram_keys(store, settings, changed, password_hash, password)
        return changed

    changed = on_store(config_file, operation)
    print_done(f"password of {changed.login_name} set", as_row(changed), as_json)


async def _keep_scram_keys(
    store: IMailStore, settings: Settings, account: Account, password_hash: str, password: str
) -> None:
    if settings.auth.scram:
        keys = make_scram_keys(settings.auth, password)
        await store.directory.keep_scram_keys(account.account_id, password_hash, keys)


def _set_enabled(address: Address, enabled: bool, config_file: Path, as_json: bool) -> None:
    async def operation(store: IMailStore, settings: Settings) -> Account:
        found = await account_of(store, address)
        await needed(store, IDirectoryStore).set_enabled(found.account_id, enabled)
        return await account_of(store, address)

    changed = on_store(config_file, operation)
    print_done(f"{'enabled' if enabled else 'disabled'} {changed.login_name}", as_row(changed), as_json)


@account.command()
@click.argument("address", type=AddressType())
@config_option
@json_option
def enable(address: Address, config_file: Path, as_json: bool) -> None:
    """Let an account be used again."""
    _set_enabled(address, True, config_file, as_json)


@account.command()
@click.argument("address", type=AddressType())
@config_option
@json_option
def disable(address: Address, config_file: Path, as_json: bool) -> None:
    """Refuse logins to an account, and mail for it. Its mail is kept."""
    _set_enabled(address, False, config_file, as_json)


async def _change_rules(store: IMailStore, address: Address, change: ChangeOverrides) -> Rules:
    changed = await needed(store, IDirectoryStore).change_account_overrides(login_of(address), change)
    return changed.login_name, changed.overrides


async def _rules(store: IMailStore, address: Address | None) -> Sequence[Rules]:
    found = await store.directory.accounts(None) if address is None else [await account_of(store, address)]
    return [(one.login_name, one.overrides) for one in found]


@account.command()
@click.argument("address", type=AddressType())
@limit_options("", "the account")
@folder_option
@default_option
@config_option
@json_option
def quota(
    address: Address,
    storage: int | None,
    messages: int | None,
    mailboxes: int | None,
    folders: Any,
    to_default: bool,
    config_file: Path,
    as_json: bool,
) -> None:
    """Show what an account holds of what it may hold, after changing its quota if options say so.

    A limit is a number, "none", or "default": as the domain or the configuration has it."""
    given = {"storage": storage, "messages": messages, "mailboxes": mailboxes}

    def change(old: Quota) -> Quota:
        return changed_quota(NO_QUOTA if to_default else old, given, folders)

    async def operation(store: IMailStore, settings: Settings) -> AccountQuota:
        found = await account_of(store, address)
        if to_default or folders or any(limit is not None for limit in given.values()):
            await needed(store, IDirectoryStore).change_account_quota(found.login_name, change)
        return await needed(store, IQuotaStore).account_quota(found.account_id, True)

    print_account(on_store(config_file, operation), as_json)


add_rule_commands(account, RuleOwners("account", AddressType(), _change_rules, _rules))
for command in (quirk, grant_send_as, revoke_send_as, send_as):
    account.add_command(command)
