"""The server's replies, in wire form. Source: RFC 1939 §3, with the response codes of RFC 2449 §8 and RFC 3206."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from pymailsuite.errors import LoginRefused, MailError

END: Final = b".\r\n"


def ok(text: str = "") -> bytes:
    """A positive reply."""
    return f"+OK {text}\r\n".encode() if text else b"+OK\r\n"


def err(text: str, code: str = "") -> bytes:
    """A negative reply. Text from outside cannot end the line."""
    harmless = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return f"-ERR [{code}] {harmless}\r\n".encode() if code else f"-ERR {harmless}\r\n".encode()


def error_reply(error: MailError) -> bytes:
    """The reply for an error, without the private cause."""
    return err(error.public, error.pop3_code)


def text_of(octets: bytes) -> str:
    """A reply on one line, for the log."""
    return octets.decode("utf-8", "replace").rstrip("\r\n")


def challenge(base64: bytes) -> bytes:
    """A SASL challenge. Source: RFC 5034 §4."""
    return b"+ " + base64 + b"\r\n"


def multi_line(first: bytes, lines: Iterable[str]) -> bytes:
    """A reply of several lines, none of which may begin with a dot."""
    return b"".join([first, *(line.encode() + b"\r\n" for line in lines), END])


def scan_listing(numbers: Sequence[int], values: Sequence[int]) -> bytes:
    """The lines ``number value``, without the end; one formatting for all, since a maildrop may hold a great many."""
    flat = tuple(chain.from_iterable(zip(numbers, values, strict=True)))
    return ("%d %d\r\n" * len(numbers) % flat).encode("ascii")


def unique_id_listing(numbers: Sequence[int], uid_validity: int, uids: Sequence[int]) -> bytes:
    """The lines ``number uid_validity.uid``, without the end."""
    flat = tuple(chain.from_iterable(zip(numbers, uids, strict=True)))
    return (f"%d {uid_validity}.%d\r\n" * len(numbers) % flat).encode("ascii")


def messages(count: int, octets: int) -> str:
    """How many messages of how many octets, in words."""
    return f"{count} message{'' if count == 1 else 's'} ({octets} octets)"


TLS_FIRST: Final = err("password login needs TLS, use STLS first")
USER_FIRST: Final = err("give your name with USER first")
UNKNOWN: Final = err("unknown command")
NOT_YET: Final = err("log in first")
NOT_NOW: Final = err("already logged in")
BEGIN_TLS: Final = ok("begin TLS negotiation")
LOGIN_REFUSED: Final = error_reply(LoginRefused())
LOGIN_FAILED: Final = err("cannot verify passwords just now, try again later", "SYS/TEMP")
