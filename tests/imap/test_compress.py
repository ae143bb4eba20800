"""COMPRESS=DEFLATE: what was said before goes on as before, within bounds of memory in both directions. RFC 4978."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance
from tests.imap.conversation import PASSWORD, USER, Client, Server
from tests.support.stores import append

ZEROS = 64 * 2**20


class Packed:
    """A client whose octets are compressed from now on; ``flush``: how it ends what it sends."""

    def __init__(self, client: Client, flush: int = zlib.Z_SYNC_FLUSH) -> None:
        assert client.command("COMPRESS DEFLATE") == ["x OK Compression begins"]
        self.client = client
        self._flush = flush
        self._packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        self._unpacker = zlib.decompressobj(-15)

    def pack(self, octets: bytes) -> bytes:
        return self._packer.compress(octets) + self._packer.flush(self._flush)

    def unpack(self, octets: bytes) -> bytes:
        return self._unpacker.decompress(octets)

    def send(self, octets: bytes) -> bytes:
        return self.unpack(self.client.send(self.pack(octets)))

    def advance(self, turns: int) -> bytes:
        """What comes in so many turns of the reactor."""
        for _ in range(turns):
            self.client.clock.advance(0)
        return self.unpack(self.client.output())


@acceptance("S283")
class CompressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server(tls="context")
        self.addCleanup(self.server.store.close)
        self.server.deliver(1, 2)

    def connect(self, **where: Any) -> Client:
        return self.server.connect(**where).login()

    def test_it_is_offered_after_login_until_it_is_used(self) -> None:
        client = self.server.connect()
        self.assertNotIn(b"COMPRESS", client.output())
        self.assertEqual(client.command("COMPRESS DEFLATE"), ["x BAD Command not allowed in this state"])
        client.login()
        self.assertIn(" COMPRESS=DEFLATE", client.command("CAPABILITY")[0])
        self.assertEqual(client.command("COMPRESS LZW"), ["x NO [CANNOT] Compression mechanism not supported"])
        self.assertEqual(client.command("COMPRESS"), ["x BAD Expected a space"])
        packed = Packed(client)
        self.assertNotIn(b"COMPRESS", packed.send(b"a CAPABILITY\r\n"))
        self.assertEqual(
            packed.send(b"a COMPRESS DEFLATE\r\n"),
            b"a NO [COMPRESSIONACTIVE] The connection is compressed already\r\n",
        )

    def test_an_operator_may_switch_it_off(self) -> None:
        client = Server(compress=False).connect().login()
        self.assertNotIn("COMPRESS", client.command("CAPABILITY")[0])
        self.assertIn("NO [CANNOT]", client.command("COMPRESS DEFLATE")[0])

    def test_octet_by_octet_it_says_what_it_says_at_once(self) -> None:
        lines = (
            b"a SELECT INBOX\r\nb FETCH 1:* (UID BODY[])\r\nc APPEND INBOX {5+}\r\nhello\r\n"
            b"d STORE 1 +FLAGS (\\Seen)\r\n"
        )
        plain = self.connect(tls=True).send(lines)
        again = Server()
        again.deliver(1, 2)
        for flush in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH):
            once = Server()
            once.deliver(1, 2)
            packed = Packed(once.connect(tls=True).login(), flush)
            octets = b"".join(packed.unpack(packed.client.send(bytes([octet]))) for octet in packed.pack(lines))
            self.assertEqual(octets, plain)
        self.assertEqual(Packed(again.connect().login()).send(lines), plain)

    def test_what_follows_the_command_is_taken_as_compressed(self) -> None:
        client = self.connect()
        packer = zlib.compressobj(wbits=-15)
        octets = packer.compress(b"b NOOP\r\n") + packer.flush(zlib.Z_SYNC_FLUSH)
        answer = client.send(b"a COMPRESS DEFLATE\r\n" + octets)
        begun, _, rest = answer.partition(b"\r\n")
        self.assertEqual(begun, b"a OK Compression begins")
        self.assertEqual(zlib.decompressobj(-15).decompress(rest), b"b OK NOOP completed\r\n")

    def test_a_client_in_idle_is_told_at_once_and_kept_awake(self) -> None:
        packed = Packed(self.connect())
        packed.send(b"a SELECT INBOX\r\n")
        self.assertEqual(packed.send(b"b IDLE\r\n"), b"+ idling\r\n")
        self.server.deliver(3)
        self.assertEqual(packed.advance(1), b"* 3 EXISTS\r\n* 3 RECENT\r\n")
        self.server.clock.advance(self.server.settings.idle_keepalive)
        self.assertEqual(packed.advance(1), b"* OK Still here\r\n")
        self.server.clock.advance(self.server.settings.idle_timeout)
        self.assertIn(b"* BYE Autologout: idle for too long\r\n", packed.advance(1))
        self.assertTrue(packed.client.transport.disconnecting)

    def test_octets_that_bring_no_command_do_not_keep_a_client_logged_in(self) -> None:
        packed = Packed(self.connect())
        told = b""
        for _ in range(4):
            self.server.clock.advance(self.server.settings.autologout / 4)
            told += packed.send(b"")
        self.assertEqual(told, b"* BYE Autologout: idle for too long\r\n")

    def test_it_stays_when_the_client_logs_out_by_unauthenticate(self) -> None:
        packed = Packed(self.connect())
        answer = packed.send(b"a UNAUTHENTICATE\r\nb STARTTLS\r\n")
        self.assertNotIn(b"STARTTLS]", answer)
        self.assertNotIn(b" STARTTLS ", answer)
        self.assertTrue(answer.endswith(b"b BAD The connection is compressed\r\n"))
        self.assertIsNone(packed.client.transport.tls)
        self.assertIn(b"c OK", packed.send(f"c LOGIN {USER} {PASSWORD}\r\n".encode()))
        self.assertIn(b"COMPRESSIONACTIVE", packed.send(b"d COMPRESS DEFLATE\r\n"))

    def test_octets_that_are_not_deflate_end_the_connection(self) -> None:
        for octets in (b"\xff\xff\xff", zlib.compressobj(wbits=-15).flush(zlib.Z_FINISH) + b"a NOOP\r\n"):
            packed = Packed(self.connect())
            packed.client.send(octets)
            self.assertTrue(packed.client.transport.disconnecting)

    def test_all_that_a_client_sent_before_it_closed_its_side_is_answered(self) -> None:
        packed = Packed(self.connect())
        noops = b"".join(b"%d NOOP\r\n" % number for number in range(20_000))
        packed.client.protocol.dataReceived(packed.pack(noops))
        packed.client.protocol.readConnectionLost()
        octets = b"".join(packed.advance(1) for _ in range(400))
        self.assertEqual(octets.count(b" OK NOOP completed\r\n"), 20_000)
        self.assertTrue(packed.client.transport.disconnecting)

    @acceptance("S208")
    def test_a_message_of_a_thousand_times_its_octets_takes_bounded_memory(self) -> None:
        server = Server(message_size=2 * ZEROS)
        self.addCleanup(server.store.close)
        packed = Packed(server.connect().login())
        refused = packed.send(b"a APPEND nowhere {%d+}\r\n" % ZEROS)
        self.assertEqual(refused, b"a NO [TRYCREATE] Mailbox does not exist\r\n")
        parts = [packed._packer.compress(b"x" * 2**20) for _ in range(ZEROS // 2**20)]
        bomb = b"".join(parts) + packed.pack(b"\r\nb NOOP\r\n")
        self.assertLess(len(bomb), ZEROS // 900)
        protocol: Any = packed.client.protocol
        sizes: list[int] = []
        receive = protocol.octets_received
        protocol.octets_received = lambda octets: (sizes.append(len(octets)), receive(octets))
        tracemalloc.start()
        try:
            protocol.dataReceived(bomb)
            # A turn does one piece, and no more is read until all of them are done.
            self.assertEqual(sizes, [65536])
            self.assertEqual(packed.client.transport.producerState, "paused")
            answer = packed.advance(1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(answer, b"b OK NOOP completed\r\n")
        self.assertEqual(packed.client.transport.producerState, "producing")
        self.assertLessEqual(max(sizes), 65536)
        self.assertLess(peak, 2 * 2**20)

    @acceptance("S208")
    def test_a_client_that_does_not_read_is_not_compressed_for(self) -> None:
        append(self.server.store, self.server.account, "INBOX", b"Subject: x\r\n\r\n" + bytes(range(1, 256)) * 12_000)
        packed = Packed(self.connect())
        packed.send(b"a SELECT INBOX\r\n")
        packed.client.protocol.dataReceived(packed.pack(b"b FETCH 3 BODY.PEEK[]\r\nc NOOP\r\n"))
        # The transport's buffer is full after the first piece; nothing is added while it is.
        packed.client.protocol.pauseProducing()
        begun = packed.client.output()
        for _ in range(10):
            self.server.clock.advance(0)
        self.assertEqual(packed.client.output(), b"")
        packed.client.protocol.resumeProducing()
        octets = packed.unpack(begun) + b"".join(packed.advance(1) for _ in range(200))
        self.assertTrue(octets.endswith(b")\r\nb OK FETCH completed\r\nc OK NOOP completed\r\n"), octets[-60:])
        self.assertIn(bytes(range(1, 256)) * 12_000, octets)

    def test_a_reply_that_waits_is_sent_before_the_end(self) -> None:
        append(self.server.store, self.server.account, "INBOX", b"Subject: x\r\n\r\n" + b"0123456789" * 20_000)
        packed = Packed(self.connect())
        packed.send(b"a SELECT INBOX\r\n")
        octets = packed.unpack(packed.client.send(packed.pack(b"b FETCH 3 BODY.PEEK[]\r\nc LOGOUT\r\n")))
        octets += b"".join(packed.advance(1) for _ in range(20))
        self.assertTrue(octets.endswith(b"* BYE Logging out\r\nc OK LOGOUT completed\r\n"))
        self.assertIn(b"0123456789" * 20_000, octets)
