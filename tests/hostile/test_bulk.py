"""A message of 100 MB in and out: it passes through, it is never held."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.acceptance import acceptance
from tests.hostile.base import HostileTestCase, Wire

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_LINE = b"0123456789" * 99 + b"\r\n"
_PIECE = _LINE * 1000
_PIECES = 101
_SIZE = len(_PIECE) * _PIECES
_MOST_MIB = 64


class BulkTests(HostileTestCase):
    """One message that is larger than what the server may grow by."""

    def _octets_until(self, wire: Wire, end: bytes) -> Iterator[bytes]:
        tail = b""
        while not tail.endswith(end):
            octets = wire.socket.recv(1 << 18)
            assert octets, "the connection has ended"
            tail = (tail + octets)[-len(end) :]
            yield octets

    @acceptance("S208")
    def test_a_hundred_megabytes_pass_through(self) -> None:
        wire = self.connect(587)
        wire.say(b"EHLO s.test")
        wire.say(b"AUTH PLAIN " + base64.b64encode(b"\0ann@example.test\0test"))
        wire.say(b"MAIL FROM:<ann@example.test>")
        wire.say(b"RCPT TO:<ann@example.test>")
        with self.memory_grows_less_than(_MOST_MIB):
            self.assertEqual(wire.say(b"DATA")[:4], b"354 ")
            wire.send(b"Subject: bulk\r\n\r\n")
            for _ in range(_PIECES):
                wire.send(_PIECE)
            wire.send(b".\r\n")
            self.assertEqual(wire.reply()[:4], b"250 ")
        self.assertEqual(self.found(self.user, f"LARGER {_SIZE}"), 1)
        reader = self.imap()
        reader.obey(b"SELECT INBOX")
        number = reader.obey(b"SEARCH LARGER %d" % _SIZE).split()[2]
        with self.memory_grows_less_than(_MOST_MIB):
            reader.send(b"t FETCH %b BODY.PEEK[]\r\n" % number)
            got = sum(map(len, self._octets_until(reader, b"t OK FETCH completed\r\n")))
        self.assertGreater(got, _SIZE)
        maildrop = self.pop3()
        with self.memory_grows_less_than(_MOST_MIB):
            maildrop.send(b"RETR %b\r\n" % number)
            got = sum(map(len, self._octets_until(maildrop, b"\r\n.\r\n")))
        self.assertGreater(got, _SIZE)
        self.assertIn(b"t OK", reader.obey(b"STORE %b +FLAGS (\\Deleted)" % number))
        self.assertIn(b"t OK", reader.obey(b"EXPUNGE"))
