"""The mail that a recorded account begins with, and what happens to it from outside: the same when it is replayed."""

from __future__ import annotations

import imaplib
import smtplib
from typing import Final

from tests.durability.clients import imap
from tests.support.server import Server

_DAY: Final = '"%02d-Feb-2026 10:00:00 +0000"'

ATTACHED: Final = (
    "From: Bob Builder <bob@elsewhere.test>\r\nTo: {to}\r\nSubject: Plans with a picture\r\n"
    "Date: Tue, 03 Feb 2026 10:00:00 +0000\r\nMessage-ID: <plans@elsewhere.test>\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="edge"\r\n\r\n'
    '--edge\r\nContent-Type: multipart/alternative; boundary="inner"\r\n\r\n'
    "--inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Grüße, the plans are attached.\r\n"
    "--inner\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    "<p>Gr=C3=BC=C3=9Fe, the plans are attached.</p>\r\n--inner--\r\n"
    '--edge\r\nContent-Type: image/png; name="dot.png"\r\nContent-Transfer-Encoding: base64\r\n'
    'Content-Disposition: attachment; filename="dot.png"\r\n\r\n'
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==\r\n"
    "--edge--\r\n"
)


def plain(to: str, number: int, subject: str) -> bytes:
    """A short message."""
    return (
        f"From: Carol <carol@elsewhere.test>\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Date: Mon, {number:02} Feb 2026 10:00:00 +0000\r\nMessage-ID: <n{number}@elsewhere.test>\r\n\r\n"
        f"This is message {number}, about {subject.lower()}.\r\n"
    ).encode()


TEAM: Final = "Team"


def accounts_for(program: str) -> list[str]:
    """The account of a program, and that of somebody who shares a mailbox with it."""
    return [program, f"{program}-friend"]


def _friend(address: str) -> tuple[str, str]:
    """The local part and the domain of who shares a mailbox with an account."""
    local_part, _, domain = address.partition("@")
    return f"{local_part}-friend", domain


def _share(server: Server, address: str) -> None:
    owner = imap(server, "@".join(_friend(address)))
    _done(owner.create(TEAM))
    _done(owner.append(TEAM, "", _DAY % 10, plain(address, 10, "For all of us")))
    _done(owner.setacl(TEAM, address, "lrswi"))
    owner.logout()


def fill(server: Server, address: str) -> None:
    """Eight messages in INBOX, one of them seen, one with an attachment; a mailbox with an odd name, and one that
    somebody else shares, both subscribed."""
    _share(server, address)
    client = imap(server, address)
    subjects = ("Lunch", "Invoice 17", "", "Meeting", "Offer", "Holidays", "Question", "Answer")
    for number, subject in enumerate(subjects, 1):
        octets = plain(address, number, subject) if subject else ATTACHED.format(to=address).encode()
        flags = "(\\Seen)" if number == 1 else ""
        _done(client.append("INBOX", flags, _DAY % number, octets))
    for name in ("Projects", '"Projects/Caf&AOk- 2026"'):
        _done(client.create(name))
        _done(client.subscribe(name))
    _done(client.append('"Projects/Caf&AOk- 2026"', "", _DAY % 9, plain(address, 9, "Coffee")))
    _done(client.subscribe(f'"Other Users/{_friend(address)[0]}/{TEAM}"'))
    client.logout()


def act(server: Server, address: str, event: str) -> None:
    """What happens from outside: ``deliver SUBJECT``, ``flag UID``, ``delete UID``, all in INBOX."""
    name, _, argument = event.partition(" ")
    if name == "deliver":
        with smtplib.SMTP("127.0.0.1", server.port(25)) as sender:
            sender.sendmail("carol@elsewhere.test", [address], plain(address, 20, argument))
        return
    client = imap(server, address)
    client.select("INBOX")
    if name == "flag":
        _done(client.uid("STORE", argument, "+FLAGS", "(\\Flagged)"))
    elif name == "delete":
        _done(client.uid("STORE", argument, "+FLAGS", "(\\Deleted)"))
        _done(client.uid("EXPUNGE", argument))
    else:
        raise ValueError(f"unknown event: {event}")
    client.logout()


def _done(answer: tuple[str, object]) -> None:
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(answer)
