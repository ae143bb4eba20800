"""Delivery steps and planners for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.config.sections.quota import NO_QUOTA_SETTINGS, QuotaSettings
from pymailsuite.delivery.plan import DeliveryPlanner
from pymailsuite.delivery.quota import RecipientQuotas
from pymailsuite.delivery.step import DeliveryStep
from pymailsuite.delivery.steps.forward import ForwardStep
from pymailsuite.delivery.steps.junk import JunkStep
from pymailsuite.delivery.steps.quarantine import QuarantineStep
from pymailsuite.delivery.steps.quota import QuotaStep
from pymailsuite.delivery.steps.resolve import ResolveStep
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.return_paths import ReturnPaths
from pymailsuite.interfaces import IMailStore, IRecipientResolver
from pymailsuite.interfaces.delivery import IDeliveryStep
from pymailsuite.interfaces.quota import IQuotaStore
from pymailsuite.interfaces.signing import ISealer

STEP_TIMEOUT_S = 10.0


def planner_for(
    store: IMailStore,
    clock: IReactorTime,
    *more: IDeliveryStep,
    recipients: IRecipientResolver | None = None,
    forwarding: ForwardingSettings | None = None,
    tags: BounceTagSettings | None = None,
    paths: ReturnPaths | None = None,
    sealer: ISealer | None = None,
    quota: QuotaSettings = NO_QUOTA_SETTINGS,
) -> DeliveryPlanner:
    """A planner with the steps of our own, and ``more`` behind the first of them, where those of others stand."""
    forwarding, tags = forwarding or ForwardingSettings(), tags or BounceTagSettings()
    paths = paths or ReturnPaths(forwarding, tags, store.secrets, clock, store.kept_paths)
    recipients = recipients or RecipientResolver(DirectorySettings(), store.directory, clock)
    forward = ForwardStep(forwarding, tags, paths, recipients, sealer)
    quotas = store.ability(IQuotaStore)
    full = QuotaStep(None if quotas is None else RecipientQuotas(quota, quotas))
    steps = [ResolveStep(recipients), *more, JunkStep(), forward, full, QuarantineStep()]
    return DeliveryPlanner(steps, clock, STEP_TIMEOUT_S)


def step(name: str, decide: Callable[..., Any]) -> DeliveryStep:
    """A step that answers what a function of message, recipients and decision does."""
    body = {"name": name, "decide": lambda self, *told: decide(*told)}
    made: DeliveryStep = type(f"{name.title()}Step", (DeliveryStep,), body)()
    return made
