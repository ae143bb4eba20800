"""Common parts of all commands on the store: the options, and one short run of the reactor with the store open."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from pymailsuite.config.loader import load_settings
from pymailsuite.config.settings import Settings
from pymailsuite.directory.names import parse_address
from pymailsuite.errors import ConfigError, MailError
from pymailsuite.interfaces import IMailStore
from pymailsuite.server.data_folder import add_configured_domains, enter_data_folder, store_of
from pymailsuite.values import Address

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PYMAILSUITE_CONFIG",
    default=Path("/etc/pymailsuite.toml"),
    show_default=True,
    show_envvar=True,
    help="The server's configuration file.",
)


_DEV_CONFIG: Final = Path("dev-data/pymailsuite.toml")
"""What ``make run`` has written in the folder it was run from."""


class ConfigFault(click.ClickException):
    """The configuration is wrong."""

    exit_code = 2


def settings_of(config_file: Path) -> Settings:
    """The settings of a file. ConfigFault with what is wrong."""
    try:
        return load_settings(config_file)
    except ConfigError as error:
        hint = ""
        if not config_file.exists() and _DEV_CONFIG.exists():
            hint = f"; that of the server that runs here is {_DEV_CONFIG}: --config FILE, or PYMAILSUITE_CONFIG=FILE"
        raise ConfigFault(error.public + hint) from None


def on_store(config_file: Path, operation: Callable[[IMailStore, Settings], Awaitable[T]]) -> T:
    """Open the store the file describes, run the operation on it, close it; what the operation answered.

    A MailError becomes the command's error message.
    """
    settings = settings_of(config_file)
    try:
        enter_data_folder(settings)
        answer: T = run_in_reactor(lambda reactor: _with_store(reactor, settings, operation))
        return answer
    except ConfigError as error:
        raise ConfigFault(error.public) from None
    except MailError as error:
        raise click.ClickException(str(error)) from None


async def _with_store(reactor: Any, settings: Settings, operation: Callable[[IMailStore, Settings], Awaitable[T]]) -> T:
    store = store_of(settings, reactor)
    await store.open()
    try:
        # The server may never have run yet.
        await add_configured_domains(store, settings)
        return await operation(store, settings)
    finally:
        await store.close()


def run_in_reactor(main: Callable[[Any], Any]) -> Any:
    """What the coroutine ``main(reactor)`` answers or raises. Runs the reactor, so only once in a process."""
    outcome: list[Any] = []

    def start(reactor: Any) -> Deferred[None]:
        running: Deferred[Any] = Deferred.fromCoroutine(main(reactor))
        return running.addBoth(outcome.append)

    try:
        react(start)
    except SystemExit:
        if not outcome:
            # A signal, or the reactor itself, ended it.
            raise
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


class AddressType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An address, ``local@domain``; a local part in quotes may hold anything."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """An Address with the domain in lower case."""
        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def new_password(from_stdin: bool) -> str:
    """A password, asked for twice at the terminal or read from standard input, one line. Never an argument: everybody
    who can list processes sees those."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        raise click.UsageError("no terminal to ask for the password at; use --password-stdin")
    if not password:
        raise click.UsageError("the password is empty")
    return password
