"""Offers and a directory for tests of what is fetched by HTTPS."""

from __future__ import annotations

from twisted.internet.task import Clock

from pymailsuite.config.sections.directory import DirectorySettings
from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.directory import RecipientResolver
from pymailsuite.policy.dns_setup.records import Service
from pymailsuite.web import Pages, offers_of
from tests.support.directory import MemoryDirectory

SERVICES = (
    Service("_imap._tcp", 143),
    Service("_imaps._tcp", 993),
    Service("_pop3._tcp", None),
    Service("_submission._tcp", 587),
)
OFFERS = offers_of(SERVICES, "mx.example.com")


def outlook_request(address: str, schema: str = "2006a") -> bytes:
    """As Outlook posts it."""
    space = "http://schemas.microsoft.com/exchange/autodiscover/outlook"
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<Autodiscover xmlns="{space}/requestschema/2006"><Request>'
        f"<EMailAddress>{address}</EMailAddress>"
        f"<AcceptableResponseSchema>{space}/responseschema/{schema}</AcceptableResponseSchema>"
        "</Request></Autodiscover>"
    ).encode()


def make_pages(directory: MemoryDirectory) -> Pages:
    """Pages of mx.example.com; whose domains are in ``directory``."""
    resolver = RecipientResolver(DirectorySettings(), directory, Clock())
    return Pages("mx.example.com", OFFERS, DnsSetupSettings(), resolver)
