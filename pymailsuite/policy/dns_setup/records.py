"""The records to publish for a domain whose mail is ours, and for its host. Pure: the facts are given."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote

import dns.reversename
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pymailsuite.config.sections.dns_setup import DnsSetupSettings
from pymailsuite.dns.names import ascii_name
from pymailsuite.policy.organizational import registered_domain

TTL_S: Final = 3600
_STRING_MAX: Final = 255
_PREFERENCE: Final = 10
AUTODISCOVER: Final = "_autodiscover._tcp"
"""The SRV name of settings that mail programs fetch by HTTPS."""


class Purpose(enum.Enum):
    """The purpose of a record, as commands print it."""

    MX = "mx"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    DMARC_REPORTS = "dmarc-reports"
    MTA_STS = "mta-sts"
    MTA_STS_HOST = "mta-sts-host"
    TLS_REPORTS = "tls-reports"
    BIMI = "bimi"
    SERVICE = "service"
    AUTOCONFIG = "autoconfig"
    ADDRESS = "address"
    REVERSE = "reverse"
    HOST_SPF = "host-spf"
    DANE = "dane"


NEEDED: Final = frozenset((Purpose.MX, Purpose.SPF, Purpose.DKIM, Purpose.DMARC, Purpose.ADDRESS, Purpose.REVERSE))
"""Mail goes without the others; a domain that lacks them has nothing wrong."""


@frozen
class ZoneRecord:
    """A record to publish: ``name`` without final dot, ``value`` as zone files have it, TXT values without quotes."""

    purpose: Purpose
    name: str
    kind: str
    value: str

    @property
    def is_optional(self) -> bool:
        """Whether mail goes without it."""
        return self.purpose not in NEEDED

    def zone_line(self) -> str:
        """The line of a zone file (RFC 1035 §5.1)."""
        return f"{self.name}. {TTL_S} IN {self.kind} {txt_strings(self.value) if self.kind == 'TXT' else self.value}"


def txt_strings(text: str) -> str:
    """The strings of a TXT record in a zone file: 255 octets each before they are escaped (RFC 1035 §3.3, §5.1)."""
    octets = text.encode("utf-8")
    strings = [octets[start : start + _STRING_MAX] for start in range(0, len(octets), _STRING_MAX)]
    return " ".join(f'"{"".join(map(_escaped, string))}"' for string in strings)


def _escaped(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{octet:c}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03}"


@frozen
class PublishedKey:
    """A DKIM key: where it is published, and its record."""

    name: str
    text: str


@frozen
class Service:
    """A service that mail clients look for: the SRV name, such as ``_imaps._tcp``, and the port; None: it is not
    offered."""

    name: str
    port: int | None


@frozen
class HostFacts:
    """The facts from which the records are made. ``addresses`` are those of the host; ``certificate`` None: there is
    none yet."""

    hostname: str
    addresses: Sequence[str]
    keys: Sequence[PublishedKey] = ()
    services: Sequence[Service] = ()
    certificate: x509.Certificate | None = None
    has_smtp: bool = True


def domain_records(domain: str, facts: HostFacts, settings: DnsSetupSettings) -> list[ZoneRecord]:
    """All records for the mail of ``domain``. Names come out in A-labels."""
    domain, host = ascii_name(domain), ascii_name(facts.hostname)
    local_part, _, reports_domain = (settings.reports_to or f"postmaster@{domain}").rpartition("@")
    reports_domain = ascii_name(reports_domain)
    # RFC 7489 §6.2: what separates tags, addresses and sizes is percent-encoded in a URI.
    reports = f"mailto:{quote(local_part, safe='+')}@{reports_domain}"
    records = [
        ZoneRecord(Purpose.MX, domain, "MX", f"{_PREFERENCE} {host}."),
        ZoneRecord(Purpose.SPF, domain, "TXT", settings.spf or spf_text("mx", facts.addresses)),
        *(ZoneRecord(Purpose.DKIM, key.name, "TXT", key.text) for key in facts.keys),
        ZoneRecord(Purpose.DMARC, f"_dmarc.{domain}", "TXT", f"v=DMARC1; p={settings.dmarc}; rua={reports}"),
    ]
    if registered_domain(reports_domain) != registered_domain(domain):
        # RFC 7489 §7.1: the other organization must say that it wants them.
        name = f"{domain}._report._dmarc.{reports_domain}"
        records.append(ZoneRecord(Purpose.DMARC_REPORTS, name, "TXT", "v=DMARC1;"))
    if settings.mta_sts != "none":
        policy_id = hashlib.blake2b(mta_sts_policy(host, settings).encode(), digest_size=8).hexdigest()
        records.append(ZoneRecord(Purpose.MTA_STS, f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={policy_id}"))
        web_host = ascii_name(settings.mta_sts_host) or host
        records.append(ZoneRecord(Purpose.MTA_STS_HOST, f"mta-sts.{domain}", "CNAME", f"{web_host}."))
    records.append(ZoneRecord(Purpose.TLS_REPORTS, f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; rua={reports}"))
    if settings.bimi_picture:
        evidence = f" a={settings.bimi_evidence};" if settings.bimi_evidence else ""
        text = f"v=BIMI1; l={settings.bimi_picture};{evidence}"
        records.append(ZoneRecord(Purpose.BIMI, f"default._bimi.{domain}", "TXT", text))
    for service in facts.services:
        records.append(ZoneRecord(Purpose.SERVICE, f"{service.name}.{domain}", "SRV", _srv_value(service, host)))
    if any(service.name == AUTODISCOVER for service in facts.services):
        records.append(ZoneRecord(Purpose.AUTOCONFIG, f"autoconfig.{domain}", "CNAME", f"{host}."))
    return records


def host_records(facts: HostFacts) -> list[ZoneRecord]:
    """All records for the host, whatever domains it serves."""
    host = ascii_name(facts.hostname)
    addresses = [ip_address(address) for address in facts.addresses]
    records = [
        ZoneRecord(Purpose.ADDRESS, host, "A" if address.version == 4 else "AAAA", str(address))
        for address in addresses
    ]
    # RFC 7208 §2.3, §10.1.3: HELO is checked too, and alone where a bounce has no sender.
    records.append(ZoneRecord(Purpose.HOST_SPF, host, "TXT", spf_text("a", facts.addresses)))
    if facts.certificate is not None and facts.has_smtp:
        records.append(ZoneRecord(Purpose.DANE, f"_25._tcp.{host}", "TLSA", tlsa_value(facts.certificate)))
    for address in addresses:
        name = dns.reversename.from_address(str(address)).to_text(omit_final_dot=True)
        records.append(ZoneRecord(Purpose.REVERSE, name, "PTR", f"{host}."))
    return records


def zone_records(domain: str, facts: HostFacts, settings: DnsSetupSettings) -> list[ZoneRecord]:
    """The records to publish for ``domain``, in its zone and elsewhere, so that its mail works."""
    of_domain, of_host = domain_records(domain, facts, settings), host_records(facts)
    if ascii_name(facts.hostname) == ascii_name(domain):
        # There is one SPF record at a name, and the domain's names the host's addresses.
        of_host = [record for record in of_host if record.purpose is not Purpose.HOST_SPF]
    return of_domain + of_host


def zone_text(domain: str, records: Iterable[ZoneRecord]) -> str:
    """Lines for the zone of ``domain``; records that belong to other zones are comments in it."""
    domain = ascii_name(domain)
    inside: list[str] = []
    outside: dict[str, list[str]] = {}
    for record in records:
        if record.name == domain or record.name.endswith(f".{domain}"):
            inside.append(record.zone_line())
        else:
            zone = (
                "whoever gave you the address" if record.purpose is Purpose.REVERSE else registered_domain(record.name)
            )
            outside.setdefault(zone, []).append(f"; {record.zone_line()}")
    lines = list(inside)
    for zone, comments in outside.items():
        lines += [f"; to be published by {zone}:", *comments]
    return "".join(f"{line}\n" for line in lines)


def _srv_value(service: Service, host: str) -> str:
    if service.port is None:
        return "0 0 0 ."  # RFC 6186 §3.4, RFC 2782: it is decidedly not here
    # RFC 6186 §3.3: where both are offered, clients heed which of them has the lower priority.
    priority = 10 if service.name.startswith("_pop3") else 0
    return f"{priority} 1 {service.port} {host}."


def spf_text(mechanism: str, addresses: Sequence[str]) -> str:
    """``v=spf1 mx ip4:... ip6:... -all``, for ``mx`` or another mechanism."""
    terms = [f"ip{ip_address(address).version}:{address}" for address in addresses]
    return " ".join(["v=spf1", mechanism, *terms, "-all"])


def mta_sts_policy(hostname: str, settings: DnsSetupSettings) -> str:
    """The text to serve at ``https://mta-sts.DOMAIN/.well-known/mta-sts.txt``. Source: RFC 8461 §3.2."""
    lines = ["version: STSv1", f"mode: {settings.mta_sts}", f"mx: {ascii_name(hostname)}", "max_age: 604800"]
    return "\r\n".join(lines) + "\r\n"


def tlsa_value(certificate: x509.Certificate) -> str:
    """``3 1 1`` and the SHA-256 of the public key: it stays the same as long as the key does. Source: RFC 6698 §2.1."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(key).hexdigest()}"
