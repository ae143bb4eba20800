"""``pymailsuite domain``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.cli.quota import (
    changed_limits,
    changed_quota,
    default_option,
    folder_option,
    limit_options,
    print_domain,
)
from pymailsuite.cli.rules import RuleOwners, Rules, add_rule_commands
from pymailsuite.config.sections.server import domain_name
from pymailsuite.config.settings import Settings
from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces import Domain, IMailStore
from pymailsuite.interfaces.directory import ChangeOverrides, IDirectoryStore
from pymailsuite.interfaces.quota import NO_DOMAIN_QUOTA, DomainQuota, IQuotaStore, Quota, QuotaRoot
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address


def as_row(domain: Domain) -> dict[str, Any]:
    """A domain as commands show it."""
    return {"domain": domain.name, "catch_all": str(domain.catch_all) if domain.catch_all else None}


class DomainType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A domain name."""

    name = "domain"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In lower case."""
        try:
            return domain_name(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def domain() -> None:
    """Domains whose mail this server delivers."""


@domain.command()
@click.argument("name", type=DomainType())
@config_option
@json_option
def add(name: str, config_file: Path, as_json: bool) -> None:
    """Take mail for a domain from now on."""

    async def operation(store: IMailStore, settings: Settings) -> Domain:
        return await needed(store, IDirectoryStore).add_domain(name)

    added = on_store(config_file, operation)
    print_done(f"added {added.name}", as_row(added), as_json)


@domain.command()
@click.argument("name", type=DomainType())
@config_option
@json_option
def remove(name: str, config_file: Path, as_json: bool) -> None:
    """Take no more mail for a domain. Its accounts and aliases must be gone."""

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IDirectoryStore).remove_domain(name)

    on_store(config_file, operation)
    print_done(f"removed {name}", {"removed": name}, as_json)


@domain.command("list")
@config_option
@json_option
def list_domains(config_file: Path, as_json: bool) -> None:
    """All domains."""

    async def operation(store: IMailStore, settings: Settings) -> list[Domain]:
        return await store.directory.domains()  # type: ignore[no-any-return]

    print_rows([as_row(found) for found in on_store(config_file, operation)], ["domain", "catch_all"], as_json)


@domain.command("catch-all")
@click.argument("name", type=DomainType())
@click.argument("target", type=AddressType(), required=False)
@click.option("--off", is_flag=True, help="Refuse unknown addresses again.")
@config_option
@json_option
def catch_all(name: str, target: Address | None, off: bool, config_file: Path, as_json: bool) -> None:
    """Give mail for unknown addresses of a domain to TARGET."""
    if off == (target is not None):
        raise click.UsageError("give either TARGET or --off")

    async def operation(store: IMailStore, settings: Settings) -> Domain:
        return await needed(store, IDirectoryStore).set_catch_all(name, target)

    changed = on_store(config_file, operation)
    text = f"mail for unknown addresses of {name} goes to {target}" if target else f"{name} refuses unknown addresses"
    print_done(text, as_row(changed), as_json)


@domain.command()
@click.argument("name", type=DomainType())
@limit_options("", "each account of the domain that has no quota of its own")
@folder_option
@limit_options("total", "all accounts of the domain together")
@default_option
@config_option
@json_option
def quota(
    name: str,
    storage: int | None,
    messages: int | None,
    mailboxes: int | None,
    folders: Any,
    total_storage: int | None,
    total_messages: int | None,
    total_mailboxes: int | None,
    to_default: bool,
    config_file: Path,
    as_json: bool,
) -> None:
    """Show what the accounts of a domain hold together, and their quotas, after changing these if options say so.

    A limit is a number, "none", or "default": as the configuration has it. While a domain has a total, mail for its
    accounts is stored one message after the other."""
    given = {"storage": storage, "messages": messages, "mailboxes": mailboxes}
    total = {"storage": total_storage, "messages": total_messages, "mailboxes": total_mailboxes}

    def change(old: DomainQuota) -> DomainQuota:
        old = NO_DOMAIN_QUOTA if to_default else old
        return DomainQuota(accounts=changed_quota(old.accounts, given, folders), total=changed_limits(old.total, total))

    async def operation(store: IMailStore, settings: Settings) -> tuple[Quota, QuotaRoot]:
        if to_default or folders or any(limit is not None for limit in (*given.values(), *total.values())):
            await needed(store, IDirectoryStore).change_domain_quota(name, change)
        root = await needed(store, IQuotaStore).domain_total(name)
        found: Domain | None = await store.directory.domain(name)
        assert found is not None, "it was there a moment ago"
        return found.quota.accounts, root

    print_domain(name, *on_store(config_file, operation), as_json)


async def _change_rules(store: IMailStore, name: str, change: ChangeOverrides) -> Rules:
    changed = await needed(store, IDirectoryStore).change_domain_overrides(name, change)
    return changed.name, changed.overrides


async def _rules(store: IMailStore, name: str | None) -> Sequence[Rules]:
    if name is None:
        return [(one.name, one.overrides) for one in await store.directory.domains()]
    found: Domain | None = await store.directory.domain(name)
    if found is None:
        raise NoSuchEntry(f"No such domain: {name}")
    return [(found.name, found.overrides)]


add_rule_commands(domain, RuleOwners("domain", DomainType(), _change_rules, _rules))
