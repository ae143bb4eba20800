"""The memory of one command is bounded by octets, whatever messages are like and however often they are asked for."""

from __future__ import annotations

import base64
import tracemalloc
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.imap.conversation import Client, Server
from tests.support.stores import append

_MOST = 12 * 2**20
_SIZE = 200_000


class Sink:
    """Octets that were sent, counted and forgotten."""

    def __init__(self, client: Client) -> None:
        self.octets = 0
        self.end = b""
        transport: Any = client.transport
        transport.write = self._write

    def _write(self, octets: bytes) -> None:
        self.octets += len(octets)
        self.end = (self.end + octets[-200:])[-200:]


class Counter:
    """A store that counts the octets of messages that come in, and forgets them."""

    def __init__(self) -> None:
        self.size = 0
        self.aborted = False

    def new_content(self) -> Counter:
        return self

    def write(self, octets: bytes) -> None:
        self.size += len(octets)

    def abort(self) -> None:
        self.aborted = True


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.store.close)

    def fill(self, count: int, octets: bytes) -> None:
        append(self.server.store, self.server.account, "INBOX", *[octets] * count)

    def assert_bounded(self, command: bytes, least_sent: int, most: int = _MOST) -> None:
        client = self.server.connect().login()
        client.command("SELECT INBOX")
        client.command("FETCH 1 (ENVELOPE)")
        sink = Sink(client)
        tracemalloc.start()
        try:
            client.protocol.dataReceived(b"t " + command + b"\r\n")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertRegex(sink.end, rb"t OK [^\r]*\r\n\Z")
        self.assertGreater(sink.octets, least_sent)
        self.assertLess(peak, most)
        client.close()

    def test_a_literal_of_any_size_is_streamed_and_given_up_with_its_client(self) -> None:
        append(self.server.store, self.server.account, "INBOX", b"x" * _SIZE)
        counter = Counter()
        shared: Any = self.server.factory.shared
        shared.store = counter
        for command, ahead in (
            (b"APPEND Drafts", 0),
            (b"UID REPLACE 1 Drafts", 0),
            (b'APPEND Drafts CATENATE (URL "/INBOX/;UID=1" TEXT', _SIZE),
        ):
            counter.size, counter.aborted = 0, False
            client = self.server.connect().login()
            client.command("SELECT INBOX")
            piece = b"x" * 65536
            tracemalloc.start()
            try:
                self.assertEqual(client.send(b"a %b {%d}\r\n" % (command, 45_000_000)), b"+ OK\r\n")
                for _ in range(600):
                    client.protocol.dataReceived(piece)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertEqual(counter.size, ahead + 600 * len(piece))
            self.assertLess(peak, 2**20)
            self.assertFalse(counter.aborted)
            client.close()
            self.assertTrue(counter.aborted)

    def test_many_windows_of_many_messages(self) -> None:
        self.fill(12, b"Subject: x\r\n\r\n" + b"0123456789" * (_SIZE // 10))
        windows = b" ".join(b"BODY.PEEK[]<%d.200000>" % number for number in range(60))
        self.assert_bounded(b"FETCH 1:* (" + windows + b")", 12 * 60 * (_SIZE - 100))
        some = b" ".join(b"BODY.PEEK[TEXT]<%d.200000>" % number for number in range(12))
        self.assert_bounded(b"FETCH 1:* (" + some + b")", 12 * 12 * (_SIZE - 100))

    def test_many_windows_of_headers(self) -> None:
        self.fill(12, b"X-Long: " + b"0123456789\r\n " * (_SIZE // 13) + b"x\r\n\r\nbody\r\n")
        windows = b" ".join(b"BODY.PEEK[HEADER]<%d.200000>" % number for number in range(60))
        self.assert_bounded(b"FETCH 1:* (" + windows + b")", 12 * 60 * (_SIZE - 200))
        fields = b" ".join(b"BODY.PEEK[HEADER.FIELDS (X-Long F%d)]" % number for number in range(40))
        self.assert_bounded(b"FETCH 1:* (" + fields + b")", 12 * 40 * (_SIZE - 200))

    def test_many_windows_of_a_decoded_part_decode_it_once(self) -> None:
        body = base64.encodebytes(b"0123456789" * 15_000).replace(b"\n", b"\r\n")
        self.fill(4, b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body)
        windows = b" ".join(b"BINARY.PEEK[1]<%d.200000>" % number for number in range(60))
        self.assert_bounded(b"FETCH 1:* (" + windows + b")", 4 * 60 * 149_000)

    def test_many_windows_of_a_message_too_long_to_be_held(self) -> None:
        self.fill(1, b"Subject: x\r\n\r\n" + b"0123456789" * 60_000)
        windows = b" ".join(b"BODY.PEEK[]<%d.600000>" % number for number in range(40))
        self.assert_bounded(b"FETCH 1:* (" + windows + b")", 40 * 599_000)

    def test_long_metadata(self) -> None:
        self.fill(60, b"Subject: " + b"0123456789\r\n " * (_SIZE // 13) + b"x\r\n\r\nbody\r\n")
        self.assert_bounded(b"FETCH 1:* (ENVELOPE BODYSTRUCTURE)", 100_000)

    def test_a_search_holds_some_messages_at_a_time(self) -> None:
        self.fill(60, b"Subject: x\r\n\r\n" + b"0123456789\r\n" * (_SIZE // 12))
        self.assert_bounded(b"SEARCH BODY absent TEXT lacking", 10, most=2 * _MOST)
        self.assert_bounded(b"SEARCH HEADER Subject x NOT HEADER X-Other y", 100)
