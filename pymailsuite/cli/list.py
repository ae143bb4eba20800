"""``pymailsuite list``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import click
from attrs import asdict, evolve

from pymailsuite.cli.duration import DurationType
from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.lists import EntryAction, IListStore, ListEntry, ListVerdict
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.lists.entries import KINDS, entries_in_text, entry_of, scope_of

scope_option = click.option(
    "--scope", default="", help="The recipients' domain or address it is for. Default: the whole server."
)
kind_option = click.option("--kind", type=click.Choice(KINDS), default=None, help="Default: by its form.")
verdict_option = click.option("--allow/--deny", "allow", default=False, help="Let in, or (the default) keep out.")
action_option = click.option(
    "--action",
    type=click.Choice(["reject", "junk", "discard"]),
    default="reject",
    show_default=True,
    help="The treatment of mail that is denied.",
)
expiry_option = click.option(
    "--for", "lasting", type=DurationType(), default=0.0, help="How long: 30d, 12h. Default: ever."
)


def as_row(entry: ListEntry) -> dict[str, Any]:
    """An entry as commands show it."""
    row = asdict(entry)
    return row | {"expires_at": moment(entry.expires_at), "scope": entry.scope or None}


@click.group()
def list() -> None:
    """Local lists: clients and senders that the server, a domain or a user allows or denies.

    An entry that allows has precedence over all that deny. A running server sees a change within seconds.
    """


def _entry(
    value: str, allow: bool, kind: str | None, scope: str, action: str, lasting: float, comment: str = ""
) -> ListEntry:
    verdict: ListVerdict = "allow" if allow else "deny"
    try:
        entry = entry_of(value, verdict, kind=kind or "", scope=scope, action=cast(EntryAction, action))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return evolve(entry, comment=comment, expires_at=time.time() + lasting if lasting else 0.0)


@list.command()
@click.argument("value")
@verdict_option
@kind_option
@scope_option
@action_option
@expiry_option
@click.option("--comment", default="", help="Why.")
@config_option
@json_option
def add(
    value: str,
    allow: bool,
    kind: str | None,
    scope: str,
    action: str,
    lasting: float,
    comment: str,
    config_file: Path,
    as_json: bool,
) -> None:
    """Add VALUE: an IP address or network, a domain (and all below it), user@domain, or helo:NAME."""
    entry = _entry(value, allow, kind, scope, action, lasting, comment)

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IListStore).add([entry])

    on_store(config_file, operation)
    print_done(f"{entry.verdict} {entry.kind} {entry.value}", as_row(entry), as_json)


@list.command()
@click.argument("value")
@kind_option
@scope_option
@config_option
@json_option
def remove(value: str, kind: str | None, scope: str, config_file: Path, as_json: bool) -> None:
    """Remove the entry of VALUE."""
    entry = _entry(value, False, kind, scope, "reject", 0)

    async def operation(store: IMailStore, settings: Settings) -> int:
        return await needed(store, IListStore).remove(entry.scope, entry.kind, entry.value)

    if not on_store(config_file, operation):
        raise click.ClickException(f"nothing is said about {entry.kind} {entry.value}")
    print_done(f"removed {entry.kind} {entry.value}", {"removed": entry.value, "kind": entry.kind}, as_json)


@list.command()
@click.option("--scope", default=None, help="Only of this domain, address, or '' for the server's own.")
@config_option
@json_option
def show(scope: str | None, config_file: Path, as_json: bool) -> None:
    """Entries in the store."""
    try:
        wanted = scope_of(scope) if scope is not None else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    async def operation(store: IMailStore, settings: Settings) -> Sequence[ListEntry]:
        return await needed(store, IListStore).entries(wanted)

    rows = [as_row(entry) for entry in on_store(config_file, operation)]
    print_rows(rows, ["scope", "verdict", "kind", "value", "action", "expires_at", "comment"], as_json)


@list.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@verdict_option
@scope_option
@action_option
@expiry_option
@config_option
@json_option
def import_(
    file: IO[str], allow: bool, scope: str, action: str, lasting: float, config_file: Path, as_json: bool
) -> None:
    """Add the entries of FILE, one a line: [allow|deny] [kind:]value [comment]. All of them or none."""
    verdict: ListVerdict = "allow" if allow else "deny"
    expires_at = time.time() + lasting if lasting else 0.0
    try:
        found = entries_in_text(file.read(), verdict, cast(EntryAction, action))
        entries = [evolve(entry, scope=scope_of(scope), expires_at=expires_at) for entry in found]
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IListStore).add(entries)

    on_store(config_file, operation)
    print_done(f"added {len(entries)}", {"added": len(entries)}, as_json)
