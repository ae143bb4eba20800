"""What holds for the whole run: ``--store-url``, the database the tests' stores are made on, and signals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import pytest

from tests.support import stores

_OPTION = "store_url"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store-url",
        default="",
        help="run on the stores of this PostgreSQL (postgresql://...), or with 'pgserver' on one started for the run;"
        " without it on SQLite",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Where it is set, each of the hundreds of processes that tests start would compile all of pymailsuite anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A protocol starts what runs in the background deaf to Ctrl-C. The servers we start, and stop so, would be too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    url = config.getoption(_OPTION)
    if not url:
        return
    if hasattr(config, "workerinput"):  # of pytest-xdist: its parent has started the server
        url = config.workerinput[_OPTION]
    elif url == "pgserver":
        from tests.support.postgres import PostgresServer

        server = PostgresServer()
        config.add_cleanup(server.remove)
        server.start()
        url = server.url()
    config.stash[_URL] = url
    config.add_cleanup(stores.use_postgres(url))


_URL = pytest.StashKey[str]()


def pytest_configure_node(node: object) -> None:
    """Tell a process of pytest-xdist where the server is."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    node.workerinput[_OPTION] = config.stash.get(_URL, "")  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a PostgreSQL only what makes stores is run: the rest does the same as on SQLite.

    What takes long comes first: at the end no process of pytest-xdist waits for another.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if not config.stash.get(_URL, ""):
        return
    kept = [
        item
        for item in items
        if item.get_closest_marker("sqlite") is None
        and (not isinstance(item, pytest.Function) or _makes_stores(item.module.__name__))
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@cache
def _makes_stores(name: str) -> bool:
    """Whether a module of tests has something of ``tests.support.stores``, by way of other modules of tests too."""
    if name == stores.__name__:
        return True
    module = sys.modules[name]
    used = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    return any(
        isinstance(other, str) and other.startswith("tests.") and other != name and _makes_stores(other)
        for other in used
    )


@pytest.fixture(autouse=True)
def _stores_of_one_test() -> Iterator[None]:
    yield
    stores.take_back_all()
