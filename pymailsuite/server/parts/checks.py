"""What is checked of mail, and what others are told of it."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces.dmarc import IDmarcStore, IFailureStore
from pymailsuite.interfaces.state import IStateStore
from pymailsuite.interfaces.store import needed
from pymailsuite.plugins import PluginService
from pymailsuite.policy.assembly import make_chain
from pymailsuite.policy.dmarc.reports.failures import FailureReportSender
from pymailsuite.policy.dmarc.reports.posting import Outgoing
from pymailsuite.policy.dmarc.reports.sending import ReportSender
from pymailsuite.relay.probing import RecipientProbe
from pymailsuite.server.parts.foundation import Foundation
from pymailsuite.server.parts.mail_flow import MailFlow


class Checks:
    """``policies`` None: no checks are made."""

    def __init__(self, foundation: Foundation, flow: MailFlow) -> None:
        settings, reactor = foundation.settings, foundation.reactor
        probe = RecipientProbe(
            settings.relay,
            foundation.hostname,
            foundation.resolver,
            reactor,
            address_filter=foundation.address_filter,
        )
        self.policies = make_chain(
            settings,
            foundation.resolver,
            foundation.store,
            reactor,
            probe=probe,
            rights=flow.rights,
            key_ring=flow.key_ring,
        )
        services: list[Any] = []
        outgoing = Outgoing(flow.intake, flow.signer)
        if settings.dmarc.reports:
            services.append(_aggregate_reports(foundation, outgoing))
        if settings.dmarc.failure_reports:
            services.append(_failure_reports(foundation, outgoing))
        if self.policies is not None:
            policies = [one.policy for one in self.policies.installed]
            services += [PluginService(one.name, service) for one in policies for service in one.services]
        self.services = tuple(services)


def _aggregate_reports(foundation: Foundation, outgoing: Outgoing) -> ReportSender:
    return ReportSender(
        foundation.settings.dmarc,
        foundation.hostname,
        needed(foundation.store, IDmarcStore, "dmarc.reports"),
        foundation.resolver,
        outgoing,
        foundation.reactor,
        foundation.in_thread,
    )


def _failure_reports(foundation: Foundation, outgoing: Outgoing) -> FailureReportSender:
    return FailureReportSender(
        foundation.settings.dmarc,
        foundation.hostname,
        needed(foundation.store, IFailureStore, "dmarc.failure_reports"),
        needed(foundation.store, IStateStore, "dmarc.failure_reports"),
        foundation.resolver,
        outgoing,
        foundation.reactor,
    )
