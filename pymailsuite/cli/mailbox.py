"""``pymailsuite mailbox``: the mailboxes of an account, and who else may use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from pymailsuite.cli.account import account_of
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.directory import canonical_login
from pymailsuite.interfaces import IMailStore, Mailbox
from pymailsuite.interfaces.rights import NO_RIGHTS, Rights
from pymailsuite.interfaces.sharing import AclEntry, Identifier, IdentifierKind, IMailSharing, RightsChange
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address, SpecialUse


class RightsType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Letters of RFC 4314, or of RFC 2086."""

    name = "letters"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rights:
        """A Rights."""
        if isinstance(value, Rights):
            return value
        try:
            return Rights.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class GranteeType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Whom an entry of an access control list is for: an AclEntry without rights."""

    name = "who"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AclEntry:
        """An AclEntry."""
        if isinstance(value, AclEntry):
            return value
        text = str(value)
        try:
            identifier = Identifier.parse(text.removeprefix("-"))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if identifier.kind is IdentifierKind.USER:
            identifier = Identifier(IdentifierKind.USER, canonical_login(identifier.name, ""))
        return AclEntry(identifier, NO_RIGHTS, text.startswith("-"))


account_option = click.option("--account", "owner", type=AddressType(), required=True, help="Whose mailbox it is.")
with_option = click.option(
    "--with",
    "grantee",
    type=GranteeType(),
    required=True,
    help="A login name, group=NAME, or anyone. With - in front: rights that are taken from these.",
)


def _name(entry: AclEntry) -> str:
    return f"{'-' * entry.negative}{entry.identifier}"


def _row(login_name: str, mailbox: str, entry: AclEntry) -> dict[str, str]:
    return {"account": login_name, "mailbox": mailbox, "with": _name(entry), "rights": str(entry.rights)}


@click.group()
def mailbox() -> None:
    """Mailboxes, and who else may use them. Levels of names are separated by slashes."""


@mailbox.command()
@click.argument("name")
@account_option
@config_option
@json_option
def create(name: str, owner: Address, config_file: Path, as_json: bool) -> None:
    """Create a mailbox, with the levels above it that are missing."""

    async def operation(store: IMailStore, settings: Settings) -> tuple[str, Mailbox]:
        account = await account_of(store, owner)
        return account.login_name, await store.account_mail(account.account_id).create_mailbox(name, None)

    login_name, made = on_store(config_file, operation)
    print_done(f"created {made.name}", {"account": login_name, "mailbox": made.name}, as_json)


@mailbox.command("list")
@account_option
@config_option
@json_option
def list_mailboxes(owner: Address, config_file: Path, as_json: bool) -> None:
    """The mailboxes of an account."""

    async def operation(store: IMailStore, settings: Settings) -> list[Mailbox]:
        account = await account_of(store, owner)
        return await store.account_mail(account.account_id).mailboxes()

    rows = [
        {"mailbox": one.name, "messages": one.messages, "unseen": one.unseen, "octets": one.size}
        for one in on_store(config_file, operation)
    ]
    print_rows(rows, ["mailbox", "messages", "unseen", "octets"], as_json)


_USES: Final = {use.value.removeprefix("\\").lower(): use for use in SpecialUse}


@mailbox.command("special-use")
@click.argument("name")
@click.argument("uses", nargs=-1, type=click.Choice(list(_USES), case_sensitive=False))
@account_option
@config_option
@json_option
def special_use(name: str, uses: Sequence[str], owner: Address, config_file: Path, as_json: bool) -> None:
    """Say what a mailbox is for, in place of what it was for; without USES, that it is for nothing special.

    Clients put sent mail, drafts and so on where such a mailbox is, and the server puts junk there."""

    async def operation(store: IMailStore, settings: Settings) -> tuple[str, Mailbox]:
        account = await account_of(store, owner)
        mail = store.account_mail(account.account_id)
        return account.login_name, await mail.assign_uses(name, [_USES[use.lower()] for use in uses])

    login_name, assigned = on_store(config_file, operation)
    told = [use.value for use in assigned.special_uses]
    text = f"{assigned.name} is for {' '.join(told)}" if told else f"{assigned.name} has no special use"
    print_done(text, {"account": login_name, "mailbox": assigned.name, "special_uses": told}, as_json)


@mailbox.command()
@click.argument("name")
@account_option
@with_option
@click.option("--rights", type=RightsType(), required=True, help="Letters, such as lrs to read.")
@config_option
@json_option
def share(name: str, owner: Address, grantee: AclEntry, rights: Rights, config_file: Path, as_json: bool) -> None:
    """Let others use a mailbox, with these rights in place of those they had.

    l: it is listed. r: read it. s: remember what was read. w: set flags. i: add messages. p: mail to its address.
    k: create mailboxes below it. x: delete or rename it. t: mark messages as deleted. e: expunge. a: give rights to
    others. c stands for kx, d for te."""
    _set(name, owner, AclEntry(grantee.identifier, rights, grantee.negative), config_file, as_json)


@mailbox.command()
@click.argument("name")
@account_option
@with_option
@config_option
@json_option
def unshare(name: str, owner: Address, grantee: AclEntry, config_file: Path, as_json: bool) -> None:
    """Take all rights back that were given to somebody."""
    _set(name, owner, grantee, config_file, as_json)


def _set(name: str, owner: Address, entry: AclEntry, config_file: Path, as_json: bool) -> None:
    async def operation(store: IMailStore, settings: Settings) -> str:
        sharing = needed(store, IMailSharing)
        account = await account_of(store, owner)
        await sharing.set_rights(account.account_id, name, None, entry, RightsChange.REPLACE)
        return account.login_name

    login_name = on_store(config_file, operation)
    if entry.rights:
        text = f"{name} of {login_name} is shared with {_name(entry)}: {entry.rights}"
    else:
        text = f"{name} of {login_name} is not shared with {_name(entry)}"
    print_done(text, _row(login_name, name, entry), as_json)


@mailbox.command()
@click.argument("name", required=False)
@account_option
@config_option
@json_option
def shares(name: str | None, owner: Address, config_file: Path, as_json: bool) -> None:
    """With whom the mailboxes of an account are shared, or one of them."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[dict[str, str]]:
        sharing = needed(store, IMailSharing)
        account = await account_of(store, owner)
        mail = store.account_mail(account.account_id)
        names = [one.name for one in await mail.mailboxes()] if name is None else [(await mail.mailbox(name)).name]
        return [
            _row(account.login_name, one, entry)
            for one in names
            for entry in await sharing.acl(account.account_id, one, None)
            if entry.identifier.kind is not IdentifierKind.OWNER
        ]

    print_rows(on_store(config_file, operation), ["account", "mailbox", "with", "rights"], as_json)
