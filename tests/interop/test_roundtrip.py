"""Whatever octets go in come back: broken, foreign, huge or empty, by SMTP and APPEND, out by IMAP and POP3."""

from __future__ import annotations

import imaplib
import importlib.util
import itertools
import poplib
import random
import re
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import acceptance
from tests.durability.clients import imap, pop3
from tests.interop.base import ServerTestCase


def cpython_messages() -> Iterator[tuple[str, bytes]]:
    """The message files of CPython's own e-mail tests, where Python was installed with them."""
    found = importlib.util.find_spec("test.test_email") if importlib.util.find_spec("test") else None
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder, "data").glob("msg_*.txt")):
            yield path.name, path.read_bytes()


def crlf(octets: bytes) -> bytes:
    """As it must be on an SMTP wire: CRLF line ends alone, and one at the end."""
    octets = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def seeded_messages(count: int) -> Iterator[tuple[str, bytes]]:
    """Random octets in the shapes that break parsers, the same at every run; NUL apart, which is refused by SMTP and is
    in no plain literal of IMAP."""
    source = random.Random(5322)
    pieces = [
        b"\r\n",
        b"\r\n\r\n",
        b".",
        b"..",
        b"\r\n.",
        b"--b",
        b"--b--",
        b"Content-Type: multipart/mixed; boundary=b",
    ]
    pieces += [b":", b" ", b"\t", b"\xff\xfe", "ü".encode(), b"Subject:", b"\r\n--b\r\n", b"=?utf-8?q?=C3?="]
    for number in range(count):
        chosen = source.choices([*pieces, source.randbytes(source.randint(0, 300))], k=source.randint(0, 200))
        yield f"seeded-{number}", b"".join(chosen).replace(b"\0", b"\1")


class Reading:
    """The newest message of a mailbox, by both protocols."""

    def __init__(self, client: imaplib.IMAP4) -> None:
        self._client = client

    def newest(self) -> tuple[bytes, int]:
        """Octets and RFC822.SIZE of the last message of INBOX."""
        self._client.select("INBOX")
        _, data = self._client.fetch("*", "(RFC822.SIZE BODY.PEEK[] ENVELOPE BODYSTRUCTURE)")
        first = next(item for item in data if isinstance(item, tuple) and b"BODY[]" in item[0])
        size = re.search(
            rb"RFC822\.SIZE (\d+)", b" ".join(p for i in data for p in (i if isinstance(i, tuple) else [i]))
        )
        assert size
        return first[1], int(size[1])


@pytest.mark.interop
class RoundTripTests(ServerTestCase):
    """Octet for octet."""

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        return itertools.chain(cpython_messages(), seeded_messages(60))

    @acceptance("S053")
    def test_what_was_appended_comes_back_octet_for_octet(self) -> None:
        client = imap(self.server, self.user)
        for name, octets in self._messages():
            with self.subTest(name):
                if not octets:
                    continue
                self.assertEqual(client.append("INBOX", "", "", octets)[0], "OK")
                fetched, size = Reading(client).newest()
                # imaplib itself turns bare CR and LF of what it appends into CRLF.
                self.assertEqual(fetched, imaplib.MapCRLF.sub(imaplib.CRLF, octets))
                self.assertEqual(size, len(fetched))

    @acceptance("S053", "S048", "S143")
    def test_what_was_sent_comes_back_octet_for_octet_behind_our_trace_fields(self) -> None:
        sender = smtplib.SMTP("127.0.0.1", self.server.port(25))
        sender.ehlo("client.test")
        reader = imap(self.server, self.other)
        for name, raw in self._messages():
            with self.subTest(name):
                octets = crlf(raw)
                sender.sendmail("a@elsewhere.test", [self.other], octets, ["BODY=8BITMIME"])
                fetched, size = Reading(reader).newest()
                self.assertTrue(fetched.endswith(octets), name)
                self.assertTrue(fetched.startswith(b"Return-Path: <a@elsewhere.test>\r\nDelivered-To: "))
                self.assertEqual(size, len(fetched))
        self._same_by_pop3(reader)

    def _same_by_pop3(self, reader: imaplib.IMAP4) -> None:
        _, data = reader.fetch("1:*", "(BODY.PEEK[])")
        by_imap = [item[1] for item in data if isinstance(item, tuple)]
        maildrop = pop3(self.server, self.other)
        self.assertEqual(maildrop.stat(), (len(by_imap), sum(map(len, by_imap))))
        poplib._MAXLINE = 10_000_000  # type: ignore[attr-defined]  # its own limit of 2 KB a line is not ours
        for number, octets in enumerate(by_imap, 1):
            lines = maildrop.retr(number)[1]
            self.assertEqual(b"".join(line + b"\r\n" for line in lines), octets)
            self.assertEqual(int(maildrop.list(number).split()[2]), len(octets))
        maildrop.quit()
