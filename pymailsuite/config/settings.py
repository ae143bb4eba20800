"""All sections together: what a configuration file becomes."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Section
from pymailsuite.config.sections.arc import ArcSettings
from pymailsuite.config.sections.auth import AuthSettings
from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.dkim import DkimSettings, DkimSignSettings
from pymailsuite.config.sections.dmarc import DmarcSettings
from pymailsuite.config.sections.dns import DnsSettings
from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.config.sections.egress import EgressSettings
from pymailsuite.config.sections.forwarding import BounceTagSettings, ForwardingSettings
from pymailsuite.config.sections.greylist import CorrespondentSettings, GreylistSettings
from pymailsuite.config.sections.history import HistorySettings
from pymailsuite.config.sections.hosts import (
    ClientRatesSettings,
    DynamicNamesSettings,
    EarlyTalkersSettings,
    HeloSettings,
    IprevSettings,
    SenderDomainSettings,
)
from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.config.sections.lists import DnsblSettings, ListSettings
from pymailsuite.config.sections.log import LogSettings
from pymailsuite.config.sections.maintenance import MaintenanceSettings
from pymailsuite.config.sections.message import MessageSettings
from pymailsuite.config.sections.notices import NoticeSettings
from pymailsuite.config.sections.outgoing import OutgoingSettings
from pymailsuite.config.sections.policy import PolicySettings
from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.config.sections.queue import QueueSettings
from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.config.sections.relay import RelaySettings
from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.config.sections.require_signature import RequireSignatureSettings
from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.config.sections.sender_callout import SenderCalloutSettings
from pymailsuite.config.sections.server import ServerSettings
from pymailsuite.config.sections.smtp import SmtpMxSettings, SubmissionSettings
from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.config.sections.store import StoreSection
from pymailsuite.config.sections.throttle import ThrottleSettings
from pymailsuite.config.sections.tls import TlsSettings
from pymailsuite.config.sections.web import WebSettings
from pymailsuite.config.sections.workers import WorkerSettings


class Settings(Section):
    """The whole configuration, frozen; a field is a table of the file and the argument of one room."""

    server: ServerSettings
    listeners: ListenerSettings = Field(default_factory=ListenerSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    store: StoreSection = Field(default_factory=StoreSection)
    quota: QuotaSettings = Field(default_factory=QuotaSettings)
    message: MessageSettings = Field(default_factory=MessageSettings)
    directory: DirectorySettings = Field(default_factory=DirectorySettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    throttle: ThrottleSettings = Field(default_factory=ThrottleSettings)
    smtp: SmtpMxSettings = Field(default_factory=SmtpMxSettings)
    submission: SubmissionSettings = Field(default_factory=SubmissionSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    dkim: DkimSettings = Field(default_factory=DkimSettings)
    dkim_sign: DkimSignSettings = Field(default_factory=DkimSignSettings)
    arc: ArcSettings = Field(default_factory=ArcSettings)
    forwarding: ForwardingSettings = Field(default_factory=ForwardingSettings)
    sender_callout: SenderCalloutSettings = Field(default_factory=SenderCalloutSettings)
    bounce_tags: BounceTagSettings = Field(default_factory=BounceTagSettings)
    helo: HeloSettings = Field(default_factory=HeloSettings)
    sender_domain: SenderDomainSettings = Field(default_factory=SenderDomainSettings)
    iprev: IprevSettings = Field(default_factory=IprevSettings)
    dynamic_names: DynamicNamesSettings = Field(default_factory=DynamicNamesSettings)
    early_talkers: EarlyTalkersSettings = Field(default_factory=EarlyTalkersSettings)
    client_rates: ClientRatesSettings = Field(default_factory=ClientRatesSettings)
    imap: ImapSettings = Field(default_factory=ImapSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
    pop3: Pop3Settings = Field(default_factory=Pop3Settings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    queue: QueueSettings = Field(default_factory=QueueSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    outgoing: OutgoingSettings = Field(default_factory=OutgoingSettings)
    notices: NoticeSettings = Field(default_factory=NoticeSettings)
    dns: DnsSettings = Field(default_factory=DnsSettings)
    dns_setup: DnsSetupSettings = Field(default_factory=DnsSetupSettings)
    dmarc: DmarcSettings = Field(default_factory=DmarcSettings)
    lists: ListSettings = Field(default_factory=ListSettings)
    require_signature: RequireSignatureSettings = Field(default_factory=RequireSignatureSettings)
    dnsbl: DnsblSettings = Field(default_factory=DnsblSettings)
    greylist: GreylistSettings = Field(default_factory=GreylistSettings)
    correspondents: CorrespondentSettings = Field(default_factory=CorrespondentSettings)
    reputation: ReputationSettings = Field(default_factory=ReputationSettings)
    spf: SpfSettings = Field(default_factory=SpfSettings)
    history: HistorySettings = Field(default_factory=HistorySettings)
    maintenance: MaintenanceSettings = Field(default_factory=MaintenanceSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    workers: WorkerSettings = Field(default_factory=WorkerSettings)
