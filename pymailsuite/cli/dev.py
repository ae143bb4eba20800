"""``pymailsuite dev``: a server to try out. It prepares a folder and then becomes ``twistd -n pymailsuite``."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen

from pymailsuite import __version__
from pymailsuite.auth import PasswordHashes
from pymailsuite.cli.domain import DomainType
from pymailsuite.cli.operation import AddressType, json_option, on_store
from pymailsuite.cli.output import print_json
from pymailsuite.config.reference import toml_value
from pymailsuite.config.settings import Settings
from pymailsuite.directory import canonical_login
from pymailsuite.errors import AlreadyExists
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.directory import IDirectoryStore
from pymailsuite.interfaces.store import needed

STANDARD_PORTS: Final = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
}
"""The services of ``[listeners]`` and where the world expects them."""

_ABOUT: Final = {
    "smtp": "mail from other servers",
    "submission": "mail from users, STARTTLS and login",
    "submissions": "mail from users, TLS and login",
    "imap": "IMAP, STARTTLS",
    "imaps": "IMAP over TLS",
    "pop3": "POP3, STLS",
    "pop3s": "POP3 over TLS",
}

_SAMPLE_NAMES: Final = ("alice", "bob")

_OTHER_BASES: Final = range(4000, 60000, 1000)
"""To choose from where another one is in use."""


@frozen
class SampleAccount:
    """An account to create; ``login_name`` is its address."""

    login_name: str
    password: str


class SampleAccountType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """``user@domain:password``."""

    name = "user@domain:password"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SampleAccount:
        """A SampleAccount."""
        address_text, colon, password = str(value).partition(":")
        address = AddressType().convert(address_text, param, ctx)
        if not colon or not password:
            self.fail(f"{value!r} is not of the form user@domain:password", param, ctx)
        return SampleAccount(canonical_login(str(address), ""), password)


class WorkersType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A number of processes, or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or the word."""
        return value if value == "auto" else click.IntRange(1, 256).convert(value, param, ctx)


def configuration(
    directory: Path,
    port_base: int,
    domains: Sequence[str],
    *,
    plaintext_login: bool = False,
    resolver: str = "",
    relayhost: str = "",
    store: str = "",
    workers: int | str = 1,
    proxy_protocol: bool = False,
    log: str = "",
) -> dict[str, dict[str, Any]]:
    """The tables of the configuration file: loopback only, each port ``port_base`` plus its standard number."""
    tables: dict[str, dict[str, Any]] = {
        "server": {"hostname": f"mail.{domains[0]}", "domains": list(domains), "data_dir": str(directory)},
        "listeners": {
            service: [
                f"tcp:{port_base + port}:interface=127.0.0.1",
                f"tcp:{port_base + port}:interface=\\:\\:1",
            ]
            for service, port in STANDARD_PORTS.items()
        },
        # The hosts that one tries it with are on loopback most often, as all of this.
        "outgoing": {"allowed_networks": ["127.0.0.0/8", "::1/128"]},
    }
    if workers != 1:
        tables["server"]["workers"] = workers
    if plaintext_login:
        for section in ("smtp", "submission", "imap", "pop3"):
            tables[section] = {"plaintext_login": True}
    if resolver:
        tables["dns"] = {"servers": [resolver]}
    if relayhost:
        tables["relay"] = {"relayhost": relayhost}
    if proxy_protocol:
        tables.setdefault("smtp", {})["proxy_protocol"] = ["127.0.0.0/8", "::1/128"]
    if store:
        tables["store"] = {"url": store}
    if log:
        tables["log"] = {"file": log}
    return tables


def free_port_base(bases: Iterable[int], ports: Collection[int] = STANDARD_PORTS.values()) -> int | None:
    """The first number N of these for which every N + standard port is free on loopback just now."""
    for base in bases:
        with contextlib.ExitStack() as stack:
            try:
                for port in ports:
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", base + port))
            except OSError:
                continue
            return base
    return None


def take_folder(directory: Path) -> None:
    """Keep the folder for this process and what it becomes. ClickException if a server runs from it already."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        free = free_port_base(_OTHER_BASES)
        other = f"{directory.name}-2"
        raise click.ClickException(
            f"a server is running from {directory} already; for another one beside it:"
            f" make run DIR={other} PORT_BASE={free} (pymailsuite dev --dir {other} --port-base {free})"
        ) from None
    # Not closed by exec: the lock is held as long as the server runs.
    os.set_inheritable(lock, True)


def look_at_ports(port_base: int) -> None:
    """ClickException if a port is in use, with a base that is free."""
    if free_port_base([port_base]) is None:
        free = free_port_base(_OTHER_BASES)
        raise click.ClickException(
            f"a port of {port_base} + {', '.join(map(str, STANDARD_PORTS.values()))} is in use; these are free:"
            f" make run PORT_BASE={free} (pymailsuite dev --port-base {free})"
        )


def toml_text(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables as a file."""
    lines = ["# Written by `pymailsuite dev` at each start. To change it, copy it, and run the copy with:"]
    lines.append("# twistd -n pymailsuite --config FILE")
    for name, options in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in options.items())]
    return "\n".join(lines) + "\n"


def sample_accounts(directory: Path, domain: str) -> list[SampleAccount]:
    """Two accounts, with passwords made at the first run and kept in the folder."""
    kept = directory / "passwords.json"
    passwords: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    names = [f"{name}@{domain}" for name in _SAMPLE_NAMES]
    missing = {name: secrets.token_urlsafe(9) for name in names if name not in passwords}
    if missing:
        passwords |= missing
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(passwords, file, indent=2)
    return [SampleAccount(name, passwords[name]) for name in names]


async def prepare_store(store: IMailStore, settings: Settings, accounts: Sequence[SampleAccount]) -> list[str]:
    """Create what is missing: domains and accounts. The names of accounts that are there with another password, which
    they keep: it may have been set on purpose."""
    for name in settings.server.domains:
        if await store.directory.domain(name) is None:
            await needed(store, IDirectoryStore).add_domain(name)
    hashes = PasswordHashes(settings.auth)
    kept = []
    for account in accounts:
        try:
            await needed(store, IDirectoryStore).add_account(account.login_name, hashes.hash(account.password), "")
        except AlreadyExists:
            found = await store.directory.credentials(account.login_name)
            if not hashes.verify(found.password_hash, account.password.encode()):
                kept.append(account.login_name)
    return kept


def introduction(
    config_file: Path, port_base: int, accounts: Sequence[SampleAccount], kept: Sequence[str] = (), log: str = ""
) -> str:
    """The folder, the ports, the accounts, and commands to try. ``kept`` are accounts with a password of their own."""
    ports = {service: port_base + port for service, port in STANDARD_PORTS.items()}
    sender, receiver = accounts[0], accounts[-1]
    login = f"--user '{receiver.login_name}:{receiver.password}'"
    lines = [f"pymailsuite {__version__}, configured by {config_file}", ""]
    lines += [f"  127.0.0.1:{ports[service]:<6}{service:<12}  {_ABOUT[service]}" for service in STANDARD_PORTS]
    lines += ["", "Accounts:"]
    lines += [
        f"  {account.login_name}  keeps the password it has"
        if account.login_name in kept
        else f"  {account.login_name}  password  {account.password}"
        for account in accounts
    ]
    lines += ["", "Commands work on it with:", f"  export PYMAILSUITE_CONFIG={config_file}"]
    if log:
        lines += ["", f"The log is in {log}"]
    lines += [
        "",
        "Send a message, read it by IMAP and by POP3:",
        "  printf 'Subject: Hello\\r\\n\\r\\nIt works.\\r\\n' | curl --ssl-reqd --insecure --upload-file - \\",
        f"      --user '{sender.login_name}:{sender.password}' smtp://127.0.0.1:{ports['submission']} \\",
        f"      --mail-from {sender.login_name} --mail-rcpt {receiver.login_name}",
        f"  curl --insecure {login} 'imaps://127.0.0.1:{ports['imaps']}/INBOX;UID=1'",
        f"  curl --insecure {login} pop3s://127.0.0.1:{ports['pop3s']}/1",
        f"  swaks --server 127.0.0.1:{ports['submission']} -tls --auth PLAIN --auth-user {sender.login_name} \\",
        f"      --auth-password '{sender.password}' --from {sender.login_name} --to {receiver.login_name}",
        "",
        "Talk to it yourself:",
        f"  openssl s_client -quiet -crlf -connect 127.0.0.1:{ports['imaps']}",
        f"  openssl s_client -quiet -crlf -starttls smtp -connect 127.0.0.1:{ports['submission']}",
        "",
        "Thunderbird (accept the self-signed certificate):",
        f"  incoming  IMAP  127.0.0.1  port {ports['imap']}  STARTTLS  normal password  {receiver.login_name}",
        f"  outgoing  SMTP  127.0.0.1  port {ports['submission']}  STARTTLS  normal password",
        "",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)


def twistd_command(config_file: Path) -> list[str]:
    """``twistd -n pymailsuite --config FILE`` of this very Python; without a PID file, which would be left in the
    working folder after a kill."""
    script = Path(sys.executable).with_name("twistd")
    start = [str(script)] if script.exists() else ["-c", "from twisted.scripts.twistd import run; run()"]
    return [sys.executable, *start, "-n", "--pidfile=", "pymailsuite", "--config", str(config_file)]


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dev-data"),
    show_default=True,
    help="The folder for everything; kept between runs.",
)
@click.option(
    "--port-base",
    type=click.IntRange(0, 65535 - max(STANDARD_PORTS.values())),
    default=2000,
    show_default=True,
    metavar="N",
    help="Each port is N and its standard number.",
)
@click.option(
    "--domain", "domains", type=DomainType(), multiple=True, help="A domain of ours.  [default: example.test]"
)
@click.option(
    "--account",
    "accounts",
    type=SampleAccountType(),
    multiple=True,
    metavar="USER@DOMAIN:PASSWORD",
    help="An account, created if missing.  [default: alice and bob, with passwords made at the first run]",
)
@click.option("--plaintext-login", is_flag=True, help="Take passwords without TLS too, from loopback only.")
@click.option("--resolver", default="", metavar="HOST:PORT", help="Ask this name server.")
@click.option("--relayhost", default="", metavar="HOST:PORT", help="Send mail for other domains there.")
@click.option("--store", default="", metavar="URL", help="The store.  [default: SQLite in the folder]")
@click.option(
    "--workers", type=WorkersType(), default=1, show_default=True, metavar="N", help="Processes that serve, or auto."
)
@click.option(
    "--proxy-protocol",
    is_flag=True,
    help="Expect a PROXY v1 or v2 header on the smtp port, so that a test can play any client address.",
)
@click.option("--log", default="", metavar="FILE", help="The log; - for standard error.  [default: log in the folder]")
@json_option
def dev(
    directory: Path,
    port_base: int,
    domains: tuple[str, ...],
    accounts: tuple[SampleAccount, ...],
    plaintext_login: bool,
    resolver: str,
    relayhost: str,
    store: str,
    workers: int | str,
    proxy_protocol: bool,
    log: str,
    as_json: bool,
) -> None:
    """Run a server to try out, on loopback.

    It writes a normal configuration file into the folder, creates domains and accounts, says what to try next, and
    becomes `twistd -n pymailsuite --config FILE`. When all ports listen it prints the line `ready`.
    """
    named = [*domains, *(account.login_name.rpartition("@")[2] for account in accounts)] or ["example.test"]
    all_domains = list(dict.fromkeys(named))
    directory = directory.absolute()
    log = "" if log == "-" else str(Path(log).absolute() if log else directory / "log")
    try:
        if directory.is_dir():
            take_folder(directory)
            look_at_ports(port_base)
        else:
            look_at_ports(port_base)
            directory.mkdir(parents=True)
            take_folder(directory)
        config_file = directory / "pymailsuite.toml"
        tables = configuration(
            directory,
            port_base,
            all_domains,
            plaintext_login=plaintext_login,
            resolver=resolver,
            relayhost=relayhost,
            store=store,
            workers=workers,
            proxy_protocol=proxy_protocol,
            log=log,
        )
        config_file.write_text(toml_text(tables), encoding="utf-8")
        chosen = list(accounts) or sample_accounts(directory, all_domains[0])
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror or error}") from None
    kept = on_store(config_file, lambda opened, settings: prepare_store(opened, settings, chosen))
    if as_json:
        print_json(
            {
                "config": str(config_file),
                "ports": {service: port_base + port for service, port in STANDARD_PORTS.items()},
                "accounts": {
                    account.login_name: None if account.login_name in kept else account.password for account in chosen
                },
                "log": log,
            }
        )
    else:
        click.echo(introduction(config_file, port_base, chosen, kept, log))
    command = twistd_command(config_file)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606
