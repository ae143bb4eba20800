"""Which answers of a DNS list mean "listed": sets, ranges, networks and bit masks of 127.0.0.0/8. Pure.

Source: RFC 5782 §2.1 and §2.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Final

_LOOPBACK: Final = IPv4Network("127.0.0.0/8")
_ERRORS: Final = IPv4Network("127.255.255.0/24")
"""Answers about the question and not about what was asked for: too many questions, an open resolver. Public lists say
so in their documentation."""

Matches = Callable[[int], bool]


class CodeFilter:
    """``127.0.0.2``, ``127.0.0.4-127.0.0.7``, ``127.0.0.4-7``, ``127.0.1.0/24``, ``&0.0.0.6`` (any of these bits), or
    several with commas between. ValueError if the text is none.

    The empty text is any answer that can mean "listed": 127.0.0.1 and all that end in 255 are what lists answer who
    want to say something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._matches: list[Matches] = [_one(part.strip()) for part in text.split(",")] if text.strip() else []

    def __contains__(self, answer: IPv4Address) -> bool:
        if answer not in _LOOPBACK or answer in _ERRORS:
            return False
        number = int(answer)
        if self._matches:
            return any(matches(number) for matches in self._matches)
        return number & 0xFF != 0xFF and number != 0x7F000001


def _one(text: str) -> Matches:
    try:
        if text.startswith("&"):
            bits = int(IPv4Address(text[1:].strip()))
            return lambda number: bool(number & 0xFFFFFF & bits)
        if "/" in text:
            network = IPv4Network(text)
            return lambda number: IPv4Address(number) in network
        first_text, dash, last_text = text.partition("-")
        first = IPv4Address(first_text.strip())
        last_text = last_text.strip()
        if dash and re.fullmatch(r"\d{1,3}", last_text):
            last_text = f"{first_text.strip().rpartition('.')[0]}.{last_text}"
        low, high = int(first), int(IPv4Address(last_text)) if dash else int(first)
    except AddressValueError as error:
        raise ValueError(f"not answers of a DNS list: {text!r} ({error})") from None
    if low > high:
        raise ValueError(f"not a range: {text!r}")
    return lambda number: low <= number <= high


def addresses(records: Iterable[str]) -> list[IPv4Address]:
    """A records as addresses, in order of number."""
    return sorted(map(IPv4Address, records))
