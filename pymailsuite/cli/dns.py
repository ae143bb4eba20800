"""``pymailsuite dns``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from attrs import frozen
from cryptography import x509
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Protocol

from pymailsuite.cli.domain import DomainType
from pymailsuite.cli.operation import ConfigFault, config_option, json_option, run_in_reactor, settings_of
from pymailsuite.cli.output import print_json, print_rows
from pymailsuite.cli.resolver import resolver_of, resolver_option
from pymailsuite.config.settings import Settings
from pymailsuite.dns.address_filter import AddressFilter
from pymailsuite.dns.names import ascii_name
from pymailsuite.dns.resolver import Resolver
from pymailsuite.errors import ConfigError, DnsFailure, MailError
from pymailsuite.interfaces import Domain
from pymailsuite.interfaces.keys import IKeyStore, StoredKey
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.dkim.keys import key_name
from pymailsuite.policy.dkim.private_keys import load_private_key, read_key_file
from pymailsuite.policy.dns_setup.checking import Finding, RecordChecker, Status
from pymailsuite.policy.dns_setup.host import HostChecker, certificate_finding, host_addresses
from pymailsuite.policy.dns_setup.mta_sts import StsPolicyChecker
from pymailsuite.policy.dns_setup.records import (
    HostFacts,
    PublishedKey,
    Purpose,
    ZoneRecord,
    mta_sts_policy,
    zone_records,
    zone_text,
)
from pymailsuite.policy.dns_setup.services import public_services
from pymailsuite.policy.lists.dns_lists import DnsLists
from pymailsuite.server.data_folder import enter_data_folder, store_of

T = TypeVar("T")

_KEPT_S: Final = 7 * 86_400.0
"""How long a key that signs no more is published for the mail that is still under way."""
_OUT_TIMEOUT_S: Final = 10


@click.group()
def dns() -> None:
    """The DNS records that this server should have, and those that it has."""


@dns.command()
@click.argument("domain", type=DomainType())
@click.option("--check", "look_up", is_flag=True, help="Check the published records; exit with 1 on a fault.")
@config_option
@resolver_option
@json_option
def records(domain: str, look_up: bool, config_file: Path, server: str | None, as_json: bool) -> None:
    """The records to publish for DOMAIN, as lines of a zone file; with --check the faults of the published ones."""
    settings = settings_of(config_file)

    async def run(reactor: Any) -> tuple[list[ZoneRecord], list[Finding]]:
        in_store = await _in_store(settings, reactor)
        resolver = _resolver(settings, server, reactor)
        addresses = await _addresses(settings, resolver)
        wanted = zone_records(domain, _facts(settings, addresses, domain, in_store.keys), settings.dns_setup)
        if not look_up:
            return wanted, []
        checker = RecordChecker(resolver, addresses, settings.server.hostname, reactor)
        return wanted, [*await checker.check(wanted), *await _served_policies([domain], settings, resolver, reactor)]

    wanted, findings = _run(settings, run)
    if look_up:
        _print_findings(findings, as_json)
    elif as_json:
        print_json([{"purpose": one.purpose.value, **record_facts(one)} for one in wanted])
    else:
        click.echo(zone_text(domain, wanted), nl=False)
        for line in _notes(domain, settings, wanted):
            click.echo(f"; {line}".rstrip())


@dns.command()
@click.argument("domains", nargs=-1, type=DomainType(), metavar="[DOMAIN]...")
@click.option("--out", metavar="HOST[:PORT]", help="Also try whether connections to other mail servers get out.")
@config_option
@resolver_option
@json_option
def check(domains: tuple[str, ...], out: str | None, config_file: Path, server: str | None, as_json: bool) -> None:
    """Whether others take mail from our host: its names, its certificate, lists it is on; and the records of these
    domains, or of all that are ours."""
    settings = settings_of(config_file)

    async def run(reactor: Any) -> list[Finding]:
        in_store = await _in_store(settings, reactor)
        resolver = _resolver(settings, server, reactor)
        lists = [one for one in settings.dnsbl.lists if one.kind == "ip"]
        host = HostChecker(resolver, settings.server.hostname, DnsLists(lists, resolver, reactor, _OUT_TIMEOUT_S))
        findings = await host.check(settings.dns_setup.addresses)
        findings.append(certificate_finding(certificate_of(settings), settings.server.hostname, time.time()))
        if out is not None:
            findings.append(await _way_out(out, reactor))
        addresses = await _addresses(settings, resolver)
        checker = RecordChecker(resolver, addresses, settings.server.hostname, reactor)
        names = domains or tuple(dict.fromkeys((*settings.server.domains, *in_store.domains)))
        # Addresses and reverse names have been looked at already.
        wanted = [
            record
            for name in names
            for record in zone_records(name, _facts(settings, addresses, name, in_store.keys), settings.dns_setup)
            if record.purpose not in (Purpose.ADDRESS, Purpose.REVERSE)
        ]
        findings.extend(await checker.check(list(dict.fromkeys(wanted))))
        return [*findings, *await _served_policies(names, settings, resolver, reactor)]

    _print_findings(_run(settings, run), as_json)


def record_facts(record: ZoneRecord) -> dict[str, Any]:
    """A record as JSON shows it."""
    return {"name": record.name, "type": record.kind, "value": record.value, "optional": record.is_optional}


@frozen
class _InStore:
    """The domains and keys in the store."""

    domains: Sequence[str] = ()
    keys: Sequence[StoredKey] = ()


async def _in_store(settings: Settings, reactor: Any) -> _InStore:
    if not settings.server.data_dir.exists():
        # The server has never run: there is no store, and asking what to publish makes none.
        return _InStore()
    store = store_of(settings, reactor)
    await store.open()
    try:
        domains: Sequence[Domain] = await store.directory.domains()
        return _InStore([domain.name for domain in domains], await needed(store, IKeyStore).keys())
    finally:
        await store.close()


def _published_keys(settings: Settings, domain: str, stored: Sequence[StoredKey]) -> list[PublishedKey]:
    """The keys of a domain that sign, are to sign, or have signed mail that may still be under way."""
    kept_from = time.time() - _KEPT_S
    zone = ascii_name(domain)
    of_files = [
        (file.selector, read_key_file(file.file))
        for file in settings.dkim_sign.keys
        if ascii_name(file.domain) == zone and (not file.active_until or file.active_until > kept_from)
    ]
    of_store = [
        (key.selector, load_private_key(key.private_key))
        for key in stored
        if ascii_name(key.domain) == zone and (key.active_until is None or key.active_until > kept_from)
    ]
    return [PublishedKey(key_name(selector, zone), key.record_text()) for selector, key in of_files + of_store]


async def _served_policies(
    domains: Sequence[str], settings: Settings, resolver: Resolver, reactor: Any
) -> list[Finding]:
    if settings.dns_setup.mta_sts == "none":
        return []
    checker = StsPolicyChecker(
        resolver, settings.server.hostname, reactor, address_filter=AddressFilter(settings.outgoing)
    )
    return [await checker.check(domain) for domain in domains]


def _run(settings: Settings, main: Callable[[Any], Awaitable[T]]) -> T:
    """What ``main(reactor)`` answers, run as the user whose store it is."""
    try:
        enter_data_folder(settings, make=False)
        answer: T = run_in_reactor(main)
        return answer
    except ConfigError as error:
        raise ConfigFault(error.public) from None
    except MailError as error:
        raise click.ClickException(str(error)) from None


def certificate_of(settings: Settings) -> x509.Certificate | None:
    """The server's certificate; None if it has never been started and none is configured, or it cannot be read."""
    file = settings.tls.certificate or settings.server.tls_dir / "certificate.pem"
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return None


def _resolver(settings: Settings, server: str | None, reactor: Any) -> Resolver:
    return Resolver(settings.dns, reactor) if server is None else resolver_of(server, reactor)


async def _addresses(settings: Settings, resolver: Resolver) -> list[str]:
    """Those our mail leaves from; none if DNS does not tell."""
    if settings.dns_setup.addresses:
        return list(settings.dns_setup.addresses)
    try:
        return await host_addresses(resolver, settings.server.hostname)
    except DnsFailure:
        return []


def _facts(settings: Settings, addresses: Sequence[str], domain: str, stored: Sequence[StoredKey]) -> HostFacts:
    return HostFacts(
        settings.server.hostname,
        addresses,
        _published_keys(settings, domain, stored),
        public_services(settings.listeners),
        certificate_of(settings),
        has_smtp=bool(settings.listeners.smtp),
    )


def _notes(domain: str, settings: Settings, records: Sequence[ZoneRecord]) -> list[str]:
    """What zone files of this domain cannot say."""
    host = ascii_name(settings.server.hostname)
    notes = []
    if not any(record.purpose is Purpose.ADDRESS for record in records):
        notes.append(f"{host} must have A (and AAAA) records, and each of its addresses the PTR {host}.")
    if any(record.purpose is Purpose.DANE for record in records):
        notes.append(f"TLSA is heeded only if the zone of {host} is signed (DNSSEC); change it with the key of TLS.")
    certificate = certificate_of(settings)
    if certificate is not None and certificate.issuer != certificate.subject:
        issuer = certificate.issuer.rfc4514_string()
        notes.append(f"CAA records of {host} or above it, if there are any, must allow {issuer} (RFC 8659).")
    if settings.dns_setup.mta_sts != "none":
        notes += [f"https://mta-sts.{ascii_name(domain)}/.well-known/mta-sts.txt must say:"]
        notes += [f"  {line}" for line in mta_sts_policy(host, settings.dns_setup).splitlines()]
    return notes


def _print_findings(findings: Sequence[Finding], as_json: bool) -> None:
    rows = [
        {
            "subject": finding.subject,
            "status": finding.status.value,
            "found": finding.found,
            "fix": finding.fix,
            "optional": finding.optional,
        }
        for finding in findings
    ]
    print_rows(rows, ["status", "subject", "found", "fix"], as_json)
    if any(finding.is_wrong for finding in findings):
        raise click.exceptions.Exit(1)


class _Greeting(Protocol):
    """Only whether the connection is made matters."""


async def _way_out(target: str, reactor: Any) -> Finding:
    host, _, port = target.partition(":")
    subject = f"out {target}"
    try:
        connected = await connectProtocol(
            HostnameEndpoint(reactor, host, int(port or 25), timeout=_OUT_TIMEOUT_S), _Greeting()
        )
    except (ConnectError, DNSLookupError, OSError, ValueError) as error:
        fix = "ask your provider to open port 25 for connections from here, or set relay.relayhost"
        return Finding(subject, Status.DIFFERENT, str(error) or type(error).__name__, fix)
    connected.transport.loseConnection()
    return Finding(subject, Status.OK, "connected")
