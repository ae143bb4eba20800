"""``account grant-send-as`` and related commands: addresses that an account may send as beside its own and its
aliases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from pymailsuite.cli.domain import DomainType
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.directory import canonical_login, domain_forms
from pymailsuite.directory.send_as import grant_of
from pymailsuite.errors import NoSuchAccount
from pymailsuite.interfaces import Account, IMailStore
from pymailsuite.interfaces.send_as import ISendAsStore, SendAsGrant
from pymailsuite.interfaces.store import needed
from pymailsuite.values import Address


class SenderType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An address, or ``@domain`` for all of a domain."""

    name = "address|@domain"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SendAsGrant:
        """A SendAsGrant."""
        if isinstance(value, SendAsGrant):
            return value
        text = str(value).strip()
        if text.startswith("@"):
            return grant_of(Address("", DomainType().convert(text[1:], param, ctx)))
        return grant_of(AddressType().convert(text, param, ctx))


async def _account_of(store: IMailStore, address: Address) -> Account:
    login_name = canonical_login(str(address), "")
    account: Account | None = await store.directory.account(login_name)
    if account is None:
        raise NoSuchAccount(f"no account {login_name}")
    return account


def _shown(grant: SendAsGrant) -> str:
    """With U-labels, as people write it."""
    return str(evolve(grant, domain=domain_forms(grant.domain)[-1]))


def _row(login_name: str, grant: SendAsGrant) -> dict[str, str]:
    return {"account": login_name, "send_as": _shown(grant)}


@click.command("grant-send-as")
@click.argument("account", type=AddressType())
@click.argument("sender", type=SenderType())
@config_option
@json_option
def grant_send_as(account: Address, sender: SendAsGrant, config_file: Path, as_json: bool) -> None:
    """Let an account send as an address, or with @DOMAIN as all addresses of a domain."""

    async def operation(store: IMailStore, settings: Settings) -> Account:
        found = await _account_of(store, account)
        await needed(store, ISendAsStore).grant(found.account_id, sender)
        return found

    found = on_store(config_file, operation)
    print_done(f"{found.login_name} may send as {_shown(sender)}", _row(found.login_name, sender), as_json)


@click.command("revoke-send-as")
@click.argument("account", type=AddressType())
@click.argument("sender", type=SenderType())
@config_option
@json_option
def revoke_send_as(account: Address, sender: SendAsGrant, config_file: Path, as_json: bool) -> None:
    """Take a grant back. Its own addresses and aliases an account keeps."""

    async def operation(store: IMailStore, settings: Settings) -> Account:
        found = await _account_of(store, account)
        await needed(store, ISendAsStore).revoke(found.account_id, sender)
        return found

    found = on_store(config_file, operation)
    print_done(f"{found.login_name} may no longer send as {_shown(sender)}", _row(found.login_name, sender), as_json)


@click.command("send-as")
@click.argument("account", type=AddressType(), required=False)
@config_option
@json_option
def send_as(account: Address | None, config_file: Path, as_json: bool) -> None:
    """The grants of one account, or of all."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[tuple[str, SendAsGrant]]:
        if account is None:
            return await needed(store, ISendAsStore).all_grants()
        login_name = (await _account_of(store, account)).login_name
        return [(login_name, grant) for grant in await needed(store, ISendAsStore).grants_of(login_name)]

    rows = [_row(login_name, grant) for login_name, grant in on_store(config_file, operation)]
    print_rows(rows, ["account", "send_as"], as_json)
