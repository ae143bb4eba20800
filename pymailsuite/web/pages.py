"""Which request gets which page: pure, except for the question whether a domain is ours.

There are no pages for domains that are not ours, and no page reveals whether an address exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred

from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.dns.names import ascii_name
from pymailsuite.interfaces import IRecipientResolver
from pymailsuite.policy.dns_setup.records import mta_sts_policy
from pymailsuite.web.client_settings import (
    BadRequestError,
    Offer,
    autoconfig_document,
    autodiscover_address,
    autodiscover_document,
    autodiscover_refusal,
)

_XML: Final = "text/xml; charset=utf-8"
_PLAIN: Final = "text/plain; charset=utf-8"
_MTA_STS: Final = "/.well-known/mta-sts.txt"
_AUTOCONFIG: Final = ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml")
_AUTODISCOVER: Final = "/autodiscover/autodiscover.xml"


@frozen
class PageRequest:
    """What is asked: ``host`` without its port, ``path`` without the query; ``address`` is ``emailaddress`` of that."""

    method: str
    host: str
    path: str
    address: str = ""
    body: bytes = b""


@frozen
class Page:
    """The answer, and the header fields beside the usual ones."""

    status: int
    body: bytes = b""
    content_type: str = _PLAIN
    fields: tuple[tuple[str, str], ...] = ()


NOT_FOUND: Final = Page(404, b"There is nothing here.\n")
TOO_LONG: Final = Page(413, b"The request is too long.\n")
UNCLEAR: Final = Page(400, b"It cannot be told what is asked, or of whom.\n")
NO_PROXY: Final = Page(501, b"There is no way on from here.\n")
FAILED: Final = Page(503, b"This cannot be answered now.\n", fields=(("Retry-After", "30"),))


def _not_allowed(*methods: str) -> Page:
    allowed = ", ".join(methods)
    return Page(405, f"Only {allowed} will do here.\n".encode(), fields=(("Allow", allowed),))


@frozen
class Pages:
    """``hostname`` is the mail host, for the policy; ``offers`` is what mail programs can use."""

    hostname: str
    offers: Sequence[Offer]
    dns_setup: DnsSetupSettings
    recipients: IRecipientResolver

    def answer(self, request: PageRequest) -> Deferred[Page]:
        """Fires with the page. MailError if the store cannot say now whether a domain is ours."""
        return Deferred.fromCoroutine(self._answer(request))

    async def _answer(self, request: PageRequest) -> Page:
        path = request.path.lower()
        if path == _AUTODISCOVER:
            return await self._autodiscover(request)
        if path == _MTA_STS:
            page = self._mta_sts
        elif path in _AUTOCONFIG:
            page = self._autoconfig
        else:
            return NOT_FOUND
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET", "HEAD")
        return await page(request)

    async def _mta_sts(self, request: PageRequest) -> Page:
        """The policy of the domain in the name of the host that was asked. Source: RFC 8461 §3.2."""
        prefix, _, domain = request.host.partition(".")
        if self.dns_setup.mta_sts == "none" or prefix.lower() != "mta-sts" or not await self._is_ours(domain):
            return NOT_FOUND
        return Page(200, mta_sts_policy(self.hostname, self.dns_setup).encode())

    async def _autoconfig(self, request: PageRequest) -> Page:
        domain = request.address.rpartition("@")[2]
        if not domain:
            prefix, _, rest = request.host.partition(".")
            domain = rest if prefix.lower() == "autoconfig" else request.host
        if not await self._is_ours(domain):
            return NOT_FOUND
        return Page(200, autoconfig_document(ascii_name(domain), self.offers), _XML)

    async def _autodiscover(self, request: PageRequest) -> Page:
        if request.method != "POST":
            return _not_allowed("POST")
        try:
            address = autodiscover_address(request.body)
        except BadRequestError as error:
            return Page(200, autodiscover_refusal(600, f"Invalid request: {error}"), _XML)
        if not await self._is_ours(address.rpartition("@")[2]):
            return Page(200, autodiscover_refusal(601, "Provider is not available"), _XML)
        return Page(200, autodiscover_document(address, self.offers), _XML)

    async def _is_ours(self, domain: str) -> bool:
        ours: bool = bool(domain) and await self.recipients.is_local_domain(domain.lower())
        return ours
