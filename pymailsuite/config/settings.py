"""All sections together: what a configuration file becomes."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Section
from pymailsuite.config.sections.delivery import DeliverySettings
from pymailsuite.config.sections.dns import DnsSettings
from pymailsuite.config.sections.listeners import ListenerSettings
from pymailsuite.config.sections.log import LogSettings
from pymailsuite.config.sections.server import ServerSettings
from pymailsuite.config.sections.tls import TlsSettings


class Settings(Section):
    """The whole configuration, frozen; a field is a table of the file and the argument of one room."""

    server: ServerSettings
    listeners: ListenerSettings = Field(default_factory=ListenerSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    dns: DnsSettings = Field(default_factory=DnsSettings)
