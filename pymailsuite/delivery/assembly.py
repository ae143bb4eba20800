"""Builds the planner from settings and plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from twisted.internet.interfaces import IReactorTime
from zope.interface.verify import verifyObject

from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.settings import Settings
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.errors import ConfigError
from pymailsuite.interfaces import IMailStore, IRecipientResolver
from pymailsuite.interfaces.delivery import IDeliveryStep, IDeliveryStepFactory, IReturnPaths, StepContext
from pymailsuite.interfaces.signing import ISealer
from pymailsuite.plugins import check_names, make_plugin, plugins_by_name

OUR_STEPS: Final = ("resolve", "junk", "forward", "quota", "quarantine")
"""The steps that run without a section of their own."""


def make_planner(
    settings: Settings,
    store: IMailStore,
    clock: IReactorTime,
    recipients: IRecipientResolver,
    return_paths: IReturnPaths,
    sealer: ISealer | None = None,
    factories: Iterable[IDeliveryStepFactory] | None = None,
) -> DeliveryPlanner:
    """The planner of all configured steps; ``factories`` None: the installed plugins. ``sealer`` None: forwarded mail
    is not sealed. ConfigError if the settings name a step that does not exist."""
    found: Mapping[str, IDeliveryStepFactory] = (
        plugins_by_name(IDeliveryStepFactory, _name_of) if factories is None else {one.name: one for one in factories}
    )
    steps: list[IDeliveryStep] = []
    for name in _in_order(settings.delivery, found):
        context = StepContext(
            settings.delivery.plugins.get(name, {}),
            settings,
            settings.server.hostname,
            store,
            clock,
            recipients,
            return_paths,
            sealer,
            name,
        )
        step = make_plugin(name, partial(_make_step, found[name]), context)
        if step is not None:
            steps.append(step)
    return DeliveryPlanner(steps, clock, settings.delivery.step_timeout)


def _name_of(factory: IDeliveryStepFactory) -> object:
    if not isinstance(factory.position, (int, float)):
        raise TypeError(f"its position is {factory.position!r}")
    return factory.name


def _make_step(factory: IDeliveryStepFactory, context: StepContext) -> IDeliveryStep:
    """The step; Invalid or TypeError if it is none, or if its name differs from that of its plugin."""
    step = factory.make(context)
    verifyObject(IDeliveryStep, step)
    if step.name != factory.name:
        raise TypeError(f"a delivery step of another name: {step.name}")
    return step


def _in_order(settings: DeliverySettings, found: Mapping[str, IDeliveryStepFactory]) -> Sequence[str]:
    """The names of the configured steps."""
    for key, names in (("delivery.steps", settings.steps), ("delivery.plugins", settings.plugins)):
        check_names(names, found, key, "step")
    if not settings.steps:
        wanted = [name for name in found if name in OUR_STEPS or name in settings.plugins]
        return sorted(wanted, key=lambda name: (found[name].position, name))
    if settings.steps[0] != OUR_STEPS[0] or len(set(settings.steps)) < len(settings.steps):
        raise ConfigError("delivery.steps: resolve must be the first of them, and each can be there once")
    return settings.steps
