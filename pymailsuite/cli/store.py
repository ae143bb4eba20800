"""``pymailsuite store``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pymailsuite.cli.account import account_of
from pymailsuite.cli.moment import MomentType
from pymailsuite.cli.moving import backup, backups, copy, restore
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_facts, print_json
from pymailsuite.config.settings import Settings
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.store import IStoreMaintenance, needed
from pymailsuite.values import Address


@click.group()
def store() -> None:
    """The mail store as a whole."""


@store.command()
@click.option("--deep", is_flag=True, help="Read all octets and compare digests.")
@config_option
@json_option
def verify(deep: bool, config_file: Path, as_json: bool) -> None:
    """Look for faults: counts, references, orphans. Exits with 1 if there are any."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[str]:
        return await needed(store, IStoreMaintenance).verify(deep)

    faults = list(on_store(config_file, operation))
    if as_json:
        print_json(faults)
    else:
        for fault in faults:
            click.echo(fault)
        click.echo(f"{len(faults)} faults" if faults else "no faults")
    if faults:
        raise SystemExit(1)


def _counts(config_file: Path, as_json: bool, name: str, *arguments: Any) -> None:
    async def operation(store: IMailStore, settings: Settings) -> Mapping[str, int]:
        return await getattr(needed(store, IStoreMaintenance), name)(*arguments)  # type: ignore[no-any-return]

    print_facts(on_store(config_file, operation), as_json)


@store.command()
@config_option
@json_option
def rebuild(config_file: Path, as_json: bool) -> None:
    """Derive anew everything derived (structure, counts, indexes) from the octets of the messages."""
    _counts(config_file, as_json, "rebuild")


@store.command()
@config_option
@json_option
def sweep(config_file: Path, as_json: bool) -> None:
    """Remove now what is past its undelete time, as the server does by itself at intervals."""
    _counts(config_file, as_json, "sweep", time.time())


@store.command()
@config_option
@json_option
def statistics(config_file: Path, as_json: bool) -> None:
    """Accounts, mailboxes, messages, octets, queue entries."""
    _counts(config_file, as_json, "statistics")


@store.command()
@click.argument("address", type=AddressType())
@click.option("--since", type=MomentType(), required=True, help="Expunged after this: 2h, 3d, 2026-11-22T14:00.")
@click.option("--mailbox", help="Of this mailbox only.")
@config_option
@json_option
def undelete(address: Address, since: float, mailbox: str | None, config_file: Path, as_json: bool) -> None:
    """Bring expunged messages of an account back, as new messages."""

    async def operation(store: IMailStore, settings: Settings) -> int:
        account = await account_of(store, address)
        return await needed(store, IStoreMaintenance).restore_expunged(account.account_id, since, mailbox)

    count = on_store(config_file, operation)
    print_done(f"restored {count} {'message' if count == 1 else 'messages'}", {"restored": count}, as_json)


for command in (copy, backup, backups, restore):
    store.add_command(command)
