"""``pymailsuite imap``, and ``account quirk``: profiles for mail programs with defects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click

from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store, settings_of
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.directory import canonical_login
from pymailsuite.errors import NoSuchEntry
from pymailsuite.imap.quirks import quirks_of
from pymailsuite.interfaces import Account, IMailStore
from pymailsuite.interfaces.directory import IDirectoryStore
from pymailsuite.interfaces.overrides import Choice, RecipientOverrides
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address


@click.group()
def imap() -> None:
    """What IMAP does otherwise for some mail programs."""


@imap.command()
@config_option
@json_option
def quirks(config_file: Path, as_json: bool) -> None:
    """List the profiles, the accounts that have chosen one, and those that have chosen against it."""
    known = quirks_of(settings_of(config_file).imap)

    async def operation(store: IMailStore, settings: Settings) -> Sequence[Account]:
        return await store.directory.accounts(None)  # type: ignore[no-any-return]

    accounts = on_store(config_file, operation)

    def choosing(name: str, choice: Choice) -> list[str]:
        return [one.login_name for one in accounts if one.overrides.imap_quirks.get(name) == choice]

    rows = [
        {
            "quirk": quirk.name,
            "clients": list(quirk.clients),
            "hides": list(quirk.hides),
            "adds": list(quirk.adds),
            "on_for": choosing(quirk.name, "on"),
            "off_for": choosing(quirk.name, "off"),
            "why": quirk.why,
        }
        for quirk in known
    ]
    print_rows(rows, ["quirk", "clients", "hides", "adds", "on_for", "off_for", "why"], as_json)


@click.command()
@click.argument("address", type=AddressType())
@click.argument("name", metavar="QUIRK")
@click.argument("choice", type=click.Choice(get_args(Choice)), required=False)
@click.option("--remove", is_flag=True, help="Remove the choice.")
@config_option
@json_option
def quirk(address: Address, name: str, choice: Choice | None, remove: bool, config_file: Path, as_json: bool) -> None:
    """Give all mail programs of an account the profile QUIRK, or none of them. "pymailsuite imap quirks" lists both.

    Logins from then on see the change."""
    if remove == (choice is not None):
        raise click.UsageError("give either CHOICE or --remove")
    known = [one.name for one in quirks_of(settings_of(config_file).imap)]
    if not remove and name not in known:
        raise click.UsageError(f"no such quirk: {name} (there are {', '.join(known)})")

    def change(old: RecipientOverrides) -> RecipientOverrides:
        if remove and name not in old.imap_quirks:
            raise NoSuchEntry(f"{address} has not chosen about {name}")
        return old.with_imap_quirk(name, choice)

    async def operation(store: IMailStore, settings: Settings) -> Account:
        login_name = canonical_login(str(address), "")
        return await needed(store, IDirectoryStore).change_account_overrides(login_name, change)

    changed = on_store(config_file, operation)
    row: dict[str, Any] = {"account": changed.login_name, "quirks": dict(changed.overrides.imap_quirks)}
    print_done(f"{name} for {changed.login_name}: {choice or 'by what each program says that it is'}", row, as_json)
