"""``pymailsuite reputation``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.dns.names import comparable_name
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.reputation import Event, IdentityKind, IReputationStore, Reputation
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.reputation.scoring import standing_of

_COLUMNS = ("kind", "name", *(event.value for event in Event), "score", "first_seen")


def _row(reputation: Reputation, settings: Settings) -> dict[str, Any]:
    standing = standing_of(reputation, settings.reputation)
    return {
        "kind": reputation.identity.kind,
        "name": reputation.identity.name,
        **{event.value: round(getattr(reputation, event.value), 1) for event in Event},
        "score": None if standing is None else standing.score,
        "first_seen": moment(reputation.first_seen),
    }


@click.group()
def reputation() -> None:
    """The history of mail from verified domains, verified addresses and networks.

    The numbers are events, each weighing less as time goes by; the score is what a message gets for them.
    """


@reputation.command()
@click.argument("name", default="")
@click.option("--kind", type=click.Choice(["address", "domain", "network"]), default=None, help="Only of this kind.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@config_option
@json_option
def show(name: str, kind: str | None, limit: int, config_file: Path, as_json: bool) -> None:
    """Show the reputation of NAME (example.com, user@example.com, 192.0.2.0/24), or of all, the last noted first."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[dict[str, Any]]:
        half_life_s = settings.reputation.half_life
        found = await needed(store, IReputationStore).all(
            cast(IdentityKind | None, kind), comparable_name(name), half_life_s, limit
        )
        return [_row(one, settings) for one in found]

    print_rows(on_store(config_file, operation), _COLUMNS, as_json)


@reputation.command()
@click.argument("name")
@config_option
@json_option
def forget(name: str, config_file: Path, as_json: bool) -> None:
    """Forget the reputation of NAME: it counts as unknown from then on."""

    async def operation(store: IMailStore, settings: Settings) -> int:
        return await needed(store, IReputationStore).forget(comparable_name(name))

    if not on_store(config_file, operation):
        raise click.ClickException(f"nothing is known of {name}")
    print_done(f"forgot {name}", {"forgotten": name}, as_json)
