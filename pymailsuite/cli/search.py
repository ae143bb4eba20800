"""``pymailsuite search``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pymailsuite.cli.account import account_of
from pymailsuite.cli.operation import AddressType, config_option, json_option, on_store
from pymailsuite.cli.output import print_done, print_facts
from pymailsuite.config.settings import Settings
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.store import needed
from pymailsuite.interfaces.text_index import ITextIndex
from pymailsuite.server.text_extraction import text_extraction
from pymailsuite.values import AccountId, Address

account_option = click.option("--account", "address", type=AddressType(), help="Of this account only.")


@click.group()
def search() -> None:
    """The text index, by which searches need not read each message."""


async def _account_id(store: IMailStore, address: Address | None) -> AccountId | None:
    return None if address is None else (await account_of(store, address)).account_id


@search.command()
@account_option
@config_option
@json_option
def status(address: Address | None, config_file: Path, as_json: bool) -> None:
    """How many messages are indexed, and how much room the index takes."""

    async def operation(store: IMailStore, settings: Settings) -> dict[str, Any]:
        found = await needed(store, ITextIndex).status(await _account_id(store, address))
        # Whether there is room is a matter of the whole index.
        whole = found if address is None else await needed(store, ITextIndex).status()
        return {
            "accounts": found.accounts,
            "accounts_dropped": found.dropped,
            "messages": found.messages,
            "messages_indexed": found.indexed,
            "pieces": found.pieces,
            "octets": found.octets,
            "octets_of_all": whole.octets,
            "octets_allowed": settings.search.index_size,
            "enabled": settings.search.index,
            "full": whole.octets >= settings.search.index_size,
        }

    print_facts(on_store(config_file, operation), as_json)


@search.command()
@account_option
@config_option
@json_option
def rebuild(address: Address | None, config_file: Path, as_json: bool) -> None:
    """Remove the index and make it anew, here and now; what was dropped is indexed again.

    Searches read the messages meanwhile. A running server helps, and may still be at work when this ends.
    """

    async def operation(store: IMailStore, settings: Settings) -> dict[str, int]:
        index, bounds = needed(store, ITextIndex), settings.search.bounds(text_extraction(settings.search))
        removed, made = await index.rebuild(await _account_id(store, address)), 0
        while (some := await index.index_some(bounds)) is not None:
            made += some
        return {"pieces_removed": removed, "messages_indexed": made}

    facts = on_store(config_file, operation)
    print_done(f"indexed {facts['messages_indexed']} messages", facts, as_json)


@search.command()
@account_option
@config_option
@json_option
def drop(address: Address | None, config_file: Path, as_json: bool) -> None:
    """Remove the index, and make it no more until it is rebuilt. Searches read each message."""

    async def operation(store: IMailStore, settings: Settings) -> dict[str, int]:
        return {"pieces_removed": await needed(store, ITextIndex).drop(await _account_id(store, address))}

    facts = on_store(config_file, operation)
    print_done(f"removed {facts['pieces_removed']} pieces of the index", facts, as_json)
