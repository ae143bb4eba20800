"""Failures of extensions that other packages bring carry the extension's name, wherever they come to light."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError

from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.imap.batch import Batch
from pymailsuite.imap.fetch import Pieces, SectionItem, Text
from pymailsuite.imap.search import Condition, SearchBatch

T = TypeVar("T")


class ExtensionFailed(Exception):
    """An extension has a defect; what it raised is the cause."""

    def __init__(self, extension: str, error: Exception) -> None:
        super().__init__(f"extension {extension}: {error!r}")


class ExtensionTooSlow(TemporaryFailure):
    """A command of an extension was not done in the time that is set for it."""

    text = "The command took too long"


@contextmanager
def blamed(extension: str) -> Iterator[None]:
    """What is raised by the extension's code becomes :class:`ExtensionFailed`, apart from what it refuses."""
    try:
        yield
    except (MailError, CancelledError):
        raise
    except Exception as error:
        raise ExtensionFailed(extension, error) from error


def blamed_call(extension: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function of an extension."""

    def called(*arguments: Any) -> Any:
        with blamed(extension):
            return call(*arguments)

    return called


def what_all_say(log: Any, calls: Iterable[Callable[..., T]], *arguments: Any) -> list[T]:
    """What each of the calls answers, beside something that is done in any case: one that fails is left out, and named
    in ``log``."""
    said = []
    for call in calls:
        try:
            said.append(call(*arguments))
        except Exception:
            log.failure("{event}: {log_failure.value}", event="extension.failed")
    return said


def blamed_part(extension: str, part: Text | SectionItem) -> Text | SectionItem:
    """What an extension's FETCH attribute is rendered by."""
    if not isinstance(part, Text):
        return _BlamedSection(extension, part)
    arguments = part.arguments

    def blamed_arguments(batch: Batch) -> tuple[Iterable[Any], ...]:
        with blamed(extension):
            # All here, not when they are put into the template: who is to blame is known no more then.
            found = tuple([list(values) for values in arguments(batch)])
            if any(len(values) != len(batch.uids) for values in found):
                raise ValueError("not one value for each message")
            part.template % tuple([values[0] for values in found])
            return found

    return Text(part.template, part.columns, blamed_arguments)


class _BlamedSection(SectionItem):
    def __init__(self, extension: str, section: SectionItem) -> None:
        self._extension = extension
        self._section = section
        self.label = section.label
        self.columns = section.columns
        self.needs_octets = section.needs_octets
        self.sets_seen = section.sets_seen

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        with blamed(self._extension):
            heads, octets = self._section.literals(batch)
            return list(heads), list(octets)

    def check(self, batch: Batch) -> None:
        with blamed(self._extension):
            self._section.check(batch)

    def stream(self, batch: Batch) -> Pieces:
        with blamed(self._extension):
            yield from self._section.stream(batch)


def blamed_condition(extension: str, condition: Condition) -> Condition:
    """What an extension's SEARCH key asks for."""
    return _BlamedCondition(extension, condition)


class _BlamedCondition(Condition):
    def __init__(self, extension: str, condition: Condition) -> None:
        self._extension = extension
        self._condition = condition
        self.cost = condition.cost
        self.columns = condition.columns
        self.size = condition.size
        self.asks_modseq = condition.asks_modseq

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        with blamed(self._extension):
            return self._condition.pick(batch, places)
