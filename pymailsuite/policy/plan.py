"""Which policies are asked at which stage, and in what order: computed once for each standing of a peer (known or not,
trusted or not).

Policies are asked in an order in which whoever comes after others does so; their verdicts are told in the order of the
configuration, whatever the first one is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from pymailsuite.config.sections.policy import PolicySection
from pymailsuite.interfaces.policy import (
    AppliedVerdict,
    Effect,
    IConnectionRecord,
    IPolicy,
    MailTransaction,
    Stage,
)
from pymailsuite.policy.base import NO_OPINION, Policy

Standing = tuple[bool, bool]
"""Whether a peer counts as authenticated, and as trusted."""


@frozen
class Installed:
    """A policy and its section."""

    policy: IPolicy
    section: PolicySection


@frozen
class Asked:
    """A policy at one stage. ``ask`` is its method; that what it answers is a Deferred is for the chain to see.

    ``after`` names those of the stage it comes after. ``silence`` is the verdict on no opinion, which is what most
    policies have most of the time."""

    name: str
    section: PolicySection
    ask: Callable[[MailTransaction], Any]
    after: frozenset[str]
    silence: AppliedVerdict


@frozen
class StagePlan:
    """One stage. ``order`` is that of the configuration, ``asked`` the one to ask in. ``stuck`` are those that wait for
    each other, or for one that does: they cannot be asked."""

    order: tuple[str, ...]
    asked: tuple[Asked, ...]
    stuck: tuple[Asked, ...]


@frozen
class Plan:
    """Everything about peers of one standing."""

    by_stage: Mapping[Stage, StagePlan]
    taps: tuple[Installed, ...]
    stages: frozenset[Stage]
    records: tuple[IConnectionRecord, ...]
    exempted: tuple[str, ...] = ()
    """Policies that are not asked, since their settings exempt peers of this standing."""


def plan_for(installed: Sequence[Installed], standing: Standing, tells_recipients_apart: bool) -> Plan:
    """``installed`` is in the order of the configuration."""
    authenticated, trusted = standing
    wanted = [
        one
        for one in installed
        if not (authenticated and "authenticated" in one.section.exempt)
        and not (trusted and "trusted" in one.section.exempt)
    ]
    by_stage = {stage: _stage_plan(wanted, stage) for stage in Stage}
    taps = tuple([one for one in wanted if _taps(one.policy)])
    records = tuple([IConnectionRecord(one.policy) for one in wanted if IConnectionRecord.providedBy(one.policy)])
    stages = {stage for stage, plan in by_stage.items() if plan.order}
    if tells_recipients_apart and not any(standing) and stages & {Stage.DATA, Stage.MESSAGE}:
        stages.add(Stage.RCPT)
    exempted = tuple([one.policy.name for one in installed if one not in wanted])
    return Plan(by_stage, taps, frozenset(stages), records, exempted)


def asking_places(installed: Sequence[Installed]) -> Mapping[tuple[str, Stage], int]:
    """In what order policies are asked, by name and stage: stage by stage, whoever comes after others behind them."""
    asked = [(one.name, stage) for stage in Stage for one in _stage_plan(installed, stage).asked]
    return {key: place for place, key in enumerate(asked)}


def _speaks_at(policy: IPolicy, stage: Stage) -> bool:
    """False if it has not overridden this stage of :class:`Policy`, or has nothing to say there: then it is not
    asked."""
    overridden = getattr(type(policy), stage.value, None) is not getattr(Policy, stage.value)
    return overridden and stage not in policy.silent_at


def _taps(policy: IPolicy) -> bool:
    """Whether it may want to hear messages come in."""
    return getattr(type(policy), "tap", None) is not Policy.tap


def _stage_plan(installed: Sequence[Installed], stage: Stage) -> StagePlan:
    speaking = [one for one in installed if _speaks_at(one.policy, stage)]
    order = tuple([one.policy.name for one in speaking])
    waiting = [
        Asked(
            one.policy.name,
            one.section,
            getattr(one.policy, stage.value),
            frozenset(one.policy.after).intersection(order),
            AppliedVerdict(one.policy.name, stage, NO_OPINION, Effect.NONE),
        )
        for one in speaking
    ]
    asked: list[Asked] = []
    known: set[str] = set()
    while ready := [one for one in waiting if one.after <= known]:
        waiting = [one for one in waiting if not one.after <= known]
        asked += ready
        known.update(one.name for one in ready)
    return StagePlan(order, tuple(asked), tuple(waiting))
