"""``--store-url``: which database the tests' stores are made on."""

from __future__ import annotations

from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _stores_of_one_test() -> Iterator[None]:
    yield
    stores.take_back_all()
