"""What declared extensions of a line protocol have in common: words that one of them has, lines that tell of them, and
replies that are not known yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

log = Logger()


class Extension(Protocol):
    """What an extension has, of whichever protocol."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    @property
    def offer(self) -> str | Callable[[Any], str]:
        """Its line in the list of what the server can do, or what answers that line; empty: not offered just now."""

    @property
    def position(self) -> int:
        """Orders these lines."""


E = TypeVar("E", bound=Extension)


@frozen
class AwaitReply:
    """What a command answers whose reply is not known yet: it is said when ``answer`` fires.

    A failure becomes a temporary one of the protocol, or what the MailError says it fails with; so does no answer
    within ``extension_timeout``. The client's leaving cancels it.
    """

    answer: Deferred[bytes]


class ExtensionTable(Generic[E]):
    """All extensions of a listener. Of two that declare the same word the first keeps it; the other is named in the
    log."""

    protocol: ClassVar[str]

    def __init__(self, extensions: Iterable[E]) -> None:
        self.declared = tuple(extensions)
        self._offered = sorted(self.declared, key=lambda one: one.position)
        self._declared_by: dict[object, str] = {}

    def add(self, known: dict[Any, Any], word: str | bytes, declared: object, extension: E) -> None:
        """A word that an extension declares, unless another has it."""
        other = known.setdefault(word, declared)
        if other is declared:
            self._declared_by[declared] = extension.name
        else:
            self.report_taken(extension, word, self._declared_by[other])

    def report_taken(self, extension: E, word: str | bytes, other: str) -> None:
        """Somebody has the word already."""
        log.error(
            "{event}: {word} of {plugin} is left out of {protocol}, as {other} has it",
            event="extension.word_taken",
            protocol=self.protocol,
            plugin=extension.name,
            word=word.decode("ascii", "replace") if isinstance(word, bytes) else word,
            other=other,
        )

    def name_of(self, declared: object) -> str:
        """The name of the extension that declares this."""
        return self._declared_by[declared]

    def offers(self, context: object) -> list[str]:
        """The lines that tell of them, in order. An extension that fails is not offered, and is named in the log."""
        lines = []
        for extension in self._offered:
            try:
                line = extension.offer if isinstance(extension.offer, str) else extension.offer(context)
            except Exception:
                log.failure(
                    "{event}: {plugin} of {protocol}",
                    event="extension.failed",
                    protocol=self.protocol,
                    plugin=extension.name,
                )
                continue
            if line:
                lines.append(line)
        return lines
