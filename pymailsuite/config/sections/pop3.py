"""``[pop3]``: what POP3 sessions may do, and how they present themselves."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, PlaintextLogin, Section, Size

# RFC 1939 §3: "MUST be of at least 10 minutes' duration".
_LEAST_AUTOLOGOUT_S = 10 * 60


class Pop3Settings(Section):
    """What POP3 sessions may do, and how they present themselves."""

    greeting: str = "POP3 server ready"
    """The text after the host name in the greeting."""

    implementation: str = "pymailsuite"
    """The IMPLEMENTATION that CAPA tells a client that has logged in; empty: none."""

    plaintext_login: PlaintextLogin = ()
    """Networks from which passwords are taken without TLS, such as ``["192.168.7.0/24"]``; ``true``: loopback
    addresses, ``false``: none. Whoever can listen there learns them."""

    login_delay: Duration = Field(default=0.0, ge=0)
    """How long an account must wait between two logins (LOGIN-DELAY, RFC 2449 §6.6), on whichever
    process or node. 0: not at all."""

    failed_login_delay: Duration = Field(default=2.0, ge=0)
    """How long a wrong login waits for its answer; doubled with each further one of the connection, up to 16 times."""

    failed_logins: int = Field(default=5, ge=1)
    """Wrong logins of one connection after which it is closed."""

    bad_commands: int = Field(default=20, ge=1)
    """Commands with errors, without a good one between them, after which the connection is closed."""

    login_timeout: Duration = Field(default=180.0, gt=0)
    """How long a client may take to log in, whatever it sends meanwhile; STLS begins the time anew."""

    autologout: Duration = Field(default=600.0, ge=_LEAST_AUTOLOGOUT_S)
    """How long a client that has logged in may be silent, or leave a reply unread (RFC 1939 §3: 10 minutes at
    least)."""

    extension_timeout: Duration = Field(default=30.0, gt=0)
    """How long a command of an extension may take to be answered; then it is ``-ERR``."""

    folder_separator: str = Field(default="", max_length=1)
    """The character by which a login names another mailbox than INBOX: with ``+``, ``alice+Lists@mail.example`` opens
    ``Lists`` of ``alice@mail.example``. Empty: INBOX alone, and the character belongs to the name."""

    lock_lease: Duration = Field(default=90.0, ge=10)
    """How long a maildrop stays locked when the process that locked it has died. A living session renews its lock."""

    connections: int = Field(default=2000, ge=1)
    """Connections at once, in all."""

    connections_per_address: int = Field(default=50, ge=1)
    """Connections at once from one address (IPv6: one /64); this host's own addresses are not limited."""

    line: Size = Field(default=12288, ge=512)
    """Octets of one line from a client: enough for any response of a SASL exchange (RFC 4422 leaves that open, RFC 4954
    §4 names this size)."""

    read_ahead: Size = Field(default=1_000_000, ge=0)
    """Octets of the messages that follow, read along with one that is asked for once a client reads them in order. A
    session holds at most twice that."""
