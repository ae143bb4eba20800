"""Stores for tests, without threads: on SQLite in memory, or on the PostgreSQL that ``pytest --store-url`` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from pymailsuite.config.sections.quota import NO_QUOTA_SETTINGS, QuotaSettings
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import Account, Appended, NewMessage, StagedContent
from pymailsuite.store import MailStore, inline_store
from pymailsuite.store.database import InlineDatabase
from pymailsuite.values import Flags

if TYPE_CHECKING:
    from tests.support.postgres import Schemas

schemas: Schemas | None = None
"""Where stores are made; None: on SQLite."""


def use_postgres(url: str) -> Callable[[], None]:
    """Make stores on a PostgreSQL from now on; the function that ends it."""
    from tests.support.postgres import Schemas

    global schemas
    schemas = used = Schemas(url)

    def stop() -> None:
        global schemas
        schemas = None
        used.close()

    return stop


def take_back_all() -> None:
    """The test that stores were made for is over."""
    if schemas is not None:
        schemas.take_back_all()


def lent_url() -> str:
    """The URL of an empty store for this test; empty: there is no database to have one on."""
    return "" if schemas is None else schemas.lend().url


def fired(deferred: Deferred[object]) -> object:
    """The result of a Deferred that must have fired; raises what it failed with."""
    results: list[object] = []
    failures = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "the Deferred has not fired"
    return results[0]


def make_store(
    clock: IReactorTime | None = None,
    settings: StoreSection | None = None,
    quota: QuotaSettings = NO_QUOTA_SETTINGS,
) -> MailStore:
    """An open, empty store in which each Deferred has fired when it is returned.

    Without ``clock`` its time stands still at a moment in 2026.
    """
    if clock is None:
        clock = Clock()
        clock.advance(1_770_000_000)
    settings = settings or StoreSection()
    if schemas is None:
        store = inline_store(settings, clock, quota=quota)
    else:
        engine = schemas.lend().engine
        store = MailStore(lambda notices: InlineDatabase(engine, settings, notices.announce), clock, quota=quota)
    fired(store.open())
    return store


def make_account(store: MailStore, login_name: str = "ann@example.org", password_hash: str = "") -> Account:
    """An account with its first mailboxes; its domain is made if it is missing."""
    domain = login_name.rpartition("@")[2]
    if fired(store.directory.domain(domain)) is None:
        fired(store.directory.add_domain(domain))
    account = fired(store.directory.add_account(login_name, password_hash, ""))
    assert isinstance(account, Account)
    return account


def stage(store: MailStore, octets: bytes) -> StagedContent:
    """A message's octets, ready to be appended or accepted."""
    writer = store.new_content()
    writer.write(octets)
    content = fired(writer.finish())
    assert isinstance(content, StagedContent)
    return content


def append(store: MailStore, account: Account, mailbox: str, *messages: bytes, flags: Sequence[Flags] = ()) -> Appended:
    """Messages in a mailbox, each with its flags if ``flags`` names them."""
    new = [
        NewMessage(stage(store, octets), flags[number] if number < len(flags) else Flags())
        for number, octets in enumerate(messages)
    ]
    appended = fired(store.account_mail(account.account_id).append(mailbox, new))
    assert isinstance(appended, Appended)
    return appended


class Without:
    """A store that lacks some abilities."""

    def __init__(self, store: MailStore, *lacks: type) -> None:
        self._store = store
        self._lacks = lacks

    def ability(self, interface: type) -> object | None:
        return None if interface in self._lacks else self._store.ability(interface)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
