"""BODY and TEXT in messages too long to be held: text parts read slice by slice, with bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from pymailsuite.imap.batch import Slice, slices
from pymailsuite.imap.search.batch import SearchBatch
from pymailsuite.imap.search.conditions import Condition, TextCondition
from pymailsuite.message.fields import whole_fields
from pymailsuite.message.parts import Part, PartKind
from pymailsuite.message.search import PartDecoder, TextWindows, fold_text, header_text, is_readable
from pymailsuite.values import MAX_CHUNK

_FIELD_MAX: Final = 4 * MAX_CHUNK
"""A field of a part, or of a message inside, that is longer is searched in pieces."""


_TEXTS_A_STEP: Final = 16
"""Conditions tested on one text before other sessions have their turn."""


def search_long(
    batch: SearchBatch, conditions: Sequence[TextCondition]
) -> Generator[Slice | None, bytes, dict[Condition, bool]]:
    """Which of ``conditions`` the one message of ``batch`` fulfils; stops reading when all are known to be.

    Yields slices to be read and sent back, and None where other sessions may have their turn.
    """
    answers: dict[Condition, bool] = dict.fromkeys(conditions, False)
    in_header = [condition for condition in conditions if condition.with_header]
    if in_header:
        yield from _note(batch.text(0).header, in_header, answers)
    root = batch.table(0).root
    for part in root.walk():
        missing = [condition for condition in conditions if not answers[condition]]
        if not missing:
            break
        in_header = [condition for condition in missing if condition.with_header]
        if in_header and part is not root:
            yield from _search_header(batch, part, in_header, answers)
        if is_readable(part):
            yield from _search_part(batch, part, missing, answers)
        elif batch.context.extraction.applies(part):
            yield from _search_extracted(batch, part, missing, answers)
        elif part.kind is PartKind.MESSAGE:
            yield from _search_header(batch, part.children[0], missing, answers)
    return answers


def _note(folded: str, missing: list[TextCondition], answers: dict[Condition, bool]) -> Generator[None, bytes, None]:
    for number, condition in enumerate(missing):
        if not answers[condition]:
            answers[condition] = condition.needle.found_in_folded(folded)
        if number % _TEXTS_A_STEP == 0:
            yield


def _slices(batch: SearchBatch, start: int, stop: int) -> list[Slice]:
    """Octets of the shared content."""
    prefix_size = batch.prefix_sizes[0]
    return slices(batch.uids[0], start + prefix_size, stop + prefix_size, is_input=True)


def _search_header(
    batch: SearchBatch, part: Part, missing: list[TextCondition], answers: dict[Condition, bool]
) -> Generator[Slice | None, bytes, None]:
    held = b""
    for piece in _slices(batch, part.header_start, part.body_start):
        held += yield piece
        cut = whole_fields(held) or len(held) * (len(held) > _FIELD_MAX)
        yield from _note(fold_text(header_text(held[:cut])), missing, answers)
        held = held[cut:]
    yield from _note(fold_text(header_text(held)), missing, answers)


def _search_part(
    batch: SearchBatch, part: Part, missing: list[TextCondition], answers: dict[Condition, bool]
) -> Generator[Slice | None, bytes, None]:
    header = b""
    if part.charset in ("", "?"):
        for piece in _slices(batch, part.header_start, min(part.body_start, part.header_start + _FIELD_MAX)):
            header += yield piece
    decoder = PartDecoder(part, header)
    windows = TextWindows(max(condition.needle.reach for condition in missing))
    for piece in _slices(batch, part.body_start, part.end):
        yield from _note(fold_text(windows.feed(decoder.feed((yield piece)))), missing, answers)
        if all(answers[condition] for condition in missing):
            return
    yield from _note(fold_text(windows.feed(decoder.finish())), missing, answers)
    yield from _note(fold_text(windows.finish()), missing, answers)


def _search_extracted(
    batch: SearchBatch, part: Part, missing: list[TextCondition], answers: dict[Condition, bool]
) -> Generator[Slice | None, bytes, None]:
    body = []
    for piece in _slices(batch, part.body_start, part.end):
        body.append((yield piece))
    yield from _note(fold_text(batch.context.extraction.text(part, b"".join(body))), missing, answers)
