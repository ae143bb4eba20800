"""Guards for extensions of other packages: errors carry the extension's name, wherever they are caught."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import CancelledError

from pymailsuite.errors import MailError, TemporaryFailure
from pymailsuite.imap.batch import Batch
from pymailsuite.imap.extension import FetchAttribute, ImapCommand, ImapExtension, SearchKey
from pymailsuite.imap.fetch import Pieces, SectionItem, Text
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.search import Condition, SearchBatch
from pymailsuite.imap.values import Command, SearchProgram

T = TypeVar("T")


class ExtensionFailed(Exception):
    """An extension has a defect; the cause is the error that it raised."""

    def __init__(self, extension: str, error: Exception) -> None:
        super().__init__(f"extension {extension}: {error!r}")


class ExtensionTooSlow(TemporaryFailure):
    """A command of an extension was not done in the time that is set for it."""

    text = "The command took too long"


@contextmanager
def guarded(extension: str) -> Iterator[None]:
    """Errors of the extension's code become :class:`ExtensionFailed`, except its refusals."""
    try:
        yield
    except (MailError, CancelledError):
        raise
    except Exception as error:
        raise ExtensionFailed(extension, error) from error


def what_all_say(log: Any, calls: Iterable[Callable[..., T]], *arguments: Any) -> list[T]:
    """The results of all calls, as additions to a reply that is sent in any case: one that fails is left out, and named
    in ``log``."""
    said = []
    for call in calls:
        try:
            said.append(call(*arguments))
        except Exception:
            log.failure("{event}: {log_failure.value}", event="extension.failed")
    return said


def _guarded_part(extension: str, part: Text | SectionItem) -> Text | SectionItem:
    if not isinstance(part, Text):
        return _GuardedSection(extension, part)
    arguments = part.arguments

    def guarded_arguments(batch: Batch) -> tuple[Iterable[Any], ...]:
        with guarded(extension):
            # All values are computed here, where their extension is known, and not when they fill the template.
            found = tuple([list(values) for values in arguments(batch)])
            if any(len(values) != len(batch.uids) for values in found):
                raise ValueError("not one value for each message")
            part.template % tuple([values[0] for values in found])
            return found

    return Text(part.template, part.columns, guarded_arguments)


class _GuardedSection(SectionItem):
    def __init__(self, extension: str, section: SectionItem) -> None:
        self._extension = extension
        self._section = section
        self.label = section.label
        self.columns = section.columns
        self.needs_octets = section.needs_octets
        self.sets_seen = section.sets_seen

    def literals(self, batch: Batch) -> tuple[Iterable[bytes], Iterable[bytes]]:
        with guarded(self._extension):
            heads, octets = self._section.literals(batch)
            return list(heads), list(octets)

    def check(self, batch: Batch) -> None:
        with guarded(self._extension):
            self._section.check(batch)

    def stream(self, batch: Batch) -> Pieces:
        with guarded(self._extension):
            yield from self._section.stream(batch)


class _GuardedCondition(Condition):
    def __init__(self, extension: str, condition: Condition) -> None:
        self._extension = extension
        self._condition = condition
        self.cost = condition.cost
        self.columns = condition.columns
        self.size = condition.size
        self.asks_modseq = condition.asks_modseq

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        with guarded(self._extension):
            return self._condition.pick(batch, places)


def _expected(kind: Any, answer: Any) -> Any:
    if not isinstance(answer, kind):
        raise TypeError(f"{answer!r} is no {kind}")
    return answer


def guarded_extension(extension: ImapExtension) -> ImapExtension:
    """The same extension, with its name in all its errors."""
    name = extension.name

    def calling(call: Callable[..., Any] | None) -> Any:
        if call is None:
            return None

        def called(*arguments: Any) -> Any:
            with guarded(name):
                return call(*arguments)

        return called

    def awaiting(call: Callable[..., Awaitable[Any]] | None) -> Any:
        """The same for what is awaited and given a context first: its time is limited."""
        if call is None:
            return None

        async def awaited(context: Any, *arguments: Any) -> Any:
            with guarded(name):
                too_slow = ExtensionTooSlow(cause=f"extension {name}")
                timeout_s = context.settings.extension_timeout
                return await context.connection.within(timeout_s, call(context, *arguments), too_slow)

        return awaited

    def each(declared: Iterable[Any], *functions: str) -> tuple[Any, ...]:
        return tuple(evolve(one, **{key: calling(getattr(one, key)) for key in functions}) for one in declared)

    def command(declared: ImapCommand) -> ImapCommand:
        def parse(cursor: Cursor, tag: str) -> Any:
            with guarded(name):
                return _expected(Command, declared.parse(cursor, tag))

        async def run(context: Any, command: Any) -> Any:
            with guarded(name):
                return _expected(bytes | None, await declared.run(context, command))

        return evolve(declared, parse=parse, run=run, after=calling(declared.after))

    def attribute(declared: FetchAttribute) -> FetchAttribute:
        return evolve(declared, part=lambda argument: _guarded_part(name, declared.part(argument)))

    def program(key: SearchProgram | None) -> Any:
        return _GuardedCondition(name, key) if isinstance(key, Condition) else key

    def key(declared: SearchKey) -> SearchKey:
        parse = declared.parse
        wrapped = None if parse is None else lambda keys: program(parse(keys))
        return evolve(declared, parse=wrapped, bare=program(declared.bare))

    return evolve(
        extension,
        capabilities=calling(extension.capabilities),
        commands=tuple(map(command, extension.commands)),
        fetch_attributes=each(map(attribute, extension.fetch_attributes), "parse", "part"),
        fetch_modifiers=tuple(
            evolve(one, before=awaiting(one.before)) for one in each(extension.fetch_modifiers, "parse", "narrow")
        ),
        select_parameters=tuple(
            evolve(one, answer=awaiting(one.answer)) for one in each(extension.select_parameters, "parse", "use")
        ),
        search_keys=each(map(key, extension.search_keys), "parse"),
        search_returns=each(extension.search_returns, "parse"),
        status_items=each(extension.status_items, "value", "asked"),
        list_selections=each(extension.list_selections, "meets"),
        list_returns=tuple(
            evolve(one, before=awaiting(one.before)) for one in each(extension.list_returns, "parse", "line", "asked")
        ),
        enables={word: calling(enable) for word, enable in extension.enables.items()},
        opened=calling(extension.opened),
        created=calling(extension.created),
    )
