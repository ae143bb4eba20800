"""Hosts in the addresses of pages and pictures in a message, from as much of it as is kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zope.interface import implementer

from pymailsuite.interfaces.policy import IMessageTap
from pymailsuite.message.parts import decode_parts
from pymailsuite.message.scan import scan
from pymailsuite.message.search import body_texts

_URL_HOST = re.compile(
    r"(?:https?|ftp):/{1,3}(?:[^\s/@\"'<>]{0,256}@)?(\[[0-9A-Fa-f:.]{2,45}\]|[\w\-.]{1,253}\w)", re.IGNORECASE
)
_BARE_HOST = re.compile(r"(?<![\w@.\-/])(www\.[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8})", re.IGNORECASE)


def hosts_in_text(text: str) -> Iterator[str]:
    """Hosts of web addresses, in lower case, as often as they stand there."""
    for expression in (_URL_HOST, _BARE_HOST):
        for found in expression.finditer(text):
            yield found[1].lower()


def hosts_in_message(octets: bytes, hosts_max: int) -> list[str]:
    """The first ``hosts_max`` different hosts in the text parts of a message, which may be cut off anywhere."""
    found: dict[str, None] = {}
    if hosts_max:
        for text in body_texts(octets, decode_parts(scan(octets).parts)):
            for host in hosts_in_text(text):
                found.setdefault(host)
                if len(found) == hosts_max:
                    return list(found)
    return list(found)


@implementer(IMessageTap)
class MessageStart:
    """Keeps the first ``size_max`` octets of a message."""

    def __init__(self, size_max: int) -> None:
        self._left = size_max
        self._pieces: list[bytes] = []

    @property
    def octets(self) -> bytes:
        """What was kept."""
        return b"".join(self._pieces)

    def write(self, octets: bytes) -> None:
        """Keep what there is room for."""
        if self._left:
            piece = octets[: self._left]
            self._left -= len(piece)
            self._pieces.append(piece)
