"""BODY and TEXT in messages too long to be held: text parts read slice by slice, with bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from attrs import evolve

from pymailsuite.imap.batch import Slice, slices
from pymailsuite.imap.fetch.transfer import TransferDecoder, transfer_decoder
from pymailsuite.imap.search.conditions import Condition, SearchBatch, TextCondition
from pymailsuite.imap.values import UnknownEncoding
from pymailsuite.message.parts import Part, PartKind
from pymailsuite.message.search import header_text, part_text
from pymailsuite.values import MAX_CHUNK

_HEADER_MAX: Final = 4 * MAX_CHUNK
"""Of the header of a part or of a message inside, octets after so many are not searched."""


def search_long(
    batch: SearchBatch, conditions: Sequence[TextCondition]
) -> Generator[Slice, bytes, dict[Condition, bool]]:
    """Which of ``conditions`` the one message of ``batch`` fulfils; stops reading when all are known to be."""
    answers: dict[Condition, bool] = {condition: condition.found_in_header(batch, 0) for condition in conditions}
    root = batch.table(0).root
    for part in root.walk():
        missing = [condition for condition in conditions if not answers[condition]]
        if not missing:
            break
        in_header = [condition for condition in missing if condition.with_header]
        if in_header and part is not root:
            header = yield from _read(batch, part.header_start, min(part.body_start, part.header_start + _HEADER_MAX))
            _note(header_text(header), in_header, answers)
        if part.kind is PartKind.LEAF and part.content_type.startswith("text/"):
            yield from _search_part(batch, part, missing, answers)
        elif part.kind is PartKind.MESSAGE:
            message = part.children[0]
            header = yield from _read(
                batch, message.header_start, min(message.body_start, message.header_start + _HEADER_MAX)
            )
            _note(header_text(header), missing, answers)
    return answers


def _note(text: str, missing: list[TextCondition], answers: dict[Condition, bool]) -> None:
    for condition in missing:
        answers[condition] = answers[condition] or condition.needle.found_in(text)


def _read(batch: SearchBatch, start: int, stop: int) -> Generator[Slice, bytes, bytes]:
    """Octets of the shared content."""
    found = []
    prefix_size = batch.prefix_sizes[0]
    for piece in slices(batch.uids[0], start + prefix_size, stop + prefix_size, is_input=True):
        found.append((yield piece))
    return b"".join(found)


def _search_part(
    batch: SearchBatch, part: Part, missing: list[TextCondition], answers: dict[Condition, bool]
) -> Generator[Slice, bytes, None]:
    header = yield from _read(batch, part.header_start, min(part.body_start, part.header_start + _HEADER_MAX))
    # The longest text looked for may lie across two windows; four octets a character is what any charset takes, and
    # twice that leaves room for what folding takes together.
    overlap = 8 * max(len(condition.needle.text) for condition in missing)
    decoder: TransferDecoder | None = None
    try:
        decoder = transfer_decoder(part.encoding)
    except UnknownEncoding:
        decoder = None  # 7bit and the like, or unknown: searched as it stands
    window = b""
    for start in range(part.body_start, part.end, MAX_CHUNK):
        octets = yield from _read(batch, start, min(start + MAX_CHUNK, part.end))
        window += octets if decoder is None else decoder.feed(octets)
        # Windows end and begin with lines, so that no character is cut in two.
        cut = window.rfind(b"\n") + 1
        if not cut and len(window) > MAX_CHUNK:
            cut = len(window)
        _note(_window_text(header, window[:cut], part), missing, answers)
        if all(answers[condition] for condition in missing):
            return
        window = window[window.rfind(b"\n", 0, max(0, cut - overlap)) + 1 :] if cut else window
        if len(window) > MAX_CHUNK + overlap:
            window = window[len(window) - overlap :]
    if decoder is not None:
        window += decoder.finish()
    _note(_window_text(header, window, part), missing, answers)


def _window_text(header: bytes, window: bytes, part: Part) -> str:
    """Some of the part's body, already without transfer encoding, as text in the part's charset."""
    start = len(header)
    view = evolve(part, header_start=0, body_start=start, end=start + len(window), encoding="")
    return part_text(header + window, view)
