"""The way of mail: what is accepted, what becomes of it, the queue and the hosts it is sent on to."""

from __future__ import annotations

from twisted.application.service import Service

from pymailsuite.delivery.assembly import make_planner
from pymailsuite.delivery.dsn import DsnWriter
from pymailsuite.delivery.intake import MessageIntake
from pymailsuite.delivery.late import LateDelivery
from pymailsuite.delivery.own_messages import OwnMessages
from pymailsuite.delivery.quota import RecipientQuotas
from pymailsuite.delivery.quota_warnings import QuotaWarner
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.directory.send_as import SenderRights
from pymailsuite.interfaces.egress import EgressContext
from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.interfaces.keys import IKeyStore
from pymailsuite.interfaces.quota import IQuotaStore
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.interfaces.send_as import ISendAsStore
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.arc.sealing import ForwardSealer
from pymailsuite.policy.dkim.key_ring import KeyRing
from pymailsuite.policy.dkim.own_mail import OwnMailSigner
from pymailsuite.queue.presence import Presence
from pymailsuite.queue.runner import QueueRunner
from pymailsuite.relay.egress import make_transforms
from pymailsuite.relay.transports import TransportContext, Transports, make_transports
from pymailsuite.server.parts.accounts import Accounts
from pymailsuite.server.parts.foundation import Foundation
from pymailsuite.server.parts.records import Records


class MailFlow:
    """For a store with a queue. ``key_ring`` None: nothing is signed."""

    def __init__(self, foundation: Foundation, accounts: Accounts, records: Records, presence: Presence) -> None:
        settings, store, reactor = foundation.settings, foundation.store, foundation.reactor
        self._foundation = foundation
        self._records = records
        self.key_ring: KeyRing | None = None
        self.signer: OwnMailSigner | None = None
        if settings.dkim_sign.action != "off":
            self.key_ring = KeyRing(settings.dkim_sign, store.ability(IKeyStore), reactor)
            # The keys that sign our users' mail sign our own reports too.
            self.signer = OwnMailSigner(settings.dkim_sign, self.key_ring, reactor, foundation.in_thread)
        secrets, kept_paths = needed(store, ISecretStore), store.ability(IKeptPaths)
        self._paths = ReturnPaths(settings.forwarding, settings.bounce_tags, secrets, reactor, kept_paths)
        self.recipients = ReturnPathResolver(accounts.recipients, self._paths)
        self.rights = SenderRights(settings.directory, store.directory, needed(store, ISendAsStore), reactor)
        self._planner = make_planner(settings, store, reactor, self.recipients, self._paths, self._sealer())
        own_messages = OwnMessages(store, self._planner, self.signer)
        self._reports = DsnWriter(own_messages, reactor, settings.queue.return_size)
        quota_store = store.ability(IQuotaStore)
        self.quotas = None if quota_store is None else RecipientQuotas(settings.quota, quota_store)
        self.services: tuple[Service, ...] = ()
        if quota_store is not None:
            self.services = (
                QuotaWarner(quota_store, settings.quota, own_messages, foundation.hostname, reactor, records.history),
            )
        self.intake = MessageIntake(
            store,
            settings.delivery,
            self._planner,
            foundation.hostname,
            reactor,
            foundation.authserv_id,
            records.history,
            self._reports,
            self.quotas,
        )
        self.queue_runner = self._make_queue_runner(presence)

    def _sealer(self) -> ForwardSealer | None:
        foundation = self._foundation
        settings = foundation.settings.arc
        if not settings.seal or self.key_ring is None:
            return None
        return ForwardSealer(
            settings,
            self.key_ring,
            foundation.resolver,
            foundation.authserv_id,
            foundation.reactor,
            foundation.in_thread,
        )

    def _make_queue_runner(self, presence: Presence) -> QueueRunner:
        foundation = self._foundation
        store, reactor = foundation.store, foundation.reactor
        late = LateDelivery(self.recipients, self._planner, self._reports.own_messages, store.read_content, reactor)
        return QueueRunner(
            foundation.settings.queue,
            foundation.hostname,
            store,
            self._make_transports(),
            self._reports,
            late,
            presence,
            reactor,
            history=self._records.history,
        )

    def _make_transports(self) -> Transports:
        foundation = self._foundation
        settings, hostname, reactor = foundation.settings, foundation.hostname, foundation.reactor
        egress = EgressContext(hostname, reactor, foundation.store, foundation.resolver, foundation.in_thread)
        return make_transports(
            TransportContext(
                settings.relay,
                hostname,
                reactor,
                foundation.resolver,
                foundation.store.read_content,
                foundation.in_thread,
                make_transforms(settings.egress, egress),
                foundation.address_filter,
                self.signer,
            )
        )
