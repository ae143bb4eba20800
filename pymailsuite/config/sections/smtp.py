"""Settings of receiving mail by SMTP: from other servers (``[smtp]``) and from our users (``[submission]``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pymailsuite.config.base import LOOPBACK, Duration, FilePath, Network, PlaintextLogin, Section, Size

Handing = Literal["nobody", "users", "trusted"]
"""Whom a setting about mail that is handed in is about: ``users`` who logged in, on whatever port; with ``trusted``
also hosts of the trusted networks."""


class SmtpSettings(Section):
    """What both kinds of listener have in common."""

    banner: str = "ESMTP ready"
    """The text of the greeting after the host name; further lines of it become further lines of the greeting."""

    show_version: bool = False
    """Whether the greeting and HELP tell the version of the software."""

    maintenance: Literal["off", "temporary", "permanent"] = "off"
    """``temporary`` greets 421 and closes: senders come back later. ``permanent`` greets 554 and answers nothing but
    QUIT: senders try elsewhere."""

    help_file: FilePath | None = None
    """A text file that replaces the replies to HELP: a line ``TOPIC<TAB>TEXT`` each, the topic ``smtp`` for HELP
    alone."""

    message_size: Size = Field(default=50_000_000, ge=64 * 1024)
    """Octets of a message (SIZE, RFC 1870). RFC 5321 §4.5.3.1.7 asks for 64 KiB at least."""

    max_recipients: int = Field(default=100, ge=1)
    """Recipients of one message; one more is answered 452 4.5.3. RFC 5321 §4.5.3.1.8 asks for 100."""

    null_sender_recipients: int = Field(default=1, ge=1)
    """Recipients of a message with the null return path: a bounce has one."""

    offer_dsn: bool = True
    """Whether clients may ask for reports of success, or for none (DSN, RFC 3461). Where they may not, NOTIFY, ORCPT,
    RET and ENVID are answered 555. Whoever forges a sender can have him told of successes too: then switch it off in
    ``[smtp]`` and leave it to your users in ``[submission]``."""

    max_transactions: int = Field(default=1000, ge=1)
    """Messages of one connection; then it is closed with 421."""

    max_bad_commands: int = Field(default=20, ge=1)
    """Commands of one connection that are unknown, malformed or out of order; then it is closed with 421."""

    max_refused_recipients: int = Field(default=100, ge=1)
    """Refused recipients of one connection; then it is closed with 421, so that addresses cannot be tried out."""

    max_idle_commands: int = Field(default=100, ge=1)
    """Commands in a row that do nothing (NOOP, RSET, VRFY, HELP, EHLO); then the connection is closed with 421."""

    hello_first: str = "Polite people say HELO first"
    """The text of the 503 to MAIL, RCPT and DATA before HELO or EHLO."""

    error_delay: Duration = Field(default=0.0, ge=0)
    """How long each further reply to a peer that has erred too often on one connection is held back; 0: not at all."""

    error_delay_after: int = Field(default=5, ge=0)
    """Errors and refusals of one connection that are answered without that delay."""

    extension_timeout: Duration = Field(default=30.0, gt=0)
    """How long a command of an extension may take to be answered; then it is 451."""

    sender_domain: str = ""
    """The domain of a sender of a user or a trusted host that gave none; others are answered 553. Empty: the first
    domain of ``[server]``."""

    command_line: Size = Field(default=512, ge=512)
    """Octets of a command with its CRLF (RFC 5321 §4.5.3.1.4)."""

    extended_line: Size = Field(default=2048, ge=1024)
    """The same for MAIL and RCPT, which the extensions lengthen (RFC 1870 §3, RFC 4954 §5, RFC 6531 §3.4)."""

    auth_line: Size = Field(default=12288, ge=1024)
    """The same for AUTH and the lines of its exchange (RFC 4954 §4: 12288)."""

    text_line: Size = Field(default=1_000_000, ge=998)
    """Octets of a line of message text without its CRLF. RFC 5321 §4.5.3.1.6 allows 998 and asks to take more where
    that is possible; a message with a longer one than this is answered 550 5.6.0."""

    allow_nul: bool = False
    """Whether a message may hold NUL. A host that strips it reads other line ends and so another end of the message;
    otherwise such a message is answered 550 5.6.0."""

    repair_line_ends: Handing = "users"
    """Which clients may send messages with lines that end in LF alone or CR CR LF, as scanners and scripts do: they are
    accepted with CRLF. Only CRLF.CRLF ends a message all the same, and mail of unknown clients with such lines always
    gets 550 5.5.2 (RFC 5321 §2.3.8). ``nobody``: mail of users and ``trusted`` hosts gets it too."""

    lenient_syntax: Literal["never", "trusted", "always"] = "always"
    """Which clients may put spaces around the colon of MAIL and RCPT and tabs between words, leave out angle brackets,
    and write addresses with dots anywhere in the local part and with underscores in the domain, as hosts of airlines,
    shops and carriers do; ``trusted`` is the trusted networks. RFC 5321 §3.3 allows none of this."""

    command_timeout: Duration = Field(default=300.0, gt=0)
    """How long a peer may take for its next command, whole line (RFC 5321 §4.5.3.2.7: 5 minutes)."""

    conversation_timeout: Duration = Field(default=1200.0, gt=0)
    """How long a peer may take from its connection, from STARTTLS or from its last message to the text of the next one,
    whatever it sends meanwhile."""

    text_timeout: Duration = Field(default=180.0, gt=0)
    """How long a peer may be silent within the message text (RFC 5321 §4.5.3.2.5: 3 minutes)."""

    message_timeout: Duration = Field(default=3600.0, gt=0)
    """How long the whole text of a message may take."""

    connections: int = Field(default=1000, ge=1)
    """Connections at once; one more is answered 421."""

    connections_per_minute: int = Field(default=0, ge=0)
    """New connections in a minute from one address (IPv6: one /64); one more is answered 421. 0: any number. This
    host's own addresses are not limited."""

    connections_per_address: int = Field(default=50, ge=1)
    """Connections at once from one address (IPv6: one /64); this host's own addresses are not limited."""

    trusted_networks: tuple[Network, ...] = ()
    """Networks whose hosts may send mail to anybody without logging in."""

    check_senders: bool = True
    """Whether a user who logged in may send only as the address of the account (with a detail too), an alias that leads
    to it, or an address that was granted to it (``pymailsuite account grant-send-as``). MAIL with another is answered
    553 5.7.1; a message whose From, Sender, Resent-From or Resent-Sender has another, or whose From cannot be told, 550
    5.7.1."""

    trusted_senders: tuple[str, ...] = ("*",)
    """The addresses that hosts of the trusted networks may send as without login, in return paths and in the same
    fields: ``"user@example.com"``, ``"example.com"``, or ``".example.com"`` for all names below it; ``"*"``: any
    address."""

    max_originators: int = Field(default=10, ge=1)
    """Addresses that the From and Sender fields of a message may have together where such rights are asked about."""

    plaintext_login: PlaintextLogin = ()
    """Networks from which passwords are taken without TLS, such as ``["192.168.7.0/24"]``; ``true``: loopback
    addresses, ``false``: none. Whoever can listen there learns them."""

    failed_login_delay: Duration = Field(default=2.0, ge=0)
    """How long the answer to a wrong login is held back; doubled with each further one of the connection."""

    failed_login_delay_max: Duration = Field(default=32.0, ge=0)
    """Where the doubling ends."""

    max_failed_logins: int = Field(default=5, ge=1)
    """Wrong logins of one connection; then it is closed with 421."""

    postmaster: str = ""
    """The address behind ``<postmaster>`` without a domain (RFC 5321 §4.5.1). Empty: postmaster at the first domain of
    ``[server]``."""

    reverse_dns: bool = True
    """Whether the name a peer's address has in DNS, if that name has the address too, is put into ``Received``. It is
    looked up while the session goes on, and never for this host's own addresses; a peer whose name is not found is
    ``unknown``."""

    reverse_dns_timeout: Duration = Field(default=5.0, gt=0)
    """How long that is looked for."""

    relay_denied: Literal["550", "554", "454"] = "550"
    """The reply to a recipient that is not ours, of a peer that may not relay."""


class SmtpMxSettings(SmtpSettings):
    """``[smtp]``: mail from other servers."""

    trusted_networks: tuple[Network, ...] = LOOPBACK
    """Networks whose hosts may send mail to any address without logging in, such as ``["192.0.2.0/24"]``."""

    offer_login: bool = False
    """Whether AUTH is offered here too; users belong on the submission port."""

    proxy_protocol: tuple[Network, ...] = ()
    """Networks of proxies, such as HAProxy, that must begin each connection with a header of the PROXY protocol,
    version 1 or 2, and tell the address of the client in it, which is then the address of the client in every respect.
    From other hosts no such header is accepted. See ``listeners.proxies`` for endpoints that only proxies may use."""


class SubmissionSettings(SmtpSettings):
    """``[submission]``: mail from our users, who log in first (RFC 6409, RFC 8314)."""

    max_recipients: int = Field(default=1000, ge=1)
    """Recipients of one message; one more is answered 452 4.5.3."""
