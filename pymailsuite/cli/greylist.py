"""``pymailsuite greylist``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pymailsuite.cli.duration import DurationType
from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_done, print_rows
from pymailsuite.config.sections.greylist import GreylistSettings
from pymailsuite.config.settings import Settings
from pymailsuite.dns.names import comparable_name
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.greylist import GreylistClient, GreylistEntry, IGreylistStore
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.greylist.clients import client_named

_ENTRY_COLUMNS = ("client", "sender", "recipient", "first_seen", "passed_at", "expires_at")
_CLIENT_COLUMNS = ("client", "passes", "allowed", "expires_at")


@click.group()
def greylist() -> None:
    """Clients that were asked to come back later, and those that did.

    A client is a network (192.0.2.0/24), or a provider that stands for its networks: spf:DOMAIN, rdns:DOMAIN.
    """


def _entry_row(entry: GreylistEntry) -> dict[str, Any]:
    return {
        "client": entry.triplet.client,
        "sender": entry.triplet.sender or "<>",
        "recipient": entry.triplet.recipient,
        "first_seen": moment(entry.first_seen),
        "passed_at": moment(entry.passed_at),
        "expires_at": moment(entry.expires_at),
    }


def _client_row(client: GreylistClient) -> dict[str, Any]:
    return {
        "client": client.client,
        "passes": client.passes,
        "allowed": client.allowed,
        "expires_at": moment(client.expires_at),
    }


def _client(value: str, settings: Settings) -> str:
    """UsageError if it is none."""
    section: GreylistSettings = settings.greylist
    name = client_named(value, section.ipv4_prefix, section.ipv6_prefix)
    if not name:
        raise click.UsageError(f"{value!r} is no address, no network of the size in [greylist] and no spf: or rdns:")
    return name


@greylist.command()
@click.option("--client", default=None, help="Only of this address, network or provider.")
@click.option("--clients", "only_clients", is_flag=True, help="Clients, and how often they came back.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@config_option
@json_option
def show(client: str | None, only_clients: bool, limit: int, config_file: Path, as_json: bool) -> None:
    """Show triplets of client, sender and recipient, the newest first."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[dict[str, Any]]:
        if only_clients:
            return [_client_row(one) for one in await needed(store, IGreylistStore).clients(limit)]
        name = None if client is None else _client(client, settings)
        return [_entry_row(one) for one in await needed(store, IGreylistStore).entries(name, limit)]

    rows = on_store(config_file, operation)
    print_rows(rows, _CLIENT_COLUMNS if only_clients else _ENTRY_COLUMNS, as_json)


@greylist.command()
@click.argument("client")
@click.option("--for", "lasting", type=DurationType(), default=0.0, help="How long: 30d, 12h. Default: ever.")
@config_option
@json_option
def allow(client: str, lasting: float, config_file: Path, as_json: bool) -> None:
    """Ask CLIENT no more: an address (its network is meant), a network, spf:DOMAIN or rdns:DOMAIN."""
    expires_at = time.time() + lasting if lasting else 0.0

    async def operation(store: IMailStore, settings: Settings) -> str:
        name = _client(client, settings)
        await needed(store, IGreylistStore).allow(name, expires_at)
        return name

    name = on_store(config_file, operation)
    print_done(f"{name} is let in", {"client": name, "expires_at": moment(expires_at)}, as_json)


@greylist.command()
@click.argument("what")
@config_option
@json_option
def forget(what: str, config_file: Path, as_json: bool) -> None:
    """Forget WHAT: a client as for allow, or user@domain as sender or recipient."""

    async def operation(store: IMailStore, settings: Settings) -> int:
        if "@" in what:
            return await needed(store, IGreylistStore).forget("", comparable_name(what))
        return await needed(store, IGreylistStore).forget(_client(what, settings), "")

    forgotten = on_store(config_file, operation)
    if not forgotten:
        raise click.ClickException(f"nothing is known of {what}")
    print_done(f"forgot {forgotten}", {"forgotten": forgotten}, as_json)
