"""``pymailsuite secret``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from pymailsuite.cli.operation import ConfigFault, config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.directory.return_paths import SECRET, secrets_kept_s
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.keys import IKeyStore
from pymailsuite.interfaces.secrets import ISecretStore, Secret
from pymailsuite.interfaces.store import needed
from pymailsuite.store.encryption import add_encryption_key

_NAMES: Final = {"return-paths": SECRET}
"""What secrets are for, as commands call it and as the store does."""


def as_row(name: str, secret: Secret) -> dict[str, Any]:
    """A secret as commands show it: nothing of its octets."""
    return {
        "name": name,
        "state": "current" if secret.retired_at is None else "retired",
        "made_at": moment(secret.made_at),
        "retired_at": moment(secret.retired_at),
    }


@click.group()
def secret() -> None:
    """Secrets in the store: those that sign return paths (SRS, bounce tags), and their encryption."""


@secret.command("list")
@config_option
@json_option
def list_secrets(config_file: Path, as_json: bool) -> None:
    """The secrets there are, and since when; never the secrets themselves."""

    async def operation(store: IMailStore, settings: Settings) -> list[dict[str, Any]]:
        rows = []
        for shown, name in _NAMES.items():
            known: Sequence[Secret] = await needed(store, ISecretStore).secrets(name)
            rows += [as_row(shown, one) for one in known]
        return rows

    print_rows(on_store(config_file, operation), ["name", "state", "made_at", "retired_at"], as_json)


@secret.command()
@click.argument("name", type=click.Choice(list(_NAMES)))
@config_option
@json_option
def rotate(name: str, config_file: Path, as_json: bool) -> None:
    """Make a new secret. Running servers sign with it a minute later. Signatures with the one before are accepted until
    they expire."""

    async def operation(store: IMailStore, settings: Settings) -> Secret:
        drop_before = time.time() - secrets_kept_s(settings.forwarding, settings.bounce_tags)
        return await needed(store, ISecretStore).rotate(_NAMES[name], drop_before)

    made = on_store(config_file, operation)
    print_done(f"{name} are signed with a new secret", as_row(name, made), as_json)


@secret.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def keygen(file: Path, as_json: bool) -> None:
    """Put a new key to encrypt with at the top of FILE, which is made if it is missing: for [store] encryption_keys.
    The file must belong to the user the server runs as.

    Those below still decrypt. Copy the file to all nodes, then run: pymailsuite secret encrypt
    """
    try:
        name = add_encryption_key(file)
    except ConfigError as error:
        raise ConfigFault(error.public) from None
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    print_done(f"{file}: new key {name}", {"file": str(file), "key": name}, as_json)


@secret.command()
@config_option
@json_option
def encrypt(config_file: Path, as_json: bool) -> None:
    """Encrypt all private keys and secrets in the store with the first key of [store] encryption_keys. Those below it
    are then needed for old backups only."""

    async def operation(store: IMailStore, settings: Settings) -> dict[str, int]:
        if settings.store.encryption_keys is None:
            raise ConfigError("store.encryption_keys: there is no key to encrypt with")
        return {
            "signing_keys": await needed(store, IKeyStore).seal_anew(),
            "secrets": await needed(store, ISecretStore).seal_anew(),
        }

    done = on_store(config_file, operation)
    text = f"encrypted {done['signing_keys']} private keys and {done['secrets']} secrets"
    print_done(text, done, as_json)
