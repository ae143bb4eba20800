"""Finds plugins, ours and those of other packages, and makes what they declare.

Plugins are found by ``twisted.plugin`` in ``twisted/plugins/`` of every folder on ``sys.path``. One that cannot be
loaded or made, that has no name, or a name that is taken, is reported by name in the log and left out; the others are
there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from attrs import frozen
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.plugin import getCache
from twisted.python.failure import Failure
from twisted.python.modules import getModule
from twisted.python.reflect import namedAny

import twisted.plugins
from pymailsuite.errors import ConfigError

log = Logger()

T = TypeVar("T")

_OURS: Final = "twisted.plugins.pymailsuite_"


def _name_of(plugin: Any) -> object:
    return plugin.name


def plugins_by_name(interface: type[T], name_of: Callable[[T], object] = _name_of) -> dict[str, T]:
    """The plugins that provide ``interface``, by the name each says it has: ours first, then by module.

    Of two with one name the first counts: nobody takes the place of one of ours by chance.
    """
    found: dict[str, T] = {}
    declared_in: dict[str, str] = {}
    for module, declared_name, plugin in _provided(interface):
        try:
            name = name_of(plugin)
            if not (isinstance(name, str) and name):
                raise TypeError(f"its name is {name!r}")
        except Exception:
            _report_broken(module, declared_name)
            continue
        if name in found:
            log.error(
                "{event}: {plugin} of {module} is left out, as {other} has one of that name",
                event="plugins.name_taken",
                plugin=name,
                module=module,
                other=declared_in[name],
            )
            continue
        found[name] = plugin
        declared_in[name] = module
    return found


def _provided(interface: Any) -> Iterator[tuple[str, str, Any]]:
    """Each plugin, with its module and the name it has there."""
    cache = getCache(twisted.plugins)
    # What cannot be imported is not in the cache; Twisted has written the traceback to the log.
    modules = {module.name.rpartition(".")[2]: module.name for module in getModule("twisted.plugins").iterModules()}
    for short_name in sorted(modules.keys() - cache.keys()):
        log.error("{event}: {module}", event="plugins.module_broken", module=modules[short_name])
    dropins = sorted(cache.values(), key=lambda dropin: (not dropin.moduleName.startswith(_OURS), dropin.moduleName))
    for dropin in dropins:
        for declared in sorted(dropin.plugins, key=lambda plugin: plugin.name):
            try:
                plugin = interface(declared, None)
            except Exception:
                _report_broken(dropin.moduleName, declared.name)
                continue
            if plugin is not None:
                yield dropin.moduleName, declared.name, plugin


def _report_broken(module: str, declared_name: str) -> None:
    log.failure("{event}: {plugin} of {module}", event="plugins.broken", plugin=declared_name, module=module)


def plugin_named(found: Mapping[str, T], name: str, key: str, kind: str) -> T:
    """The plugin of a name that the setting ``key`` has. ConfigError with the names there are."""
    if name not in found:
        raise ConfigError(f"{key}: there is no {kind} {name!r}; there are: {', '.join(sorted(found)) or 'none'}")
    return found[name]


def check_names(names: Iterable[str], known: Collection[str], key: str, kind: str) -> None:
    """ConfigError if the setting ``key`` has a name that no plugin has."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(f"{key}: no such {kind}: {', '.join(unknown)} (there are {', '.join(sorted(known))})")


def make_plugin(name: str, make: Callable[[Any], T], context: Any) -> T | None:
    """What a plugin makes of ``context``; None if it cannot, which is reported. A ConfigError comes through: whoever
    configured it is to know."""
    try:
        return make(context)
    except ConfigError:
        raise
    except Exception:
        log.failure("{event}: {plugin} cannot be made", event="plugins.not_made", plugin=name)
        return None


class PluginService(Service):
    """A service of a plugin. If it fails to start or to stop, that is reported by the plugin's ``name``, and the server
    goes on without it."""

    def __init__(self, name: str, service: IService) -> None:
        self.name = service.name
        self._name = name
        self._service = service

    def startService(self) -> None:
        """Start it."""
        super().startService()  # type: ignore[no-untyped-call]
        try:
            self._service.startService()
        except Exception:
            self._failed(Failure())

    def stopService(self) -> Deferred[None]:
        """Stop it; fires when it has ended."""
        super().stopService()  # type: ignore[no-untyped-call]
        return maybeDeferred(self._service.stopService).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        log.failure("{event}: {plugin}", failure, event="plugins.service_failed", plugin=self._name)


@frozen
class NamedMaker:
    """A declaration whose code is imported when it is wanted; derive, and implement ``IPlugin`` and an interface with
    ``name`` and ``make``.

    ``maker`` is the full name of a function that takes the context and answers what is declared.
    """

    name: str
    maker: str

    def make(self, context: Any) -> Any:
        """What is declared; ImportError and AttributeError if its code cannot be found."""
        return namedAny(self.maker)(context)
