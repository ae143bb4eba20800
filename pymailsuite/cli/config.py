"""``pymailsuite config``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pymailsuite.cli.operation import ConfigFault, config_option, json_option, settings_of
from pymailsuite.cli.output import print_json
from pymailsuite.config.reference import toml_value
from pymailsuite.config.show import EffectiveOption, effective_options
from pymailsuite.errors import ConfigError
from pymailsuite.server.data_folder import server_user
from pymailsuite.server.start_check import faults_of_start, warnings_of

file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)


@click.group()
def config() -> None:
    """The configuration file."""


@config.command()
@file_argument
@click.option("--user", default="", metavar="NAME", help="The user that the server runs as.  [default: server.user]")
@config_option
@json_option
def check(file: Path | None, user: str, config_file: Path, as_json: bool) -> None:
    """Say whether the server would start with a file; each fault is named with its key.

    Beside the settings themselves this covers everything they name: certificate and key, checkers, policies and their
    options, the data folder, the store and its version, as the user the server runs as. Nothing is changed, and ports
    are not looked at, which the running server holds.
    """
    path = file or config_file
    settings = settings_of(path)
    try:
        faults = faults_of_start(settings, server_user(settings, user))
    except ConfigError as error:
        faults = [error.public]
    warnings = warnings_of(settings, path)
    if as_json:
        print_json({"file": str(path), "good": not faults, "faults": faults, "warnings": warnings})
    else:
        for line in warnings:
            click.echo(f"Warning: {line}", err=True)
        for line in faults:
            click.echo(f"Error: {path}: {line}", err=True)
        if not faults:
            click.echo(f"{path}: good")
    if faults:
        sys.exit(ConfigFault.exit_code)


@config.command()
@file_argument
@click.option("--changed", is_flag=True, help="Leave defaults out.")
@config_option
@json_option
def show(file: Path | None, changed: bool, config_file: Path, as_json: bool) -> None:
    """The settings in effect; those that are not set are marked as defaults."""
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
