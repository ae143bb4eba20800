"""What the server and the operator's commands both begin with: the data folder and the store in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pymailsuite.config.settings import Settings
from pymailsuite.errors import AlreadyExists, ConfigError
from pymailsuite.interfaces import IMailStore
from pymailsuite.store import mail_store

_FOLDER_MODE: Final = 0o750


def store_url(settings: Settings) -> str:
    """Where the store is: ``[store] url``, or else a SQLite file in the data folder."""
    return settings.store.url or f"sqlite://{quote(str(settings.server.data_dir / 'store.sqlite'))}"


def store_of(settings: Settings, reactor: Any) -> IMailStore:
    """The store these settings describe, not yet open. ConfigError if they name a kind there is not."""
    return mail_store(
        settings.store,
        reactor,
        url=store_url(settings),
        scan_limits=settings.message.scan_limits(),
        history_keep_s=settings.history.keep,
    )


async def add_configured_domains(store: IMailStore, settings: Settings) -> list[str]:
    """Make ``[server] domains`` ours in an open store; those that were not yet."""
    added = []
    for name in settings.server.domains:
        if await store.directory.domain(name) is None:
            try:
                await store.directory.add_domain(name)
            except AlreadyExists:
                # Another process on the same store was quicker.
                continue
            added.append(name)
    return added


def make_folder(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Make the data folder if it is missing, and give it to ``owner`` (uid, gid). ConfigError if that cannot be."""
    try:
        if not folder.is_dir():
            folder.mkdir(mode=_FOLDER_MODE, parents=True)
            if owner is not None:
                os.chown(folder, *owner)
    except OSError as error:
        raise ConfigError(f"server.data_dir: {folder}: {error.strerror or error}") from None


def give_to(owner: tuple[int, int], folder: Path) -> None:
    """Make a folder and the files in it the user's (uid, gid) that the server will run as."""
    for path in (folder, *folder.iterdir()):
        os.chown(path, *owner)


def become_owner(folder: Path) -> None:
    """Root working on a folder that is another user's becomes that user for good.

    Files that root made there, such as SQLite's log of a store nobody has open, would lock the server out.
    """
    if os.geteuid() != 0 or not folder.is_dir():
        return
    owner = folder.stat()
    if owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
