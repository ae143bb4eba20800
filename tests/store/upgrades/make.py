"""Make the data of a release's test of upgrades: ``python -m tests.store.upgrades.make``, in a checkout of it.

A server of that release takes mail in, forwards, queues and counts, people change their mailboxes, an operator gives
commands. What it has then is kept as ``NNNN.sqlite.xz``, after the number of its schema, its copy on PostgreSQL as
``NNNN.sql.xz``, and what its own protocols and commands say of it as ``NNNN.json``. It is made once, before the schema
changes, and never again: what a later release makes would not be old.
"""

from __future__ import annotations

import contextlib
import imaplib
import json
import lzma
import poplib
import smtplib
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from tests.store.upgrades.contents import ACCOUNTS, PASSWORD, contents
from tests.support import commands
from tests.support.dns import ZoneServer
from tests.support.patience import PATIENCE_S, until
from tests.support.postgres import PostgresServer, programs
from tests.support.server import TunedServer, running
from tests.support.socket_sink import SocketSink

FOLDER = Path(__file__).parent
ZONE = {
    ("peer.example", "MX"): ["10 mx.peer.example."],
    ("mx.peer.example", "A"): ["127.0.0.21"],
    ("peer.example", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
}
_REFUSING = {f"RCPT {name}@peer.example": "451 4.3.0 not now" for name in ("far", "one", "two")}


def message(subject: str, message_id: str, *, author: str = "", reply_to: str = "", body: str = "Hello\n") -> bytes:
    """A message, of Sam at a peer's if nobody else is named."""
    made = EmailMessage()
    made["From"] = author or "Sam Peer <sam@peer.example>"
    made["To"] = "Ann <ann@example.test>"
    made["Subject"] = subject
    made["Date"] = "Mon, 02 Nov 2026 08:30:00 +0100"
    made["Message-ID"] = f"<{message_id}@peer.example>"
    if reply_to:
        made["In-Reply-To"] = made["References"] = f"<{reply_to}@peer.example>"
    made.set_content(body)
    return made.as_bytes(policy=SMTP)


def with_attachment() -> bytes:
    """A multipart with text in two forms and a file."""
    made = EmailMessage()
    made["From"] = "Jürgen <juergen@peer.example>"
    made["To"] = "ann@example.test, bob@example.test"
    made["Subject"] = "Grüße aus Köln, mit einer Datei"
    made["Date"] = "Tue, 03 Nov 2026 18:00:00 +0000"
    made["Message-ID"] = "<file@peer.example>"
    made.set_content("Schöne Grüße\n")
    made.add_alternative("<p>Schöne <b>Grüße</b></p>\n", subtype="html")
    made.add_attachment(bytes(range(256)) * 3000, maintype="application", subtype="octet-stream", filename="d.bin")
    return made.as_bytes(policy=SMTP)


class Making:
    """The server that is filled."""

    def __init__(self, server: TunedServer) -> None:
        self.server = server

    def command(self, *words: str) -> Any:
        done = commands.run(*words, "--config", str(self.server.config_file))
        assert done.returncode == 0, (words, done.stderr, done.stdout)
        return done.stdout

    def send(self, sender: str, recipients: list[str], octets: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(25), "mx.peer.example", timeout=PATIENCE_S) as client:
            client.sendmail(sender, recipients, octets)

    def submit(self, login: str, recipients: list[str], octets: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port(587), timeout=PATIENCE_S) as client:
            client.login(login, PASSWORD)
            client.sendmail(login, recipients, octets)

    def directory(self) -> None:
        self.command("domain", "add", "other.test")
        self.command("domain", "catch-all", "other.test", "bob@example.test")
        self.command("alias", "set", "team@example.test", "ann@example.test", "far@peer.example")
        self.command("alias", "set", "sales@example.test", "ann@example.test", "bob@example.test")
        self.command("account", "disable", "old@example.test")
        self.command("account", "grant-send-as", "bob@example.test", "sales@example.test")
        self.command("account", "rule", "ann@example.test", "spf", "log")
        self.command("account", "reject-score", "ann@example.test", "7")
        self.command("domain", "rule", "example.test", "dnsbl", "off")
        self.command("list", "add", "192.0.2.0/24", "--comment", "they send junk")
        self.command("list", "add", "friend.example", "--allow", "--scope", "ann@example.test")
        self.command("dkim", "key", "add", "--domain", "example.test", "--selector", "s2")

    def mail(self) -> None:
        self.send("sam@peer.example", ["ann@example.test"], message("Lunch", "lunch"))
        self.send("sam@peer.example", ["ann@example.test"], message("Re: Lunch", "lunch-2", reply_to="lunch"))
        self.send("sam@peer.example", ["ann@example.test", "bob@example.test"], with_attachment())
        self.send("sam@peer.example", ["team@example.test"], message("To the team", "team"))
        self.send("sam@peer.example", ["someone@other.test"], message("Caught", "caught"))
        self.send("", ["bob@example.test"], message("A report", "report"))
        for number in range(20):
            text = f"Number {number}\n" * 40
            self.send("sam@peer.example", ["bob@example.test"], message(f"List {number}", f"n{number}", body=text))
        answer = message("Re: Lunch", "answer", author="ann@example.test", reply_to="lunch")
        self.submit("ann@example.test", ["far@peer.example", "bob@example.test"], answer)
        held = message("Held", "held", author="sales@example.test")
        self.submit("bob@example.test", ["one@peer.example", "two@peer.example"], held)

    def mailboxes(self) -> None:
        with imaplib.IMAP4("127.0.0.1", self.server.port(143), timeout=PATIENCE_S) as client:
            say = _checked(client)
            say(client.login, "ann@example.test", PASSWORD)
            say(client.create, "Projects/Old")
            say(client.create, "Gr&APwA3w-e")
            say(client.subscribe, "Projects/Old")
            say(client.create, "Gone")
            say(client.append, "Gone", "", '"01-Nov-2026 10:00:00 +0000"', message("Gone", "gone"))
            say(client.delete, "Gone")
            say(client.select, "INBOX")
            say(client.store, "1", "+FLAGS", r"(\Seen \Flagged $Forwarded)")
            say(client.store, "2", "+FLAGS", r"(\Seen \Answered work)")
            say(client.copy, "1:2", "Projects/Old")
            say(client.uid, "MOVE", "3", "Gr&APwA3w-e")
            say(client.append, "Sent", r"(\Seen)", '"02-Nov-2026 10:00:00 +0100"', message("Sent", "sent"))
            say(client.append, "INBOX", "", '"05-Nov-2026 10:00:00 +0100"', message("Deleted", "deleted"))
            last = say(client.uid, "SEARCH", "SUBJECT", "Deleted")[0].decode()
            say(client.uid, "STORE", last, "+FLAGS", r"(\Deleted)")
            say(client.expunge)
            say(client.rename, "Projects/Old", "Projects/Older")
        maildrop = poplib.POP3("127.0.0.1", self.server.port(110), timeout=PATIENCE_S)
        maildrop.user("bob@example.test")
        maildrop.pass_(PASSWORD)
        maildrop.dele(2)
        maildrop.quit()

    def queue(self) -> None:
        """All that is queued has been tried once; one entry is held."""

        def entries() -> Any:
            return json.loads(self.command("queue", "list", "--json"))

        until(lambda: len(entries()) == 3 and all(_tried(entry) for entry in entries()))
        (held,) = [entry for entry in entries() if "one@peer.example" in json.dumps(entry)]
        self.command("queue", "hold", held["queue_id"])


def _tried(entry: Any) -> bool:
    return all(recipient["attempts"] for recipient in entry["recipients"])


def _checked(client: imaplib.IMAP4) -> Callable[..., list[Any]]:
    def say(method: Callable[..., tuple[str, list[Any]]], *words: Any) -> list[Any]:
        kind, data = method(*words)
        assert kind == "OK", (method, words, data)
        return data

    return say


def main() -> None:
    """Make all three files."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        zone = stack.enter_context(ZoneServer(ZONE))
        peer = stack.enter_context(SocketSink("127.0.0.21", script=_REFUSING))
        settings = {
            "smtp": {"trusted_networks": []},
            "dns": {"servers": [zone.address]},
            "relay": {"port": peer.port},
            "greylist": {"action": "log"},
            "reputation": {"action": "log"},
        }
        server = TunedServer(folder / "server", ACCOUNTS, settings, password=PASSWORD)
        making = Making(server)
        with running(server):
            making.directory()
            making.mail()
            making.mailboxes()
            making.queue()
            kept = contents(server)
            server.stop()
        _keep(server, kept)


def _keep(server: TunedServer, kept: Any) -> None:
    (file,) = server.directory.rglob("*.sqlite")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    name = f"{version:04}"
    (FOLDER / f"{name}.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with lzma.open(FOLDER / f"{name}.sqlite.xz", "wb") as packed:
        packed.write(file.read_bytes())
    postgres = PostgresServer()
    try:
        postgres.start()
        done = commands.run("store", "copy", f"sqlite://{file}", postgres.url())
        assert done.returncode == 0, done.stderr + done.stdout
        dumped = subprocess.run(
            [programs() / "pg_dump", "--inserts", "--no-owner", "--no-privileges", postgres.url()],
            capture_output=True,
            check=True,
        )
    finally:
        postgres.remove()
    with lzma.open(FOLDER / f"{name}.sql.xz", "wb") as packed:
        packed.write(dumped.stdout)


if __name__ == "__main__":
    main()
