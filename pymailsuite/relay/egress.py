"""Applies the egress transforms of plugins to the octets of one transaction, and guards mail against their errors.

A transform may refuse a message for a host, or delay it. If a transform raises another error, hangs, or gives other
octets than it announced, the attempt fails: the message is delayed, and the reason names the transform.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.config.sections.egress import EgressSettings
from pymailsuite.errors import MailError, Refusal, TemporaryFailure
from pymailsuite.interfaces import MessageSource, RecipientState
from pymailsuite.interfaces.egress import EgressContext, EgressTransaction, IEgressTransform, IEgressTransformFactory
from pymailsuite.plugins import NamedMaker, make_plugin, plugin_named, plugins_by_name
from pymailsuite.relay.delivery_status import DeliveryStatus

log = Logger()


@implementer(IPlugin, IEgressTransformFactory)
@frozen
class EgressPlugin(NamedMaker):
    """A transform, declared in a module of ``twisted/plugins/``:

    ``stamp = EgressPlugin("stamp", "example.stamp.make_transform")``

    ``maker`` is the full name of a function that takes an EgressContext and returns the transform.
    """


class TransformFailed(TemporaryFailure):
    """A transform broke, or took too long; the text names it."""


class NotForHost(Exception):
    """A transform refuses the message for this host; ``verdict`` is final if no other host can take it."""

    def __init__(self, verdict: DeliveryStatus) -> None:
        super().__init__(verdict.reply)
        self.verdict = verdict


def make_transforms(
    settings: EgressSettings, context: EgressContext, factories: Mapping[str, IEgressTransformFactory] | None = None
) -> EgressTransforms:
    """The transforms of the settings, in their order. ConfigError for one that does not exist, or whose options are
    wrong.

    If making a plugin fails otherwise, the mail that it would have changed is delayed. ``factories`` None: the
    installed plugins."""
    if factories is None:
        factories = plugins_by_name(IEgressTransformFactory) if settings.transforms or settings.plugins else {}
    for name in (*settings.transforms, *settings.plugins):
        plugin_named(factories, name, "egress", "transform")
    transforms = []
    for name in settings.transforms:
        made = make_plugin(name, factories[name].make, evolve(context, options=settings.plugins.get(name, {})))
        transforms.append((name, made or _Broken(name)))
    return EgressTransforms(transforms, settings.timeout, context.clock)


@implementer(IEgressTransform)
@frozen
class _Broken:
    """Stands for a transform that could not be made: mail must not leave without its changes."""

    name: str

    def transform(self, transaction: EgressTransaction, source: MessageSource) -> MessageSource:
        raise TemporaryFailure("it could not be made")


class EgressTransforms:
    """Transforms by name, in order; ``timeout_s`` for each step of one."""

    def __init__(
        self, transforms: Iterable[tuple[str, IEgressTransform]], timeout_s: float, clock: IReactorTime
    ) -> None:
        self._transforms: Sequence[tuple[str, IEgressTransform]] = tuple(transforms)
        self._timeout_s = timeout_s
        self._clock = clock
        self._under_way: set[Deferred[Any]] = set()

    def __bool__(self) -> bool:
        return bool(self._transforms)

    def longest_s(self, first: Sequence[IEgressTransform]) -> float:
        """The longest time that :meth:`apply` may take."""
        return self._timeout_s * (len(first) + len(self._transforms))

    async def apply(
        self, transaction: EgressTransaction, source: MessageSource, first: Sequence[IEgressTransform] = ()
    ) -> MessageSource:
        """The content of the transaction: ``source`` itself if no transform changes it. ``first``: built-in transforms,
        which come before those of plugins. NotForHost, TransformFailed."""
        for name, transform in (*[(ours.name, ours) for ours in first], *self._transforms):
            given: Deferred[Any] = maybeDeferred(transform.transform, transaction, source)
            given.addTimeout(self._timeout_s, self._clock)
            self._under_way.add(given)
            try:
                made = await given
                if made is not None:
                    source = self._guarded(name, made)
            except CancelledError:
                raise
            except MailError as error:
                raise NotForHost(_verdict_of(name, error)) from error
            except Exception as error:
                raise self._failed(name, Failure(), transaction) from error
            finally:
                self._under_way.discard(given)
        return source

    def call_off(self) -> None:
        """Cancel the running transforms: no transaction has begun with their results."""
        for given in list(self._under_way):
            given.cancel()

    def _failed(self, name: str, failure: Failure, transaction: EgressTransaction) -> TransformFailed:
        if failure.check(DeferredTimeout):
            log.error(
                "{event} {queue_id}: {transform} took more than {seconds} s",
                event="relay.transform_timed_out",
                queue_id=transaction.entry.queue_id,
                transform=name,
                seconds=self._timeout_s,
            )
            return TransformFailed(f"egress transform {name} took too long")
        log.failure(
            "{event} {queue_id}: {transform}",
            failure,
            event="relay.transform_broken",
            queue_id=transaction.entry.queue_id,
            transform=name,
        )
        return TransformFailed(f"egress transform {name} broke")

    def _guarded(self, name: str, made: Any) -> MessageSource:
        """The source that a transform made, read within its time. TypeError if it made none."""
        if not isinstance(made, MessageSource) or not 0 <= made.header_size <= made.size:
            raise TypeError(f"a transform answers a MessageSource or None, not {made!r}")
        return evolve(made, read=partial(self._read, name, made))

    def _read(self, name: str, made: MessageSource, start: int, stop: int) -> Deferred[bytes]:
        def check(octets: Any) -> bytes:
            if not isinstance(octets, bytes) or not 0 < len(octets) <= stop - start:
                raise TypeError(f"octets {start} to {stop} were asked for")
            return octets

        def failed(failure: Failure) -> Failure:
            if failure.check(CancelledError, MailError):
                return failure
            if failure.check(DeferredTimeout):
                return Failure(TransformFailed(f"egress transform {name} took too long"))
            log.failure("{event}: {transform}", failure, event="relay.transform_broken", transform=name)
            return Failure(TransformFailed(f"egress transform {name} broke"))

        if start >= stop:
            return maybeDeferred(bytes)
        read = maybeDeferred(made.read, start, stop).addTimeout(self._timeout_s, self._clock)
        return read.addCallback(check).addErrback(failed)


def _verdict_of(name: str, error: MailError) -> DeliveryStatus:
    state = RecipientState.FAILED if isinstance(error, Refusal) else RecipientState.DELAYED
    status = error.enhanced_code
    if state is RecipientState.DELAYED and not status.startswith("4."):
        status = "4.3.0"
    return DeliveryStatus(state, status, f"egress transform {name}: {error.public}")
