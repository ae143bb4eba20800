"""``pymailsuite alias``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pymailsuite.cli.domain import DomainType
from pymailsuite.cli.faults import alias_check, force_option, refuse_faults
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.cli.tables import lookup_tables
from pymailsuite.config.settings import Settings
from pymailsuite.interfaces import Alias, IMailStore
from pymailsuite.interfaces.directory import IDirectoryStore
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address


def as_row(alias: Alias) -> dict[str, Any]:
    """An alias as commands show it."""
    return {"alias": str(alias.address), "targets": [str(target) for target in alias.targets]}


@click.group()
def alias() -> None:
    """Addresses that lead to other addresses."""


@alias.command("set")
@click.argument("address", type=AddressType())
@click.argument("targets", type=AddressType(), nargs=-1, required=True)
@force_option
@config_option
@json_option
def set_alias(address: Address, targets: tuple[Address, ...], force: bool, config_file: Path, as_json: bool) -> None:
    """Deliver mail for ADDRESS to each of TARGETS, which may be anywhere; replaces what was set before.

    An account of this address keeps a copy if it is among the targets. Aliases must not lead in a circle; an account
    that is hidden, a target that does not exist and a domain that is not ours need --force."""

    async def operation(store: IMailStore, settings: Settings) -> Alias:
        async with lookup_tables(settings.directory) as tables:
            check = alias_check(store, settings, tables)
            refuse_faults(await check.alias_faults(address, targets), force)
        return await needed(store, IDirectoryStore).set_alias(await check.as_kept(address), targets)

    changed = on_store(config_file, operation)
    row = as_row(changed)
    print_done(f"{row['alias']} leads to {', '.join(row['targets'])}", row, as_json)


@alias.command()
@click.argument("address", type=AddressType())
@config_option
@json_option
def remove(address: Address, config_file: Path, as_json: bool) -> None:
    """Remove an alias."""

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IDirectoryStore).remove_alias(await alias_check(store, settings).as_kept(address))

    on_store(config_file, operation)
    print_done(f"removed {address}", {"removed": str(address)}, as_json)


@alias.command("list")
@click.option("--domain", "domain_name", type=DomainType(), help="Those of this domain only.")
@config_option
@json_option
def list_aliases(domain_name: str | None, config_file: Path, as_json: bool) -> None:
    """All aliases."""

    async def operation(store: IMailStore, settings: Settings) -> list[Alias]:
        return await store.directory.aliases(domain_name)  # type: ignore[no-any-return]

    print_rows([as_row(found) for found in on_store(config_file, operation)], ["alias", "targets"], as_json)
