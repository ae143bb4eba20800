"""Finds what would keep the server from starting, without starting it.

The parts of the server are made as at a start, in a folder that is thrown away, so whatever they refuse is found here
too: a checker that is not there, a policy with a wrong option, a certificate without its key. What has to do with files
and the store is tried as the user whom the server runs as.
"""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from pymailsuite.config.loader import former_names_in
from pymailsuite.config.settings import Settings
from pymailsuite.config.show import effective_options, without_password
from pymailsuite.errors import ConfigError, MailError
from pymailsuite.server.data_folder import store_url
from pymailsuite.server.process import as_user
from pymailsuite.store import is_database, open_engine
from pymailsuite.store.engines.base import Engine
from pymailsuite.store.migrate import schema_steps
from pymailsuite.store.moving.session import StoreSession, schema_version_txn

_STORE_FILES: Final = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.sqlite-turn")
_LOOK_AGAIN_S: Final = 0.5


def faults_of_start(settings: Settings, user: tuple[int, int] | None) -> list[str]:
    """A line for each thing that would keep a server with these settings from starting as this user."""
    found = as_user(None, lambda: list(_parts_faults(settings)))
    # A start reads these before it becomes the user, but a renewed certificate is read as that user.
    found += as_user(user, lambda: list(_tls_faults(settings)))
    return list(dict.fromkeys(found + faults_of_store(settings, user)))


def faults_of_store(settings: Settings, user: tuple[int, int] | None, patience_s: float = 0.0) -> list[str]:
    """Those of these faults that concern files, folders and the store, as that user sees them.

    A database that is away has ``patience_s`` seconds to come back.
    """
    try:
        # Whatever has to be loaded is loaded now: the user need not be able to read our Python.
        schema_steps()
        url = store_url(settings)
        engine = open_engine(url, settings.store) if is_database(url) else None
    except ConfigError as error:
        return [error.public]
    return as_user(user, lambda: list(_store_faults(settings, engine, patience_s)))


def warnings_of(settings: Settings, path: Path) -> list[str]:
    """Conditions that do not prevent a start, but that an operator should know: secrets in a configuration file that
    others can read, and sections that go by names of earlier releases."""
    warnings = [f"{path}: {line}" for line in former_names_in(path)]
    secrets = [option.key for option in effective_options(settings) if option.is_secret]
    if secrets and path.stat().st_mode & stat.S_IROTH:
        warnings.append(f"{path} can be read by everybody, and there are secrets in it: {', '.join(secrets)}")
    return warnings


def _parts_faults(settings: Settings) -> Iterator[str]:
    from twisted.internet import reactor

    from pymailsuite.server.service import MailService

    with tempfile.TemporaryDirectory() as folder:
        server = settings.server.model_copy(update={"data_dir": Path(folder)})
        store = settings.store.model_copy(update={"url": store_url(settings)})
        try:
            MailService(settings.model_copy(update={"server": server, "store": store}), reactor)
        except ConfigError as error:
            yield error.public


def _tls_faults(settings: Settings) -> Iterator[str]:
    for key, path in (("certificate", settings.tls.certificate), ("private_key", settings.tls.private_key)):
        if path is not None and path.exists() and not os.access(path, os.R_OK):
            yield f"tls.{key}: {path} cannot be read by {_name(os.geteuid())}, whom the server runs as"


def _store_faults(settings: Settings, engine: Engine | None, patience_s: float) -> Iterator[str]:
    folder = settings.server.data_dir
    fault = _folder_fault(folder)
    if fault:
        yield f"server.data_dir: {fault}"
        return
    if settings.log.file is not None and (fault := _folder_fault(settings.log.file.parent)):
        yield f"log.file: {fault}"
    if engine is None:
        # What is wrong with a store of another kind it says itself when it is opened.
        return
    if not settings.store.url:
        # SQLite's own words for these name neither the file nor the user.
        foreign = [path for name in _STORE_FILES if not _is_ours(path := folder / name)]
        if foreign:
            yield from (f"{path} {_belongs(path)}" for path in foreign)
            return
        if not (folder / _STORE_FILES[0]).exists():
            return
    name = without_password(settings.store.url) or str(folder / _STORE_FILES[0])
    deadline = time.monotonic() + patience_s
    try:
        while (fault := _look_at(engine, settings)) and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
    except ConfigError as error:
        fault = error.public
    if fault:
        yield f"the store {name}: {fault}"


def _look_at(engine: Engine, settings: Settings) -> str:
    """What is wrong with the store now and may not be later; empty if nothing is, or there is none yet. ConfigError
    for what lasts: it is not a store for this release."""
    try:
        with closing(StoreSession(engine, settings.store, writable=False)) as session:
            if "schema_version" in session.table_names():
                session.read("look at the schema", schema_version_txn, once=True)
    except ConfigError:
        raise
    except MailError as error:
        return str(error)
    except Exception as error:
        if engine.error_kind(error) is None:
            raise
        return " ".join(str(error).split())
    return ""


def _folder_fault(folder: Path) -> str:
    """What is wrong with a folder that is to be written in, and made if it is missing; empty if nothing is."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return f"{there} is not a folder"
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        what = "" if there == folder else f"{folder} cannot be made: "
        return f"{what}{there} {_belongs(there)}"
    return ""


def _is_ours(path: Path) -> bool:
    return not path.exists() or os.access(path, os.R_OK | os.W_OK)


def _belongs(path: Path) -> str:
    owner, user = _name(path.stat().st_uid), _name(os.geteuid())
    return f"belongs to {owner}, and {user}, whom the server runs as, may not write there"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
