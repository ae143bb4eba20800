"""How mail programs find their settings: the documents that Thunderbird and its kin, and Outlook, ask for. Pure.

Both know no password and say nothing of accounts: what they tell is the same for every address of a domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from attrs import frozen

from pymailsuite.policy.dns_setup.records import Service
from pymailsuite.policy.untrusted_xml import BadXmlError, read_xml

_RESPONSE: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_ACCOUNT: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_ADDRESS_MAX: Final = 320
_ELEMENTS_MAX: Final = 1_000
_DEPTH_MAX: Final = 20


@frozen
class _Kind:
    """What a service is called in both documents; ``tls`` from the first octet, or after STARTTLS."""

    autoconfig: str
    autodiscover: str
    tls: bool


_KINDS: Final = {
    "_imaps._tcp": _Kind("imap", "IMAP", tls=True),
    "_imap._tcp": _Kind("imap", "IMAP", tls=False),
    "_pop3s._tcp": _Kind("pop3", "POP3", tls=True),
    "_pop3._tcp": _Kind("pop3", "POP3", tls=False),
    "_submissions._tcp": _Kind("smtp", "SMTP", tls=True),
    "_submission._tcp": _Kind("smtp", "SMTP", tls=False),
}
"""In the order in which programs should try them: TLS from the first octet goes first (RFC 8314 §3)."""


@frozen
class Offer:
    """A server that mail programs can use."""

    kind: _Kind
    host: str
    port: int


def offers_of(services: Iterable[Service], host: str) -> tuple[Offer, ...]:
    """What is offered at ``host``, the best first."""
    ports = {service.name: service.port for service in services}
    return tuple(Offer(kind, host, port) for name, kind in _KINDS.items() if (port := ports.get(name)) is not None)


def autoconfig_document(domain: str, offers: Sequence[Offer]) -> bytes:
    """The settings of a domain, in the form of Mozilla's ``config-v1.1.xml`` (draft-ietf-mailmaint-autoconfig)."""
    root = Element("clientConfig", version="1.1")
    provider = SubElement(root, "emailProvider", id=domain)
    for name in ("domain", "displayName", "displayShortName"):
        _add(provider, name, domain)
    for offer in offers:
        direction = "outgoingServer" if offer.kind.autoconfig == "smtp" else "incomingServer"
        server = SubElement(provider, direction, type=offer.kind.autoconfig)
        _add(server, "hostname", offer.host)
        _add(server, "port", str(offer.port))
        _add(server, "socketType", "SSL" if offer.kind.tls else "STARTTLS")
        _add(server, "authentication", "password-cleartext")  # within TLS, that is
        _add(server, "username", "%EMAILADDRESS%")
    return _document(root)


def autodiscover_document(address: str, offers: Sequence[Offer]) -> bytes:
    """The settings for ``address`` as Outlook reads them, the best server of each kind. Source: MS-OXDSCLI §2.2.4."""
    root = Element("Autodiscover", xmlns=_RESPONSE)
    account = SubElement(SubElement(root, "Response", xmlns=_ACCOUNT), "Account")
    _add(account, "AccountType", "email")
    _add(account, "Action", "settings")
    best: dict[str, Offer] = {}
    for offer in offers:
        best.setdefault(offer.kind.autodiscover, offer)
    for kind, offer in best.items():
        protocol = SubElement(account, "Protocol")
        _add(protocol, "Type", kind)
        _add(protocol, "Server", offer.host)
        _add(protocol, "Port", str(offer.port))
        _add(protocol, "LoginName", address)
        _add(protocol, "DomainRequired", "off")
        _add(protocol, "SPA", "off")
        _add(protocol, "SSL", "on" if offer.kind.tls else "off")
        _add(protocol, "Encryption", "SSL" if offer.kind.tls else "TLS")
        _add(protocol, "AuthRequired", "on")
    return _document(root)


def autodiscover_refusal(code: int, text: str) -> bytes:
    """An answer without settings: 600 for a request that is none, 601 where there is no provider. Source: MS-OXDSCLI
    §2.2.4.1.1.2."""
    root = Element("Autodiscover", xmlns=_RESPONSE)
    error = SubElement(SubElement(root, "Response"), "Error", Id="0")
    _add(error, "ErrorCode", str(code))
    _add(error, "Message", text)
    SubElement(error, "DebugData")
    return _document(root)


class BadRequestError(ValueError):
    """It is not what a mail program asks."""


class _Request:
    """Hears what of a request is looked at."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._open: list[str] = []

    def start(self, name: str) -> None:
        self._open.append(name)

    def end(self, name: str) -> bool:
        self._open.pop()
        return False

    def text(self, text: str) -> None:
        if self._open and self._open[-1] in ("EMailAddress", "AcceptableResponseSchema"):
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + text


def autodiscover_address(body: bytes) -> str:
    """The address a request of Outlook is about. BadRequestError. Source: MS-OXDSCLI §2.2.3."""
    try:
        texts = read_xml(body, _Request, elements_max=_ELEMENTS_MAX, depth_max=_DEPTH_MAX).texts
    except BadXmlError as error:
        raise BadRequestError(str(error)) from None
    if texts.get("AcceptableResponseSchema", _ACCOUNT).strip() != _ACCOUNT:
        raise BadRequestError("an answer in another form than that of mail accounts")
    address = texts.get("EMailAddress", "").strip()
    if not address or len(address) > _ADDRESS_MAX:
        raise BadRequestError("no address")
    return address


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = text


def _document(root: Element) -> bytes:
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
