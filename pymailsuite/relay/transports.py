"""Transports by domain: SMTP for most mail, plugins for the domains of the settings.

A plugin that raises, hangs or gives no outcome for a recipient delays the message; reports name the plugin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.errors import MailError
from pymailsuite.interfaces import IResolver, Outcome, QueuedRecipient, QueueEntry, RecipientState
from pymailsuite.interfaces.signing import ISigner
from pymailsuite.interfaces.transport import ITransport, ITransportFactory
from pymailsuite.plugins import NamedMaker, make_plugin, plugin_named, plugins_by_name
from pymailsuite.relay.egress import EgressTransforms
from pymailsuite.relay.route import of_domain
from pymailsuite.values import ContentId

log = Logger()

SMTP: Final = "smtp"
"""The name of the default transport, for mail without another one in the settings."""


@frozen
class TransportContext:
    """The parts that a transport is made from. ``argument`` is the text after the colon in the settings.

    ``read_content`` is the argument of :meth:`QueueEntry.source`; ``egress`` is to be applied to its result.
    ``reactor`` is IReactorTime and IReactorTCP; ``in_thread`` calls a function with arguments in a thread.
    """

    settings: RelaySettings
    host_name: str
    reactor: IReactorTime
    resolver: IResolver
    read_content: Callable[[ContentId, int, int], Deferred[bytes]]
    in_thread: Callable[..., Deferred[Any]]
    egress: EgressTransforms
    address_filter: AddressFilter | None = None
    signer: ISigner | None = None
    argument: str = ""


@implementer(IPlugin, ITransportFactory)
@frozen
class TransportPlugin(NamedMaker):
    """A transport, declared in a module of ``twisted/plugins/``:

    ``directory = TransportPlugin("directory", "example.directory.make_transport")``

    ``maker`` is the full name of a function that takes a TransportContext and returns the transport.
    """


def make_transports(context: TransportContext, factories: Mapping[str, ITransportFactory] | None = None) -> Transports:
    """The transports of the settings. ConfigError for one that does not exist, or whose argument is wrong.
    ``factories`` None: the installed plugins."""
    if factories is None:
        factories = plugins_by_name(ITransportFactory)
    made: dict[str, ITransport] = {}
    for text in (SMTP, *context.settings.transports.values()):
        name, _, argument = text.partition(":")
        factory = plugin_named(factories, name, "relay.transports", "transport")
        if text not in made:
            transport = make_plugin(name, factory.make, evolve(context, argument=argument))
            if name == SMTP and transport is not None:
                made[text] = transport
            else:
                made[text] = _Guarded(name, transport, context.settings, context.reactor)
    return Transports({domain: made[text] for domain, text in context.settings.transports.items()}, made[SMTP])


@implementer(ITransport)
class Transports:
    """``by_domain``: as ``[relay] transports`` has the domains; ``usual`` takes mail for all other domains."""

    def __init__(self, by_domain: Mapping[str, ITransport], usual: ITransport) -> None:
        self._by_domain = by_domain
        self._usual = usual

    def attempt(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> Awaitable[list[Outcome]]:
        """Attempt with the transport of the route."""
        return (of_domain(route, self._by_domain) or self._usual).attempt(entry, route, recipients)

    def close(self) -> Deferred[None]:
        """Close all transports."""
        transports = {id(one): one for one in (self._usual, *self._by_domain.values())}
        closing = [maybeDeferred(one.close) for one in transports.values()]
        for closed in closing:
            closed.addErrback(lambda failure: log.failure("{event}", failure, event="relay.transport_not_closed"))
        return DeferredList(closing).addCallback(lambda results: None)


@implementer(ITransport)
class _Guarded:
    """A plugin, None if it could not be made."""

    def __init__(self, name: str, transport: ITransport | None, settings: RelaySettings, clock: IReactorTime) -> None:
        self._name = name
        self._transport = transport
        self._settings = settings
        self._clock = clock
        self._under_way: set[Deferred[Any]] = set()

    async def attempt(self, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]) -> list[Outcome]:
        """Returns an outcome for each recipient, and does not raise."""
        said: dict[int, Outcome] = {}
        try:
            if self._transport is None:
                reason = "could not be made"
            else:
                outcomes = await self._attempt(self._transport, entry, route, recipients)
                said = {one.position: one for one in outcomes if isinstance(one, Outcome)}
                reason = "said nothing of this recipient"
        except CancelledError:
            raise
        except DeferredTimeout:
            reason = "took too long"
        except MailError as error:
            reason = error.public
        except Exception:
            log.failure(
                "{event} {queue_id} {route}: {transport}",
                event="relay.transport_broken",
                queue_id=entry.queue_id,
                route=route,
                transport=self._name,
            )
            reason = "broke"
        unsaid = f"transport {self._name}: {reason}"
        return [
            said.get(one.position) or Outcome(one.position, RecipientState.DELAYED, "4.3.0", unsaid)
            for one in recipients
        ]

    def _attempt(
        self, transport: ITransport, entry: QueueEntry, route: str, recipients: Sequence[QueuedRecipient]
    ) -> Deferred[Any]:
        attempt: Deferred[Any] = maybeDeferred(transport.attempt, entry, route, recipients)
        if attempt.called:
            return attempt
        attempt.addTimeout(self._settings.transaction_timeout, self._clock)
        self._under_way.add(attempt)

        def ended(result: Any) -> Any:
            self._under_way.discard(attempt)
            return result

        return attempt.addBoth(ended)

    def close(self) -> Deferred[Any]:
        """Close the plugin; attempts still running after the time for that are cancelled."""
        closing: Deferred[Any] = succeed(None) if self._transport is None else maybeDeferred(self._transport.close)
        grace_s = self._settings.stop_grace
        calling_off = self._clock.callLater(grace_s, self._call_off)
        closing.addTimeout(grace_s, self._clock)

        def closed(result: Any) -> Any:
            if not self._under_way and calling_off.active():
                calling_off.cancel()
            return result

        return closing.addBoth(closed)

    def _call_off(self) -> None:
        for attempt in list(self._under_way):
            attempt.cancel()
