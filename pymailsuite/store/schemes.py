"""The kinds of stores, built-in ones and those of other packages, by the schemes of their URLs."""

from __future__ import annotations

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from pymailsuite.config.sections.quota import NO_QUOTA_SETTINGS
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces.store import IMailStore, IStoreScheme, StoreContext
from pymailsuite.plugins import NamedMaker, plugins_by_name
from pymailsuite.store.mail_store import MailStore, mail_store


@implementer(IPlugin, IStoreScheme)
@frozen
class StoreScheme(NamedMaker):
    """One kind of store, declared in a module of ``twisted/plugins/``:

    ``sqlite = StoreScheme("sqlite", "pymailsuite.store.schemes.database_store")``

    ``maker`` is the full name of a function that takes a StoreContext and returns the store.
    """


def store_at(context: StoreContext) -> IMailStore:
    """The store that a URL names, not yet open. ConfigError if there is no such kind, or it cannot be used."""
    schemes = plugins_by_name(IStoreScheme)
    name = context.url.partition(":")[0]
    if name not in schemes:
        raise ConfigError(f"store.url: no store of the kind {name!r}; there are {', '.join(sorted(schemes))}")
    return schemes[name].make(context)


def database_store(context: StoreContext) -> MailStore:
    """For the plugins: the store in SQLite or PostgreSQL."""
    return mail_store(
        context.settings,
        context.reactor,
        url=context.url,
        scan_limits=context.scan_limits,
        history_keep_s=context.history_keep_s,
        quota=context.quota or NO_QUOTA_SETTINGS,
    )
