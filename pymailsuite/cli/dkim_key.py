"""``pymailsuite dkim key``: the keys of the store, which sign the mail of users."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pymailsuite.cli.operation import config_option, json_option, on_store
from pymailsuite.cli.output import moment, print_done, print_json, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.errors import DnsFailure, Refusal
from pymailsuite.interfaces import IMailStore, IResolver
from pymailsuite.interfaces.keys import IKeyStore, StoredKey
from pymailsuite.interfaces.store import needed
from pymailsuite.policy.dkim.keys import ED25519, RSA, KeyRecordError, key_name, parse_key_record
from pymailsuite.policy.dkim.private_keys import (
    DEFAULT_RSA_BITS,
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    PrivateKey,
    SigningKey,
    generate_key,
    load_private_key,
)
from pymailsuite.policy.dkim.signature import signing_name
from pymailsuite.policy.dns_setup.records import txt_strings


class KeyFileType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A file with a private key, PEM."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PrivateKey:
        """The key. A file that others may read is the caller's own business here."""
        if isinstance(value, PrivateKey):
            return value
        try:
            return load_private_key(Path(value).read_bytes())
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"{value}: {error}", param, ctx)


class SigningNameType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A domain that signs, or a selector."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In A-labels and lower case, as signatures and DNS have it."""
        text = str(value).strip()
        name = signing_name(text.removesuffix("."))
        if name is None:
            self.fail(f"not a domain name: {text!r}", param, ctx)
        return name


domain_option = click.option("--domain", required=True, type=SigningNameType(), help="The domain that signs.")
selector_option = click.option(
    "--selector", required=True, type=SigningNameType(), help="The name the key is published under."
)
algorithm_option = click.option("--algorithm", type=click.Choice([RSA, ED25519]), default=RSA, show_default=True)
bits_option = click.option(
    "--bits",
    type=click.IntRange(MIN_RSA_BITS, MAX_RSA_BITS),
    default=DEFAULT_RSA_BITS,
    show_default=True,
    help="Size of an RSA key.",
)


def zone_line(key: SigningKey) -> str:
    """The record of a key as zone files have it."""
    return f"{key.name}. IN TXT ( {txt_strings(key.private.record_text())} )"


def as_row(stored: StoredKey, now: float) -> dict[str, Any]:
    """A key as commands show it: its public part."""
    private = load_private_key(stored.private_key)
    if stored.active_from is None:
        state = "next"
    elif stored.active_until is not None and stored.active_until <= now:
        state = "retired"
    else:
        state = "signs" if stored.active_from <= now else "next"
    return {
        "domain": stored.domain,
        "selector": stored.selector,
        "algorithm": private.kind,
        "state": state,
        "active_from": moment(stored.active_from),
        "active_until": moment(stored.active_until),
        "name": key_name(stored.selector, stored.domain),
        "value": private.record_text(),
    }


@click.group()
def key() -> None:
    """The keys of the store. The next key of a domain is added, published, and then activated; the old one is removed
    when the mail it signed has arrived everywhere."""


@key.command()
@domain_option
@selector_option
@click.option("--key", "private", type=KeyFileType(), help="A private key, PEM. Default: a new one is made.")
@algorithm_option
@bits_option
@config_option
@json_option
def add(
    domain: str,
    selector: str,
    private: PrivateKey | None,
    algorithm: str,
    bits: int,
    config_file: Path,
    as_json: bool,
) -> None:
    """Keep a key that does not sign yet, and print the DNS record to publish."""
    now = time.time()
    made = SigningKey(domain, selector, private or generate_key(algorithm, bits))
    stored = StoredKey(made.domain, made.selector, made.private.pem(), now)

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IKeyStore).add(stored)

    on_store(config_file, operation)
    print_done(zone_line(made), as_row(stored, now), as_json)


@key.command("list")
@click.option("--domain", type=SigningNameType(), help="Only those of this domain.")
@config_option
@json_option
def list_keys(domain: str | None, config_file: Path, as_json: bool) -> None:
    """All keys, and the state of each."""

    async def operation(store: IMailStore, settings: Settings) -> Sequence[StoredKey]:
        return await needed(store, IKeyStore).keys(None if domain is None else [domain])

    rows = [as_row(stored, time.time()) for stored in on_store(config_file, operation)]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, ["domain", "selector", "algorithm", "state", "active_from", "active_until"], as_json)


@key.command()
@domain_option
@selector_option
@click.option("--unpublished", is_flag=True, help="Do not look whether DNS has it.")
@config_option
@json_option
def activate(domain: str, selector: str, unpublished: bool, config_file: Path, as_json: bool) -> None:
    """Sign with a key from now on, and with no other of its kind for that domain. It must be in DNS."""

    async def operation(store: IMailStore, settings: Settings) -> StoredKey:
        kept = {stored.selector: stored for stored in await needed(store, IKeyStore).keys([domain])}
        others: list[str] = []
        if selector in kept:
            private = load_private_key(kept[selector].private_key)
            if not unpublished:
                await _check_published(_resolver(settings), SigningKey(domain, selector, private))
            others = [
                stored.selector
                for stored in kept.values()
                if stored.selector != selector and load_private_key(stored.private_key).kind == private.kind
            ]
        return await needed(store, IKeyStore).activate(domain, selector, others, time.time())

    activated = on_store(config_file, operation)
    print_done(f"{selector} signs for {domain}", as_row(activated, time.time()), as_json)


def _resolver(settings: Settings) -> IResolver:
    from twisted.internet import reactor

    from pymailsuite.dns.resolver import Resolver

    return Resolver(settings.dns, reactor)


async def _check_published(resolver: IResolver, key: SigningKey) -> None:
    """Refusal if DNS has another key under that name, or none: signatures with it would fail."""
    try:
        records = (await resolver.txt(key.name)).records
    except DnsFailure as failure:
        raise Refusal(f"{key.name} could not be looked up: {failure.cause}") from None
    wanted = parse_key_record(key.private.record_text().encode())
    for record in records:
        try:
            found = parse_key_record(record)
        except KeyRecordError:
            continue
        if found.key == wanted.key:
            return
    raise Refusal(f"DNS does not have this key under {key.name} yet")


@key.command()
@domain_option
@selector_option
@config_option
@json_option
def remove(domain: str, selector: str, config_file: Path, as_json: bool) -> None:
    """Forget a key for good."""

    async def operation(store: IMailStore, settings: Settings) -> None:
        await needed(store, IKeyStore).remove(domain, selector)

    on_store(config_file, operation)
    print_done(f"removed {selector} of {domain}", {"removed": selector, "domain": domain}, as_json)
