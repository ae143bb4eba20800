"""A connection that may be compressed, in both directions, from some moment on (RFC 4978).

A few octets of the peer may stand for a thousand times as many, and a reply of a megabyte takes long to compress. So in
each direction a turn does one piece, what waits is kept in its short form, and the next piece has to wait for the peer
that does not read, or for the session that is still at work. TLS, if it is used, is below: it carries what is
compressed.
"""

from __future__ import annotations

import zlib

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from pymailsuite.wire.compression import CompressionSettings, Compressor, Decompressor
from pymailsuite.wire.connection import ConnectionProtocol, send_now


class CompressibleProtocol(ConnectionProtocol):
    """Without compression it does what its base does."""

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(reactor)
        self._compressor: Compressor | None = None
        self._decompressor: Decompressor | None = None
        self._compressing: IDelayedCall | None = None
        self._decompressing: IDelayedCall | None = None
        self._transport_paused = False
        self._end_waits = False

    # --- what a protocol provides

    def not_deflate(self) -> None:
        """The peer has sent octets that cannot be decompressed: tell it and close."""
        self.close()

    # --- what a protocol calls

    @property
    def compressed(self) -> bool:
        """True once compression has been begun."""
        return self._compressor is not None

    def start_compression(self, settings: CompressionSettings, received: bytes) -> None:
        """Compress all that is sent from now on, and decompress all that comes; ``received`` is what has come already
        and was not read. Source: RFC 4978 §3."""
        self.flush()
        self._compressor = Compressor(settings)
        self._decompressor = Decompressor()
        if received:
            self._decompressor.add(received)
            self._read_on()

    def flush(self) -> None:
        """Hand everything sent so far to the transport, or to the compressor."""
        compressor = self._compressor
        if compressor is None:
            super().flush()
        elif self._out:
            octets = b"".join(self._out)
            self._out.clear()
            was_behind = compressor.is_behind
            compressor.add(octets)
            if not was_behind and not self.connection_ended:
                self._compress(compressor)

    def close(self) -> None:
        """Close once everything sent has left."""
        if not self.closing and self._compressor is not None:
            self.flush()
            while self._compressor.is_behind:
                self._write_piece(self._compressor)
        super().close()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._compressor is not None:
            self._compressor.forget()
        super().abort()

    # --- what is sent

    def _write_piece(self, compressor: Compressor) -> None:
        octets = compressor.next_piece()
        if self._socket is not None:
            octets = send_now(self._socket, octets)
        if octets:
            self.transport.write(octets)

    def _compress(self, compressor: Compressor) -> None:
        """Send a piece of what waits; the next one is sent in a turn of its own, if the peer keeps up."""
        self._write_piece(compressor)
        if compressor.is_behind:
            self._output_paused = True
            self._compress_later()

    def _compress_later(self) -> None:
        if self._compressing is None and not self._transport_paused:
            self._compressing = self._reactor.callLater(0, self._compress_now)

    def _compress_now(self) -> None:
        self._compressing = None
        compressor = self._compressor
        assert compressor is not None
        if self._transport_paused:
            return
        if compressor.is_behind:
            self._compress(compressor)
        if not compressor.is_behind and not self._transport_paused:
            super().resumeProducing()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._transport_paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """The transport's buffer has been emptied."""
        self._transport_paused = False
        if self._compressor is not None and self._compressor.is_behind:
            self._compress_later()
        else:
            super().resumeProducing()

    # --- what comes

    def dataReceived(self, data: bytes) -> None:
        """Octets came: one turn."""
        decompressor = self._decompressor
        if decompressor is None or self._closing:
            super().dataReceived(data)
            return
        decompressor.add(data)
        if self._decompressing is None and not self._reading_held:
            self.in_turn(self._decompress, decompressor)

    def _decompress(self, decompressor: Decompressor) -> None:
        """Act on a piece of what has come; the next one follows in a turn of its own, and until then nothing is read
        from the peer."""
        try:
            octets = decompressor.next_piece()
        except zlib.error as error:
            self.log.info(
                "{event} {protocol} from {peer_ip}: {reason}",
                event="connection.not_deflate",
                protocol=self.protocol_name,
                peer_ip=self.peer_ip,
                reason=str(error),
            )
            self.not_deflate()
            return
        if octets:
            self.octets_received(octets)
        if self.closing:
            return
        if decompressor.is_behind:
            if not self._reading_held:
                self.transport.pauseProducing()
                self._read_on()
        elif self._end_waits:
            self._end_waits = False
            super().readConnectionLost()

    def _read_on(self) -> None:
        decompressor = self._decompressor
        if decompressor is not None and decompressor.is_behind:
            if self._decompressing is None:
                self._decompressing = self._reactor.callLater(0, self._decompress_now, decompressor)
        elif not self._end_waits and not self.input_over:
            super()._read_on()

    def _decompress_now(self, decompressor: Decompressor) -> None:
        self._decompressing = None
        if not self.closing:
            self.in_turn(self._decompress, decompressor)
            if not self._reading_held and not self.closing:
                self._read_on()

    def readConnectionLost(self) -> None:
        """The peer has shut down its sending side; all that it sent before is acted on first."""
        if self._decompressor is not None and self._decompressor.is_behind and not self._closing:
            self._end_waits = True
        else:
            super().readConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop all timers and tell the protocol."""
        for pending in (self._compressing, self._decompressing):
            if pending is not None:
                pending.cancel()
        self._compressing = self._decompressing = None
        super().connectionLost(reason)
