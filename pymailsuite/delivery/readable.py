"""Messages for delivery steps to read that are not just arriving."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.interfaces.content import IReadableMessage
from pymailsuite.message.reading import part_octets, part_texts
from pymailsuite.message.structure import MessageStructure, Part, PartTable, decode_parts


@implementer(IReadableMessage)
@frozen
class ReadableMessage:
    """A message whose octets ``octets_between`` returns, and whose structure ``structure`` returns when it is
    needed."""

    octets_between: Callable[[int, int], Deferred[bytes]]
    structure: Callable[[], MessageStructure]

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        """As the interface says."""
        return self.octets_between(start, stop)

    def parts(self) -> PartTable:
        """As the interface says."""
        return decode_parts(self.structure().parts)

    def text(self, part: Part) -> AsyncIterator[str]:
        """As the interface says."""
        return part_texts(self.read, part)

    def decoded(self, part: Part) -> AsyncIterator[bytes]:
        """As the interface says."""
        return part_octets(self.read, part)
