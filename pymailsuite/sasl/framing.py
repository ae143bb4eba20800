"""The base64 form of challenges and responses that SMTP (RFC 4954), IMAP (RFC 3501) and POP3 (RFC 5034) share."""

from __future__ import annotations

import binascii

from pymailsuite.errors import PeerError


class MalformedResponse(PeerError):
    """The response is not base64. Source: RFC 4954 §4 (501 5.5.2)."""

    enhanced_code = "5.5.2"
    text = "Cannot decode response"


class Cancelled(PeerError):
    """The client sent ``*``. Source: RFC 4954 §4, RFC 5034 §4, RFC 3501 §6.2.2."""

    enhanced_code = "5.7.0"
    imap_code = ""
    text = "Authentication cancelled"


def decode_response(line: bytes) -> bytes:
    """The octets of a response line (without CRLF). :class:`Cancelled` for ``*``, :class:`MalformedResponse`.

    Spaces at its end are passed over: they come with what people paste, and mean nothing."""
    line = line.rstrip(b" ")
    if line == b"*":
        raise Cancelled
    try:
        # Strict: padding in the middle or characters outside the alphabet could carry two meanings (RFC 4648 §12).
        return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error as error:
        raise MalformedResponse(cause=str(error)) from None


def decode_initial(argument: bytes) -> bytes:
    """The octets of an initial response given with the command; ``=`` stands for the empty one.

    :class:`MalformedResponse` if it is not base64, and so for ``*``, which cancels nothing here. Source: RFC 4954 §4.
    """
    if argument == b"=":
        return b""
    if argument in (b"", b"*"):
        raise MalformedResponse
    return decode_response(argument)


def encode_challenge(octets: bytes) -> bytes:
    """Base64 on one line, without CRLF; empty for the empty challenge."""
    return binascii.b2a_base64(octets, newline=False)
