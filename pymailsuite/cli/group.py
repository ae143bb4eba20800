"""``pymailsuite group``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from pymailsuite.cli.account import login_of
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.groups import Group, IGroupStore
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address

_NAME: Final = re.compile(r"[^\W_][\w.@-]*")


class GroupType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """The name of a group."""

    name = "group"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In lower case."""
        if not _NAME.fullmatch(str(value)):
            self.fail(f"{value!r} is not a name of a group: letters, digits, and . @ _ - after the first", param, ctx)
        return str(value).lower()


def _row(group: Group) -> dict[str, Any]:
    return {"group": group.name, "members": list(group.members)}


@click.group()
def group() -> None:
    """Lists of accounts, to which mailboxes are shared at once. What is changed counts immediately."""


@group.command()
@click.argument("name", type=GroupType())
@click.argument("members", type=AddressType(), nargs=-1)
@config_option
@json_option
def add(name: str, members: tuple[Address, ...], config_file: Path, as_json: bool) -> None:
    """Create the group NAME, if it is not there, and add MEMBERS to it."""

    async def operation(store: IMailStore, settings: Settings) -> Group:
        groups = needed(store, IGroupStore)
        if await groups.group(name) is None:
            await groups.add_group(name)
        return await groups.add_members(name, [login_of(member) for member in members])

    changed = on_store(config_file, operation)
    print_done(f"{name} has {len(changed.members)} members", _row(changed), as_json)


@group.command()
@click.argument("name", type=GroupType())
@click.argument("members", type=AddressType(), nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def remove(name: str, members: tuple[Address, ...], yes: bool, config_file: Path, as_json: bool) -> None:
    """Remove MEMBERS from a group; without any the group itself, with all rights it was given."""
    if not members and not yes:
        click.confirm(f"Remove the group {name} and all its rights?", abort=True, err=True)

    async def operation(store: IMailStore, settings: Settings) -> Group | None:
        groups = needed(store, IGroupStore)
        if members:
            return await groups.remove_members(name, [login_of(member) for member in members])
        await groups.remove_group(name)
        return None

    left = on_store(config_file, operation)
    if left is None:
        print_done(f"removed {name}", {"removed": name}, as_json)
    else:
        print_done(f"{name} has {len(left.members)} members", _row(left), as_json)


@group.command("list")
@config_option
@json_option
def list_groups(config_file: Path, as_json: bool) -> None:
    """All groups."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[Group]:
        return await needed(store, IGroupStore).groups()

    print_rows([_row(found) for found in on_store(config_file, operation)], ["group", "members"], as_json)


@group.command()
@click.argument("name", type=GroupType())
@config_option
@json_option
def show(name: str, config_file: Path, as_json: bool) -> None:
    """The members of a group."""

    async def operation(store: IMailStore, settings: Settings) -> Group:
        found = await needed(store, IGroupStore).group(name)
        if found is None:
            raise NoSuchEntry(f"No such group: {name}")
        return found

    found = on_store(config_file, operation)
    print_rows([{"group": found.name, "member": member} for member in found.members], ["group", "member"], as_json)
