"""From settings and plugins to a chain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import random

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pymailsuite.config.sections.policy import PolicySection, PolicySettings
from pymailsuite.config.settings import Settings
from pymailsuite.errors import MissingAbility
from pymailsuite.interfaces import IMailStore, IResolver
from pymailsuite.interfaces.policy import (
    Decision,
    IPolicy,
    IPolicyFactory,
    IRecipientProbe,
    IVerdictRecord,
    MailTransaction,
    PolicyContext,
)
from pymailsuite.interfaces.send_as import ISenderRights
from pymailsuite.plugins import check_names, make_plugin, plugins_by_name
from pymailsuite.policy.chain import PolicyChain
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.policy.plan import Installed

log = Logger()


def policy_factories() -> Mapping[str, IPolicyFactory]:
    """The policies there are, by name: ours and those of other plugins."""
    return plugins_by_name(IPolicyFactory)


def section_of(settings: Settings, name: str) -> PolicySection | None:
    """The policy's section: a table of its own for ours, one below ``[policy.plugins]`` for others.

    None: there is none, and so the policy is not wanted."""
    own = getattr(settings, name, None)
    return own if isinstance(own, PolicySection) else settings.policy.plugins.get(name)


def make_chain(
    settings: Settings,
    resolver: IResolver,
    store: IMailStore,
    clock: IReactorTime,
    record: IVerdictRecord | None = None,
    factories: Iterable[IPolicyFactory] | None = None,
    chance: Callable[[], float] = random,
    probe: IRecipientProbe | None = None,
    rights: ISenderRights | None = None,
    key_ring: KeyRing | None = None,
) -> PolicyChain | None:
    """The chain of all policies that are wanted; None if there are none. ``factories`` None: the plugins there are.
    ``probe`` asks other hosts; None: they are not spoken to. ``rights`` knows which addresses users may send as; None:
    any. ``key_ring`` has the keys of all that sign.

    ConfigError if the settings name a policy that does not exist.
    """
    if not settings.policy.enabled:
        return None
    found = policy_factories() if factories is None else {factory.name: factory for factory in factories}
    _check_names(settings.policy, found)
    authserv_id = settings.policy.authserv_id or settings.server.hostname
    installed = []
    for name in _in_order(settings.policy.order, found):
        section = section_of(settings, name)
        if section is not None and section.action != "off":
            context = PolicyContext(
                section,
                settings,
                settings.server.hostname,
                authserv_id,
                resolver,
                store,
                clock,
                chance,
                probe,
                rights,
                name,
                key_ring,
            )
            policy = _made(found[name], context)
            if policy is not None:
                installed.append(Installed(policy, section))
    return PolicyChain(settings.policy, installed, authserv_id, clock, _told(installed, record)) if installed else None


def _made(factory: IPolicyFactory, context: PolicyContext) -> IPolicy | None:
    """The policy; None if it cannot be made, or if the store lacks an ability for it and the settings do not ask for
    it."""
    try:
        return make_plugin(context.name, factory.make, context)
    except MissingAbility as error:
        if context.section.model_fields_set:
            raise
        log.info("{event} {reason}", event="policy.left_out", reason=error.public)
        return None


@implementer(IVerdictRecord)
@frozen
class _Records:
    """Several in place of one, by name. One that fails keeps nothing from the others, nor from the client."""

    records: Sequence[tuple[str, IVerdictRecord]]

    def note(self, transaction: MailTransaction, decision: Decision) -> None:
        for name, record in self.records:
            try:
                record.note(transaction, decision)
            except Exception:
                log.failure("{event} {policy}", event="policy.record_failed", policy=name)


def _told(installed: Sequence[Installed], record: IVerdictRecord | None) -> IVerdictRecord | None:
    """The recorders of every decision: ``record``, and policies that provide IVerdictRecord too."""
    heard = [(one.policy.name, one.policy) for one in installed if IVerdictRecord.providedBy(one.policy)]
    if not heard:
        return record
    return _Records(heard if record is None else [("", record), *heard])


def _in_order(order: Sequence[str], names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def _check_names(settings: PolicySettings, known: Collection[str]) -> None:
    named = {
        "policy.order": settings.order,
        "policy.accept_except": settings.accept_except,
        "policy.plugins": settings.plugins,
    }
    for who, overrides in settings.recipients.items():
        named[f"policy.recipients.{who}.actions"] = overrides.actions
    for key, names in named.items():
        check_names(names, known, key, "policy")
