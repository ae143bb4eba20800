"""COMPRESS over real connections, with and without TLS below: all octets come, in order."""

from __future__ import annotations

import random
import socket
import ssl
import tempfile
import zlib
from pathlib import Path
from unittest import TestCase

from tests.acceptance import acceptance
from tests.support.server import Server, running

MESSAGE = b"Subject: long\r\n\r\n" + random.Random(4978).randbytes(150_000).hex().encode() + b"\r\n"
UNVERIFIED = ssl._create_unverified_context()


class Compressed:
    """A client that has logged in and begun compression."""

    def __init__(self, client: socket.socket) -> None:
        self._socket = client
        self._heard = b""
        self._packer = zlib.compressobj(wbits=-15)
        self._unpacker: zlib._Decompress | None = None
        self.until(b"\r\n")
        self.send(b"a LOGIN ann@example.test test\r\n", b"a OK")
        self.send(b"b COMPRESS DEFLATE\r\n", b"b OK Compression begins\r\n")
        self._unpacker = zlib.decompressobj(-15)

    def until(self, end: bytes) -> bytes:
        """What comes up to ``end``."""
        while end not in self._heard:
            octets = self._socket.recv(65536)
            assert octets, "the connection was closed"
            self._heard += octets if self._unpacker is None else self._unpacker.decompress(octets)
        heard, self._heard = self._heard, b""
        return heard

    def send(self, octets: bytes, end: bytes) -> bytes:
        """Send octets; what comes up to ``end``."""
        if self._unpacker is not None:
            octets = self._packer.compress(octets) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        self._socket.sendall(octets)
        return self.until(end)


class CompressTests(TestCase):
    @acceptance("S283")
    def test_a_long_message_goes_both_ways(self) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            running(Server(Path(folder), ["ann"])) as server,
        ):
            for tls in (False, True):
                port = server.port(993 if tls else 143)
                with socket.create_connection(("127.0.0.1", port), 60) as plain:
                    client = Compressed(UNVERIFIED.wrap_socket(plain) if tls else plain)
                    client.send(b"c APPEND INBOX {%d+}\r\n%b\r\n" % (len(MESSAGE), MESSAGE), b"c OK")
                    client.send(b"d SELECT INBOX\r\n", b"d OK")
                    answer = client.send(b"e FETCH * BODY.PEEK[]\r\nf NOOP\r\n", b"f OK NOOP completed\r\n")
                    self.assertIn(b" FETCH (BODY[] {%d}\r\n%b)\r\ne OK" % (len(MESSAGE), MESSAGE), answer)
                    self.assertIn(b"* BYE", client.send(b"g LOGOUT\r\n", b"g OK"))
