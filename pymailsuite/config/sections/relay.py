"""Settings of sending mail on to other hosts."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Literal

from attrs import frozen
from pydantic import Field, SecretStr, field_validator

from pymailsuite.config.base import Duration, FilePath, Section, Size

SMTP_PORT = 25


@frozen
class NextHop:
    """Where mail is sent instead of where DNS says. ``use_mx`` False: to this very host, without an MX look-up."""

    host: str
    port: int
    use_mx: bool


_NEXT_HOP = re.compile(r"(?:\[(?P<literal>[^\[\]]+)\]|(?P<name>[^\[\]:\s]+))(?::(?P<port>\d{1,5}))?")


def parse_next_hop(text: str) -> NextHop:
    """``host`` (its MX), ``[host]``, ``host:port``, ``[192.0.2.1]:port`` or ``[2001:db8::1]``. ValueError otherwise."""
    match = _NEXT_HOP.fullmatch(text.strip())
    port = int(match["port"] or SMTP_PORT) if match is not None else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(f"expected host, [host], host:port or [host]:port: {text!r}")
    return NextHop((match["literal"] or match["name"]).lower(), port, not match["literal"] and not match["port"])


def _digest(text: str) -> str:
    """A SHA-256 in hexadecimal. ValueError."""
    bare = text.removeprefix("sha256//").replace(":", "")
    if len(bare) == 64:
        return bytes.fromhex(bare).hex()
    try:
        digest = b64decode(bare, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise ValueError(f"expected a SHA-256 in hexadecimal or base64: {text!r}")
    return digest.hex()


class RelaySettings(Section):
    """``[relay]``: how mail for other domains is sent on."""

    relayhost: str = ""
    """Send all mail through this host: ``"smarthost.example"`` (its MX), ``"smarthost.example:587"`` or
    ``"[192.0.2.1]:25"``. Empty: each domain's own MX."""

    relayhost_login: str = ""
    """Name to log in to ``relayhost`` with; empty: without."""

    relayhost_password: SecretStr = SecretStr("")
    """Password for ``relayhost_login``; only ever sent over TLS."""

    relayhost_verify: Literal["login", "always", "never"] = "login"
    """When the relay host must prove by its certificate who it is, before anything is sent to it: where a password
    would be sent to it; always; or never, and then an impostor in its place learns the password. Mail waits for a host
    that does not prove it."""

    relayhost_name: str = ""
    """The name that its certificate must have. Empty: the host or the address in ``relayhost``; where its MX is asked,
    the names of MX hosts below that name will do too."""

    relayhost_keys: tuple[str, ...] = ()
    """SHA-256 of public keys (SubjectPublicKeyInfo), in hexadecimal or base64: the relay host must have one of them,
    and the rest of its certificate does not matter then. ``openssl x509 -pubkey -noout -in FILE | openssl pkey -pubin
    -outform der | openssl sha256`` prints one."""

    relayhost_ca: FilePath | None = None
    """PEM file: the authorities that are trusted for a certificate of the relay host. Empty: those that the system
    trusts."""

    routes: dict[str, str] = {}
    """Domains whose mail goes elsewhere than DNS says, in the form of ``relayhost``:
    ``{"example.org" = "[10.0.0.1]:2525"}``. ``".example.org"`` stands for all domains below."""

    transports: dict[str, str] = {}
    """Domains whose mail is not sent by SMTP, but by the transport of a plugin, which may want an argument behind a
    colon: ``{"archive.example" = "directory:/srv/archive"}``. ``".example.org"`` stands for all domains below, ``"."``
    for all; ``"smtp"`` is the one for all others."""

    port: int = Field(default=SMTP_PORT, gt=0, lt=65536)
    """The port of MX hosts."""

    ports: dict[str, int] = {}
    """Ports of single MX hosts by name, where it is not ``port``: ``{"mx.example.org" = 2525}``."""

    own_names: tuple[str, ...] = ()
    """Further names of this host in MX records, beside its host name: an MX list is cut there, for beyond it mail
    would come back to us."""

    own_addresses: tuple[str, ...] = ()
    """IP addresses under which other hosts reach us: an MX host with one of these is ourselves."""

    source_ipv4: str = ""
    """Connect from this IPv4 address. Empty: the system's choice."""

    source_ipv6: str = ""
    """Connect from this IPv6 address. Empty: the system's choice."""

    ip_versions: tuple[Literal[4, 6], ...] = (4, 6)
    """IP versions to connect with, the preferred one first."""

    tls: Literal["off", "opportunistic", "required"] = "opportunistic"
    """STARTTLS: never; where offered (the certificate is not verified: any encryption beats none, RFC 7435); or
    only deliver with it. A relay host is verified by ``relayhost_verify``."""

    tls_fallback: bool = True
    """Where the handshake of opportunistic TLS fails: try once more without."""

    hosts_per_attempt: int = Field(default=8, ge=1)
    """Addresses tried for one attempt at most, over all MX hosts."""

    convert_size: Size = Field(default=50_000_000, ge=0)
    """Octets of a message that is converted to 7 bits, to quoted-printable or base64, where no host takes it as it is
    (RFC 6152); it is in memory meanwhile. A message that its sender has signed is not converted. 0: none is."""

    recipients_per_transaction: int = Field(default=100, ge=1)
    """RCPT commands of one transaction; 100 is what every server must take (RFC 5321 §4.5.3.1.8)."""

    connections_per_host: int = Field(default=10, ge=1)
    """Connections to one address at a time."""

    connections: int = Field(default=500, ge=1)
    """Connections in all at a time."""

    messages_per_connection: int = Field(default=500, ge=1)
    """Messages sent over one connection before it is closed."""

    connection_wait: Duration = 60.0
    """How long a message waits for a connection while all that are allowed to its host are in use; then it is delayed,
    so that a slow host does not fill the queue's places."""

    stop_grace: Duration = 10.0
    """How long transactions under way may go on when the server stops; then their connections are cut."""

    idle_close: Duration = 5.0
    """How long a connection is kept for a further message."""

    dead_host: Duration = 60.0
    """How long a host that could not be reached is not tried again."""

    limit_recovery: Duration = Field(default=60.0, gt=0)
    """A host that refuses a connection while it has others of ours gets fewer from then on; after each time of this
    length it may have one more again."""

    connect_timeout: Duration = 30.0
    """To establish a TCP connection, to one address."""

    greeting_timeout: Duration = 300.0
    """For the initial 220, whole. Source of this and the following: RFC 5321 §4.5.3.2. Octets that drip in renew none
    of them."""

    command_timeout: Duration = 300.0
    """For the reply to EHLO, STARTTLS (and its handshake), AUTH, MAIL and RCPT."""

    data_timeout: Duration = 120.0
    """For the 354 after DATA."""

    block_timeout: Duration = 180.0
    """For the peer to take one piece of the message."""

    transaction_timeout: Duration = Field(default=7200.0, gt=0)
    """For all of a transaction up to the final dot, however steadily the peer answers and takes."""

    final_timeout: Duration = 600.0
    """For the reply to the final dot. Too short a time doubles messages."""

    quit_timeout: Duration = 5.0
    """For the reply to QUIT; nothing depends on it."""

    @field_validator("relayhost_keys")
    @classmethod
    def _are_digests(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_digest(key) for key in keys)

    @field_validator("relayhost")
    @classmethod
    def _is_next_hop(cls, relayhost: str) -> str:
        if relayhost:
            parse_next_hop(relayhost)
        return relayhost

    @field_validator("transports")
    @classmethod
    def _are_lower_case(cls, transports: dict[str, str]) -> dict[str, str]:
        return {domain.lower(): transport for domain, transport in transports.items()}

    @field_validator("routes")
    @classmethod
    def _are_next_hops(cls, routes: dict[str, str]) -> dict[str, str]:
        for next_hop in routes.values():
            parse_next_hop(next_hop)
        return {domain.lower(): next_hop for domain, next_hop in routes.items()}
