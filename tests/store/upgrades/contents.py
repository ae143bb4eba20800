"""What a server says of its store, by its protocols and commands: before an upgrade, and after."""

from __future__ import annotations

import hashlib
import imaplib
import json
import poplib
import re
from typing import Any

from tests.support import commands
from tests.support.patience import PATIENCE_S
from tests.support.server import Server

ACCOUNTS = ("ann", "bob", "old")
PASSWORD = "test"
SINCE = "2026-01-01"
"""No store that is kept is older: what is told of a message does not depend on today's date."""
_READABLE = ("ann@example.test", "bob@example.test")
_COMMANDS = (
    ("domain", "list"),
    ("account", "list"),
    ("alias", "list"),
    ("account", "rules"),
    ("domain", "rules"),
    ("account", "send-as"),
    ("list", "show"),
    ("greylist", "show"),
    ("queue", "list"),
    ("dkim", "key", "list"),
    ("secret", "list"),
)
_ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"


def contents(server: Server) -> dict[str, Any]:
    """All of it, as JSON can hold it."""
    said: dict[str, Any] = {" ".join(words): _json(server, *words) for words in _COMMANDS}
    for entry in said["queue list"]:
        said[f"why {entry['queue_id']}"] = _json(server, "why", entry["queue_id"], "--since", SINCE)
    for login in _READABLE:
        said[f"imap {login}"] = _imap(server, login)
        said[f"pop3 {login}"] = _pop3(server, login)
    return said


def _json(server: Server, *words: str) -> Any:
    done = commands.run(*words, "--config", str(server.config_file), "--json")
    assert done.returncode == 0, (words, done.stderr)
    return json.loads(done.stdout)


def _imap(server: Server, login: str) -> dict[str, Any]:
    """Each mailbox: its status and its messages, the octets by their digest."""
    mailboxes: dict[str, Any] = {}
    with imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S) as client:
        client.login(login, PASSWORD)
        mailboxes["subscribed"] = sorted(line.decode() for line in client.lsub()[1])
        listed = sorted(line.decode() for line in client.list()[1])
        mailboxes["listed"] = listed
        for line in listed:
            name = line.rpartition(' "/" ')[2]
            if "\\Noselect" in line:
                continue
            client.select(name, readonly=True)
            status = client.status(name, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")[1][0].decode()
            mailboxes[name] = {"status": status, "messages": _messages(client)}
    return mailboxes


def _messages(client: imaplib.IMAP4) -> list[str]:
    if client.search(None, "ALL")[1] == [b""]:
        return []
    lines = []
    for part in client.fetch("1:*", _ITEMS)[1]:
        if isinstance(part, tuple):
            line = re.sub(r"BODY\[\] \{\d+\}", "", part[0].decode("utf-8"))
            lines.append(f"{line} {hashlib.sha256(part[1]).hexdigest()}")
    return lines


def _pop3(server: Server, login: str) -> dict[str, Any]:
    client = poplib.POP3("127.0.0.1", server.port(110), timeout=PATIENCE_S)
    client.user(login)
    client.pass_(PASSWORD)
    sizes = [line.decode() for line in client.list()[1]]
    ids = [line.decode() for line in client.uidl()[1]]
    client.quit()
    return {"list": sizes, "uidl": ids}
