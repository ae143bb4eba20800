"""The commands of a POP3 client. Source: RFC 1939 §3, §9; RFC 2449 §4."""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.errors import PeerError

# Ten digits hold any number of messages a maildrop can have and any number of lines worth asking for.
_NUMBER: Final = re.compile(rb"[0-9]{1,10}")
_FORBIDDEN: Final = re.compile(rb"[\x00-\x1f\x7f]")


def parse_command(line: bytes) -> tuple[bytes, bytes]:
    """The keyword in upper case and the rest of the line as it stands (a password may begin or end with a space).

    PeerError if the line has control characters; bare CR and LF are among them.
    """
    if _FORBIDDEN.search(line) is not None:
        raise PeerError("control character in command")
    keyword, _, argument = line.partition(b" ")
    return keyword.upper(), argument


def no_argument(argument: bytes) -> None:
    """PeerError if there is an argument."""
    if argument.strip():
        raise PeerError("no argument allowed")


def parse_numbers(argument: bytes, least: int, most: int) -> list[int]:
    """Between ``least`` and ``most`` decimal numbers with spaces between them. PeerError."""
    words = argument.split()
    if not least <= len(words) <= most:
        raise PeerError("argument missing" if len(words) < least else "too many arguments")
    for word in words:
        if _NUMBER.fullmatch(word) is None:
            raise PeerError("argument is not a number")
    return [int(word) for word in words]
