"""``[imap]``: what IMAP sessions may do, and how they present themselves."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from pymailsuite.config.base import Duration, FilePath, PlaintextLogin, Section, Size

# RFC 3501 §5.4: "MUST be at least 30 minutes".
_LEAST_AUTOLOGOUT_S = 30 * 60

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch


# capability = ("AUTH=" auth-type) / atom   ; RFC 3501 §9
_Capability = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9=+.:/_-]+\*?$", max_length=100)]


class ImapQuirk(Section):
    """What is done otherwise for some mail programs."""

    why: str = ""
    """What they do wrong; for people."""

    clients: list[str] = Field(default=[], max_length=100)
    """Patterns for what a client says that it is (RFC 2971), its name or "NAME VERSION", such as ``"Mailer 1.*"``.
    Without any the profile is for accounts for which it is chosen by ``pymailsuite account quirk``."""

    hide: list[_Capability] = Field(default=[], max_length=100)
    """Capabilities that these clients are not told of, and cannot enable; ``"AUTH=*"`` are all that begin so."""

    add: list[_Capability] = Field(default=[], max_length=100)
    """Words that they are told as capabilities, after login."""


def is_loopback(host: str) -> bool:
    """Whether this is an address by which nobody but this host is reached, or the name of one."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class ImapBackend(Section):
    """Another IMAP server, which has the mail of some users."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$")
    """Its name or address."""

    port: int = Field(default=993, gt=0, lt=65536)
    """Its port."""

    tls: Literal["implicit", "starttls", "none"] = "implicit"
    """TLS from the start, or by STARTTLS; the certificate is verified either way, and without TLS there is no login.
    ``none``: without TLS, which a loopback address alone may be."""

    name: str = ""
    """The name that its certificate must have. Empty: ``host``."""

    ca: FilePath | None = None
    """PEM file: the authorities that are trusted for its certificate. Empty: those that the system trusts."""

    master_login: str = ""
    """The name of a login there that may act as any user (SASL PLAIN with an authorization identity). Users then need
    an account here, which proves their passwords. Empty: the user's own name and password are passed on."""

    master_password_file: FilePath | None = None
    """File with the password of ``master_login``."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.tls == "none" and not is_loopback(self.host):
            raise ValueError("tls may be none for a loopback address alone")
        if bool(self.master_login) != (self.master_password_file is not None):
            raise ValueError("master_login and master_password_file belong together")
        if "\0" in self.master_login:
            raise ValueError("master_login must not have a NUL")
        return self


class ImapSettings(Section):
    """What IMAP sessions may do, and how they present themselves."""

    greeting: str = "IMAP4 ready"
    """The text after the capabilities in the greeting."""

    plaintext_login: PlaintextLogin = ()
    """Networks from which passwords are taken without TLS, such as ``["192.168.7.0/24"]``; ``true``: loopback
    addresses, ``false``: none. Whoever can listen there learns them."""

    default_domain: str = ""
    """Put behind ``@`` to a login name that has none; empty: the whole address must be given."""

    failed_login_delay: Duration = Field(default=2.0, ge=0)
    """How long a wrong login waits for its answer; doubled with each further one of the connection, up to 16 times."""

    failed_logins: int = Field(default=5, ge=1)
    """Wrong logins of one connection after which it is closed."""

    bad_commands: int = Field(default=20, ge=1)
    """Commands with errors, without a good one between them, after which the connection is closed."""

    login_timeout: Duration = Field(default=180.0, gt=0)
    """How long a client may take to log in, whatever it sends meanwhile; STARTTLS begins the time anew."""

    autologout: Duration = Field(default=1800.0, ge=_LEAST_AUTOLOGOUT_S)
    """How long a client that has logged in may be silent (RFC 3501 §5.4: 30 minutes at least)."""

    append_timeout: Duration = Field(default=3600.0, gt=0)
    """How long all octets of one message of an APPEND may take to come."""

    idle_timeout: Duration = Field(default=1800.0, gt=0)
    """How long one IDLE may last before the server ends the session."""

    idle_keepalive: Duration = Field(default=120.0, ge=0)
    """How often a client in IDLE is told ``* OK Still here``, which keeps address translators awake. 0: never."""

    notify_accounts: int = Field(default=100, ge=0)
    """Other accounts whose shared mailboxes one client may be told of unasked (NOTIFY, RFC 5465)."""

    extension_timeout: Duration = Field(default=60.0, gt=0)
    """How long a command may take that comes with an extension of another package; then it is called off: ``NO``."""

    write_timeout: Duration = Field(default=300.0, gt=0)
    """How long a client may leave a reply unread before the connection is cut."""

    quota_setters: tuple[str, ...] = ()
    """Login names of users who may change the quota of any account and domain by SETQUOTA (RFC 9208)."""

    namespace: Literal["plain", "courier"] = "plain"
    """How mailboxes are named: ``plain`` as in ``Work/2024``, or ``courier`` as that server does, everything below
    INBOX and a dot between levels: ``INBOX.Work.2024``. The same mailboxes are served either way."""

    xlist: bool = False
    """Whether XLIST is offered, the form of LIST by which old clients of Gmail learn what mailboxes are for."""

    namespace_others: str = "Other Users"
    """The first level of names of mailboxes that other users share."""

    namespace_shared: str = "Shared"
    """The first level of names of mailboxes of shared accounts."""

    connections: int = Field(default=4000, ge=1)
    """Connections at once, in all."""

    connections_per_address: int = Field(default=200, ge=1)
    """Connections at once from one address (IPv6: one /64); this host's own addresses are not limited."""

    connections_per_account: int = Field(default=50, ge=1)
    """Sessions logged in at once to one account."""

    line_before_login: Size = Field(default=8192, ge=1000)
    """Octets of one command, literals not counted, before login."""

    literals_before_login: Size = Field(default=4096, ge=256)
    """Octets of all literals of one command before login."""

    line: Size = Field(default=65536, ge=8000)
    """Octets of one command, literals not counted."""

    literals: Size = Field(default=65536, ge=1024)
    """Octets of all literals of one command, the message of an APPEND not counted."""

    message_size: Size = Field(default=50_000_000, ge=1)
    """Octets of a message that APPEND takes; a longer one is answered ``NO [TOOBIG]``."""

    literal_minus: bool = False
    """Whether clients are told that they may send only short literals without waiting (LITERAL- of RFC 7888, up to 4096
    octets) instead of any (LITERAL+). A longer one is then refused."""

    skipped_literal: Size = Field(default=100_000_000, ge=0)
    """A refused literal that comes without waiting is read and thrown away up to this size; beyond it the connection
    is closed. Before login the limit is ``literals_before_login``."""

    append_messages: int = Field(default=1000, ge=1)
    """Messages of one APPEND command; for more it is ``NO [MESSAGELIMIT]``."""

    compress: bool = True
    """Whether clients may have the connection compressed (COMPRESS=DEFLATE, RFC 4978)."""

    compress_level: int = Field(default=6, ge=0, le=9)
    """How hard octets for a client with COMPRESS are compressed: 0 not at all, 9 slowest."""

    compress_window: int = Field(default=13, ge=9, le=15)
    """How far back the compression of a connection looks, as the binary logarithm of octets. The memory of each such
    connection is 8 times that (64 KB for 13), and 40 KB for what the client sends."""

    fetch_piece: Size = Field(default=1_048_576, ge=65536)
    """Octets of a FETCH reply that are made and sent at once."""

    remembered_messages: int = Field(default=1_000_000, ge=0)
    """Messages of mailboxes that were closed whose numbers and flags are remembered (some 20 octets each), so that the
    next session opens them without reading them anew."""

    remembered_threads: int = Field(default=100_000, ge=0)
    """Messages of which is remembered what THREAD has read of them (some 450 octets each), so that it reads only new
    messages the next time."""

    step_messages: int = Field(default=10_000, ge=1)
    """Messages that a STORE or MOVE changes in one transaction. More messages are changed in steps, between which
    others may write."""

    copy_messages: int = Field(default=100_000, ge=1)
    """Messages of one COPY, which copies all of them or none (RFC 3501 §6.4.7); for more it is ``NO [MESSAGELIMIT]``.
    SAVELIMIT (RFC 9738) tells clients this number, or ``append_messages`` if that is less."""

    message_limit: int = Field(default=10_000_000, ge=0)
    """Messages that one FETCH, STORE, SEARCH, MOVE or UID EXPUNGE processes, those with the highest UIDs; clients are
    told (MESSAGELIMIT, RFC 9738). A SORT or THREAD of more is refused. 0: no limit."""

    uid_batches: int = Field(default=10_000, ge=200)
    """Batches that one UIDBATCHES (RFC 10022) tells; for more it is ``NO [TOOMANY]``."""

    search_piece: int = Field(default=1000, ge=1)
    """Messages read at once by a SEARCH, SORT or THREAD."""

    search_octets: Size = Field(default=4_194_304, ge=65536)
    """Octets of messages at which a SEARCH, SORT or THREAD reads no more of them at once."""

    progress_interval: Duration = Field(default=10.0, ge=0)
    """How often a client is told how far its command has come, if that takes long (INPROGRESS, RFC 9585). 0: never."""

    search_contexts: int = Field(default=10, ge=1)
    """Searches of one session whose results are kept up to date for the client (RETURN (UPDATE), RFC 5267); for more it
    is ``NO [NOUPDATE]``."""

    search_context_messages: int = Field(default=200_000, ge=1000)
    """Messages that these searches may have found together (4 octets each)."""

    sort_context_messages: int = Field(default=20_000, ge=100)
    """Messages that one SORT may have found that is kept up to date (some 300 octets each)."""

    multisearch_mailboxes: int = Field(default=1000, ge=1)
    """Mailboxes that one ESEARCH (RFC 7377) looks into; for more it is ``NO [LIMIT]``."""

    saved_ranges: int = Field(default=100_000, ge=1)
    """Ranges of UIDs that a SEARCH with SAVE (RFC 5182) may find; for more it is ``NO [NOTSAVED]``."""

    search_keys: int = Field(default=1000, ge=10)
    """Keys of one SEARCH, SORT or THREAD."""

    search_depth: int = Field(default=32, ge=4, le=100)
    """How deep NOT, OR and parentheses may stand within each other in a SEARCH, SORT or THREAD."""

    sort_keys: int = Field(default=50, ge=1)
    """Criteria of one SORT."""

    thread_messages: int = Field(default=1_000_000, ge=1)
    """Messages that one THREAD puts into threads; for more it is ``NO [LIMIT]``."""

    quirks: dict[str, ImapQuirk] = {}
    """Profiles for mail programs with defects, by name: ``[imap.quirks.NAME]`` with ``clients``, ``hide`` and ``add``.
    ``pymailsuite imap quirks`` lists those that come with the server; one of the same name stands in for it, and an
    empty one switches it off."""

    referrals: dict[str, str] = {}
    """Whose mail is on another host: login names or domains, each with the host (and ``:port``) that a client is told
    when such a user logs in here (RFC 2221). No password is asked for, so that anybody learns these hosts."""

    backends: dict[str, ImapBackend] = {}
    """Whose mail is on another IMAP server to which their connections are passed through: ``[imap.backends."NAME"]``
    with ``host`` and the rest, where NAME is a login name, a domain, or ``*`` for all logins. The back-end proves the
    password: such users need no account here."""

    backend_connect_timeout: Duration = Field(default=10.0, gt=0)
    """How long a TCP connection to a back-end may take to be established."""

    backend_login_timeout: Duration = Field(default=30.0, gt=0)
    """How long a back-end may take for its greeting, TLS and the login together."""

    admin_contact: str = ""
    """How clients may reach the administrator, a URI such as ``mailto:postmaster@example.org``: the annotation
    ``/shared/admin`` of the server (RFC 5464). Empty: none."""

    server_comment: str = ""
    """The annotation ``/shared/comment`` of the server (RFC 5464). Empty: none."""

    id: dict[str, str] = Field(default_factory=lambda: {"name": "pymailsuite"})
    """What ID tells clients about us (RFC 2971), such as name, version, vendor, support-url; empty: NIL."""

    id_version: bool = True
    """Whether ID tells the version too."""

    @field_validator("namespace_others", "namespace_shared")
    @classmethod
    def _is_level(cls, level: str) -> str:
        if not level.isprintable() or not level.strip() or not set("./%*").isdisjoint(level):
            raise ValueError("must be one level of a mailbox name, without . / % and *")
        return level

    @field_validator("referrals")
    @classmethod
    def _are_hosts(cls, referrals: dict[str, str]) -> dict[str, str]:
        for host in referrals.values():
            if not _HOST(host):
                raise ValueError(f"not a host, or a host and a port: {host!r}")
        return {name.lower(): host for name, host in referrals.items()}

    @field_validator("backends")
    @classmethod
    def _are_in_lower_case(cls, backends: dict[str, ImapBackend]) -> dict[str, ImapBackend]:
        return {name.lower(): backend for name, backend in backends.items()}

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if self.namespace_others == self.namespace_shared or "INBOX" in map(
            str.upper, (self.namespace_others, self.namespace_shared)
        ):
            raise ValueError("namespace_others and namespace_shared must be different, and not INBOX")
        return self

    def host_of(self, login_name: str) -> str:
        """The other host that a user is referred to; empty: none."""
        if not self.referrals:
            return ""
        name = login_name.lower()
        _, _, domain = name.rpartition("@")
        return self.referrals.get(name) or self.referrals.get(domain, "")

    def backend_of(self, login_name: str) -> ImapBackend | None:
        """The back-end that a user's connection is passed through to."""
        backends = self.backends
        if not backends:
            return None
        name = login_name.lower()
        _, _, domain = name.rpartition("@")
        return backends.get(name) or backends.get(domain) or backends.get("*")

    @property
    def passes_passwords(self) -> bool:
        """Whether some back-end is logged in to with the passwords of users."""
        return any(not backend.master_login for backend in self.backends.values())

    @property
    def save_limit(self) -> int:
        """Messages that any one command may store (SAVELIMIT)."""
        return min(self.append_messages, self.copy_messages)
