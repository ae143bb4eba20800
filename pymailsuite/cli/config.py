"""``pymailsuite config``."""

from __future__ import annotations

from pathlib import Path

import click

from pymailsuite.cli.operation import config_option, json_option, settings_of
from pymailsuite.cli.output import print_done, print_json
from pymailsuite.config.reference import toml_value
from pymailsuite.config.show import EffectiveOption, effective_options

file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)


@click.group()
def config() -> None:
    """The configuration file."""


@config.command()
@file_argument
@config_option
@json_option
def check(file: Path | None, config_file: Path, as_json: bool) -> None:
    """Say whether a file is a good configuration; each fault is named with its key."""
    path = file or config_file
    settings_of(path)
    print_done(f"{path}: good", {"file": str(path), "good": True}, as_json)


@config.command()
@file_argument
@click.option("--changed", is_flag=True, help="Leave defaults out.")
@config_option
@json_option
def show(file: Path | None, changed: bool, config_file: Path, as_json: bool) -> None:
    """The settings in effect; those nobody set are marked as defaults."""
    options = [
        option for option in effective_options(settings_of(file or config_file)) if not (changed and option.is_default)
    ]
    if as_json:
        print_json({option.key: {"value": option.value, "default": option.is_default} for option in options})
        return
    section = ""
    for option in options:
        table, _, name = option.key.rpartition(".")
        if table != section:
            click.echo(("\n" if section else "") + f"[{table}]")
            section = table
        click.echo(_line(name, option))


def _line(name: str, option: EffectiveOption) -> str:
    value = "# not set" if option.value is None else toml_value(option.value)
    return f"{name} = {value}  # default" if option.is_default else f"{name} = {value}"
