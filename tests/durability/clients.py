"""Clients that say what they were told: each call answers True only after the server's OK, and raises if it went away.

They are the standard library's, so that what is judged is the server and not a client of ours.
"""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib

from tests.support.patience import PATIENCE_S
from tests.support.server import Server

GONE = (OSError, EOFError, imaplib.IMAP4.abort, smtplib.SMTPServerDisconnected, poplib.error_proto)
"""What a client sees of a killed server."""

REFUSED = (imaplib.IMAP4.error, smtplib.SMTPResponseException)
"""What a client sees of a server whose database is away, where no answer of ours is expected."""

TOKEN_FIELD = "X-Token"
_TOKEN = re.compile(rb"X-Token: (\S+)")
_UID = re.compile(rb"UID (\d+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")


def message(token: str, size: int = 2000) -> bytes:
    """A message that carries its token; about ``size`` octets."""
    head = f"From: a@elsewhere.test\r\nTo: b@example.test\r\nSubject: {token}\r\n{TOKEN_FIELD}: {token}\r\n\r\n"
    return head.encode() + b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n" * (size // 64)


def smtp(server: Server) -> smtplib.SMTP:
    """A connection to the MX port, greeted."""
    client = smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE_S)
    client.ehlo("client.test")
    return client


def send(client: smtplib.SMTP, recipients: list[str], octets: bytes) -> bool:
    """One transaction; False for a refusal."""
    try:
        return client.sendmail("a@elsewhere.test", recipients, octets) == {}
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
        return False


def imap(server: Server, address: str) -> imaplib.IMAP4:
    """A connection to the IMAP port, logged in."""
    client = imaplib.IMAP4("127.0.0.1", server.port(143), timeout=PATIENCE_S)
    client.login(address, server.password)
    return client


def pop3(server: Server, address: str) -> poplib.POP3:
    """A connection to the POP3 port, logged in."""
    client = poplib.POP3("127.0.0.1", server.port(110), timeout=PATIENCE_S)
    client.user(address)
    client.pass_(server.password)
    return client


class MailboxView:
    """A mailbox as a fresh session sees it: tokens by UID, flags by UID, and the numbers that must never move back."""

    def __init__(self, client: imaplib.IMAP4, name: str) -> None:
        status, _ = client.select(name, readonly=True)
        if status != "OK":
            raise imaplib.IMAP4.error(f"SELECT {name}: {status}")
        self.uid_validity = int(client.response("UIDVALIDITY")[1][0] or b"0")
        self.uid_next = int(client.response("UIDNEXT")[1][0] or b"0")
        self.tokens: dict[int, str] = {}
        self.flags: dict[int, frozenset[str]] = {}
        status, data = client.uid("FETCH", "1:*", f"(UID FLAGS BODY.PEEK[HEADER.FIELDS ({TOKEN_FIELD})])")
        if status != "OK":
            raise imaplib.IMAP4.error(f"FETCH {name}: {status}")
        for item in data:
            if not isinstance(item, tuple):
                continue
            uid = _UID.search(item[0])
            flags = _FLAGS.search(item[0])
            token = _TOKEN.search(item[1])
            assert uid and flags and token, item
            self.tokens[int(uid[1])] = token[1].decode()
            self.flags[int(uid[1])] = frozenset(flags[1].decode().split()) - {"\\Recent"}
        client.close()

    def count(self, token: str) -> int:
        """How many copies of a message are here."""
        return sum(1 for held in self.tokens.values() if held == token)
