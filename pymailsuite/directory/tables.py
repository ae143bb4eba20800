"""Lookup tables: where mail goes for addresses that the store does not know, as plugins say.

The tables of the settings are asked in their order, first all of them for the whole address, then for the address
without its detail, then for ``@domain``: so what one table says of an address goes before what another says of its
domain. Whatever keeps a table from answering is a temporary failure: no address is unknown because a table is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen
from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.directory.names import parse_address
from pymailsuite.directory.routes import key_of
from pymailsuite.errors import ConfigError, MailError, TemporaryFailure
from pymailsuite.interfaces.lookup import ILookupTable, ILookupTableFactory
from pymailsuite.memory import ExpiringMemory
from pymailsuite.plugins import NamedMaker, PluginService, plugin_named, plugins_by_name
from pymailsuite.values import Address

log = Logger()

MAX_ADDRESS: Final = 254
"""Octets of an address. Source: RFC 5321 §4.5.3.1.3, without the angle brackets of a path."""


@frozen
class TableContext:
    """What a table is made of. ``argument`` is what stands behind the colon in the settings.

    ``in_thread`` calls a function with arguments in a thread of ``reactor``.
    """

    settings: DirectorySettings
    reactor: IReactorTime
    in_thread: Callable[..., Deferred[Any]]
    argument: str = ""


@implementer(ILookupTable)
class LookupTable:
    """Override ``lookup``."""

    services: Sequence[IService] = ()

    def lookup(self, key: str) -> Any:
        raise NotImplementedError


@implementer(IPlugin, ILookupTableFactory)
@frozen
class LookupTablePlugin(NamedMaker):
    """A kind of table, declared in a module of ``twisted/plugins/``:

    ``text = LookupTablePlugin("text", "pymailsuite.directory.text_table.make_table")``

    ``maker`` is the full name of a function that takes a TableContext and answers the table.
    """


def make_tables(
    context: TableContext, factories: Mapping[str, ILookupTableFactory] | None = None
) -> LookupTables | None:
    """Those of the settings; None if they name none. ConfigError for a kind that there is not, and for a table that
    cannot be made. ``factories`` None: the plugins there are."""
    descriptions = context.settings.tables
    if not descriptions:
        return None
    if factories is None:
        factories = plugins_by_name(ILookupTableFactory)
    made: dict[str, ILookupTable] = {}
    for description in descriptions:
        name, _, argument = description.partition(":")
        factory = plugin_named(factories, name, "directory.tables", "kind of table")
        try:
            table = factory.make(evolve(context, argument=argument))
            verifyObject(ILookupTable, table)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"directory.tables: {description!r} cannot be made: {error!r}") from error
        made[description] = table
    return LookupTables(context.settings, made, context.reactor)


def target_of(value: str) -> Address:
    """The address that a value of a table names. ValueError."""
    if len(value.encode()) > MAX_ADDRESS:
        raise ValueError(f"an address of more than {MAX_ADDRESS} octets")
    return parse_address(value)


class LookupTables:
    """``tables``: by the descriptions that the settings have of them, in their order."""

    def __init__(self, settings: DirectorySettings, tables: Mapping[str, ILookupTable], clock: IReactorTime) -> None:
        self._settings = settings
        self._tables = tables
        self._clock = clock
        # What is not there is remembered too.
        self._answers: ExpiringMemory[tuple[str, str], tuple[Address, ...]] = ExpiringMemory(
            clock,
            settings.table_cache_entries,
            size_of=lambda targets: max(1, len(targets)),
            most_size=settings.table_cache_entries,
        )
        self.services = tuple(
            [PluginService(name, service) for name, table in tables.items() for service in table.services]
        )

    async def targets(self, address: Address, user: str = "", *, catch_all: bool = True) -> tuple[Address, ...]:
        """Where mail for the address goes, ``user`` being its local part without the detail; empty if no table knows.

        ``catch_all`` False: ``@domain`` is not asked for, since others get the mail before that. TemporaryFailure if a
        table whose turn it was could not be asked."""
        for key in _keys(address, user, catch_all):
            for name, table in self._tables.items():
                targets = self._answers.get((name, key))
                if targets is None:
                    targets = await self._ask(name, table, key)
                    self._answers.put((name, key), targets, self._settings.table_cache_life)
                if targets:
                    return targets
        return ()

    async def _ask(self, name: str, table: ILookupTable, key: str) -> tuple[Address, ...]:
        timeout_s = self._settings.table_timeout
        try:
            return self._checked(await maybeDeferred(table.lookup, key).addTimeout(timeout_s, self._clock))
        except CancelledError:
            raise
        except Exception as error:
            late = isinstance(error, DeferredTimeout)
            reason = f"no answer in {timeout_s:g} seconds" if late else str(error) or repr(error)
            told: dict[str, Any] = {"event": "directory.table_failed", "table": name, "address": key, "reason": reason}
            if late or isinstance(error, MailError):
                log.warn("{event} {table} {address}: {reason}", **told)
            else:
                log.failure("{event} {table} {address}: {reason}", **told)
            raise TemporaryFailure(cause=f"lookup table {name}: {reason}") from error

    def _checked(self, values: Any) -> tuple[Address, ...]:
        """The addresses that a table has answered. TypeError, ValueError if it has answered anything else."""
        if values is None:
            return ()
        if isinstance(values, str | bytes) or not isinstance(values, Sequence):
            raise TypeError(f"it answered a {type(values).__name__}, not a sequence of addresses")
        if len(values) > self._settings.max_alias_targets:
            raise ValueError(f"it answered {len(values)} values")
        return tuple([target_of(value) for value in values])


def _keys(address: Address, user: str, catch_all: bool) -> Iterator[str]:
    local_part, domain = key_of(address)
    yield str(Address(local_part, domain))
    if user:
        yield str(Address(user, domain))
    if catch_all:
        yield f"@{domain}"
