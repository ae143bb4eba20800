"""The data folder and the store in it, for the server and the operator's commands."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pymailsuite.config.settings import Settings
from pymailsuite.errors import AlreadyExists, ConfigError
from pymailsuite.interfaces import IDirectoryStore, IMailStore, StoreContext
from pymailsuite.server.process import become_user
from pymailsuite.store.schemes import store_at

_FOLDER_MODE: Final = 0o750


def store_url(settings: Settings) -> str:
    """Where the store is: ``[store] url``, or else a SQLite file in the data folder."""
    return settings.store.url or f"sqlite://{quote(str(settings.server.data_dir / 'store.sqlite'))}"


def store_of(settings: Settings, reactor: Any) -> IMailStore:
    """The store these settings describe, not yet open. ConfigError if they name an unknown kind."""
    return store_at(
        StoreContext(
            store_url(settings),
            settings.store,
            reactor,
            settings.message.scan_limits(),
            settings.history.keep,
            settings.quota,
        )
    )


async def add_configured_domains(store: IMailStore, settings: Settings) -> list[str]:
    """Make ``[server] domains`` ours in an open store; those that were not yet. A directory that is only read has its
    own."""
    added: list[str] = []
    directory = store.ability(IDirectoryStore)
    if directory is None:
        return added
    for name in settings.server.domains:
        if await directory.domain(name) is None:
            try:
                await directory.add_domain(name)
            except AlreadyExists:
                # Another process on the same store was quicker.
                continue
            added.append(name)
    return added


def make_folder(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Make the data folder if it is missing, and give it to ``owner`` (uid, gid). ConfigError if that cannot be.

    One that is root's goes to the owner with all that is in it: commands were run before the server's first start.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(mode=_FOLDER_MODE, parents=True)
            if owner is not None:
                os.chown(folder, *owner)
        elif owner is not None and owner[0] != 0 and folder.stat().st_uid == 0:
            give_to(owner, folder)
    except OSError as error:
        raise ConfigError(f"server.data_dir: {folder}: {error.strerror or error}") from None


def give_to(owner: tuple[int, int], folder: Path) -> None:
    """Make a folder and all that is in it the user's (uid, gid) that the server will run as."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *owner, follow_symlinks=False)


def server_user(settings: Settings, name: str = "") -> tuple[int, int] | None:
    """The user (uid, gid) that the server runs as: the user of that name, that of ``server.user``, or the owner of the
    data folder. None: whoever asks, who is not root or has nothing to go by. ConfigError if there is no user of that
    name.
    """
    name = name or settings.server.user
    if name:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            raise ConfigError(f"server.user: there is no user {name}") from None
        return user.pw_uid, user.pw_gid
    if os.geteuid() != 0 or not settings.server.data_dir.is_dir():
        return None
    owner = settings.server.data_dir.stat()
    return owner.st_uid, owner.st_gid


def enter_data_folder(settings: Settings, *, make: bool = True) -> None:
    """For a command: the data folder is there, and root becomes for good the user whom the server runs as.

    Files that root made there, such as SQLite's log of a store nobody has open, would lock the server out. Without
    ``make`` a folder that is missing stays so. ConfigError if it cannot be made.
    """
    folder = settings.server.data_dir
    owner = server_user(settings)
    if make:
        make_folder(folder, owner if os.geteuid() == 0 else None)
    if folder.is_dir():
        become_user(owner)
