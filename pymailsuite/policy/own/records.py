"""The records to publish for a domain whose mail is ours. Pure: the facts are given."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pymailsuite.config.sections.own_dns import OwnDnsSettings
from pymailsuite.dns.names import absolute_name, text_of

TTL_S: Final = 3600
_STRING_MAX: Final = 255
_PREFERENCE: Final = 10


class Purpose(enum.Enum):
    """What a record is for; the word commands print."""

    MX = "mx"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    MTA_STS = "mta-sts"
    TLS_REPORTS = "tls-reports"
    SERVICE = "service"
    DANE = "dane"


OPTIONAL: Final = frozenset((Purpose.MTA_STS, Purpose.TLS_REPORTS, Purpose.SERVICE, Purpose.DANE))
"""Mail goes without these; a domain that lacks them has nothing wrong."""


@frozen
class OwnRecord:
    """A record to publish: ``name`` without final dot, ``value`` as zone files have it, TXT values without quotes."""

    purpose: Purpose
    name: str
    kind: str
    value: str

    @property
    def is_optional(self) -> bool:
        """Whether mail goes without it."""
        return self.purpose in OPTIONAL

    def zone_line(self) -> str:
        """The line of a zone file."""
        return f"{self.name}. {TTL_S} IN {self.kind} {_quoted(self.value) if self.kind == 'TXT' else self.value}"


def _quoted(text: str) -> str:
    """Strings of a TXT record, of 255 octets each."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return " ".join(f'"{escaped[start : start + _STRING_MAX]}"' for start in range(0, len(escaped), _STRING_MAX))


@frozen
class PublishedKey:
    """A DKIM key: where it is published, and its record."""

    name: str
    text: str


@frozen
class OwnFacts:
    """What the records are made from. ``services`` are (SRV name such as ``_imaps._tcp``, port); ``certificate`` None:
    there is none yet."""

    hostname: str
    addresses: Sequence[str]
    keys: Sequence[PublishedKey] = ()
    services: Sequence[tuple[str, int]] = ()
    certificate: x509.Certificate | None = None
    has_smtp: bool = True


def own_records(domain: str, facts: OwnFacts, settings: OwnDnsSettings) -> list[OwnRecord]:
    """All records for ``domain``. Names come out in A-labels."""
    domain, host = _ascii(domain), _ascii(facts.hostname)
    reports = settings.reports_to or f"postmaster@{domain}"
    records = [
        OwnRecord(Purpose.MX, domain, "MX", f"{_PREFERENCE} {host}."),
        OwnRecord(Purpose.SPF, domain, "TXT", settings.spf or spf_text(facts.addresses)),
        *(OwnRecord(Purpose.DKIM, key.name, "TXT", key.text) for key in facts.keys),
        OwnRecord(Purpose.DMARC, f"_dmarc.{domain}", "TXT", f"v=DMARC1; p={settings.dmarc}; rua=mailto:{reports}"),
    ]
    if settings.mta_sts != "none":
        policy_id = hashlib.blake2b(mta_sts_policy(host, settings).encode(), digest_size=8).hexdigest()
        records.append(OwnRecord(Purpose.MTA_STS, f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={policy_id}"))
    records.append(OwnRecord(Purpose.TLS_REPORTS, f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; rua=mailto:{reports}"))
    records += [
        OwnRecord(Purpose.SERVICE, f"{service}.{domain}", "SRV", f"0 1 {port} {host}.")
        for service, port in facts.services
    ]
    if facts.certificate is not None and facts.has_smtp:
        records.append(OwnRecord(Purpose.DANE, f"_25._tcp.{host}", "TLSA", tlsa_value(facts.certificate)))
    return records


def spf_text(addresses: Sequence[str]) -> str:
    """``v=spf1 mx ip4:... ip6:... -all``."""
    terms = [f"ip{ip_address(address).version}:{address}" for address in addresses]
    return " ".join(["v=spf1", "mx", *terms, "-all"])


def mta_sts_policy(hostname: str, settings: OwnDnsSettings) -> str:
    """The text to serve at ``https://mta-sts.DOMAIN/.well-known/mta-sts.txt``. Source: RFC 8461 §3.2."""
    lines = ["version: STSv1", f"mode: {settings.mta_sts}", f"mx: {_ascii(hostname)}", "max_age: 604800"]
    return "\r\n".join(lines) + "\r\n"


def tlsa_value(certificate: x509.Certificate) -> str:
    """``3 1 1`` and the SHA-256 of the public key: it stays the same as long as the key does. Source: RFC 6698 §2.1."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(key).hexdigest()}"


def _ascii(name: str) -> str:
    absolute = absolute_name(name)
    return text_of(absolute) if absolute is not None else name
