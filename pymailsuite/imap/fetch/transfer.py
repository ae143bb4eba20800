"""Content-Transfer-Encodings undone in any cut, for BINARY of parts too long to be held. Source: RFC 2045 §6, RFC 3516.

In the end the octets are those that :func:`pymailsuite.message.transfer.decode_transfer` makes of the whole.
"""

from __future__ import annotations

import binascii
from typing import Final, Protocol

from pymailsuite.imap.values import UnknownEncoding
from pymailsuite.values import MAX_CHUNK

_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


class TransferDecoder(Protocol):
    """Takes encoded octets in any cut, gives decoded ones."""

    def feed(self, octets: bytes) -> bytes:
        """What is now known."""

    def finish(self) -> bytes:
        """What was still held back."""


class _Base64:
    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        digits = self._held + octets.translate(None, _NOT_BASE64)
        whole = len(digits) & ~3
        self._held = digits[whole:]
        return binascii.a2b_base64(digits[:whole])

    def finish(self) -> bytes:
        # A last digit alone holds six bits, which are no octet.
        held = self._held if len(self._held) > 1 else b""
        return binascii.a2b_base64(held + b"=" * (-len(held) % 4))


class _QuotedPrintable:
    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        # An escape never spans the end of a line (a soft line break ends with it). A line that is longer than any mail
        # program writes is cut before what may be the beginning of an escape, "=XX".
        cut = octets.rfind(b"\n") + 1
        if not cut and len(octets) > MAX_CHUNK:
            cut = octets.find(b"=", len(octets) - 2)
            cut = len(octets[: cut if cut >= 0 else None].rstrip(b"="))
        self._held = octets[cut:]
        return binascii.a2b_qp(octets[:cut])

    def finish(self) -> bytes:
        return binascii.a2b_qp(self._held)


def transfer_decoder(encoding: str) -> TransferDecoder:
    """For base64 and quoted-printable (lower case); UnknownEncoding for anything else."""
    if encoding == "base64":
        return _Base64()
    if encoding == "quoted-printable":
        return _QuotedPrintable()
    raise UnknownEncoding(cause=encoding)
