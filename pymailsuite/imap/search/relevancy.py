"""How relevant messages are to a search with FUZZY keys: from 1 to 100. Source: RFC 6203 §4.

What a text scores is in ``message.similar``. A key scores what the best of the texts does that it is about; of several
keys that must all match the mean counts, of alternatives the best. Keys that are not fuzzy, and negations, say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymailsuite.imap.search.batch import SearchBatch, SearchContext
from pymailsuite.imap.search.by_header import field_texts
from pymailsuite.imap.values import AllOf, AnyOf, BodyHas, HeaderHas, SearchProgram, TextHas
from pymailsuite.interfaces import Column, MessageRow, Steps
from pymailsuite.message.extraction import NO_EXTRACTION, TextExtraction
from pymailsuite.message.search import fold_text
from pymailsuite.message.similar import SimilarNeedle

_LEAST: Final = 1
_HEADER: Final = (Column.UID, Column.HEADER)
_ALL: Final = (*_HEADER, Column.PREVIEW, Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE)


class Relevancy:
    """Scores messages by a program. ``columns`` are those of the rows it takes; ``is_defined`` says whether the program
    has FUZZY keys."""

    def __init__(self, program: SearchProgram, extraction: TextExtraction = NO_EXTRACTION) -> None:
        self._program = program
        self._extraction = extraction
        self._needles: dict[str, SimilarNeedle] = {}
        kinds = _fuzzy_kinds(program)
        self.is_defined = bool(kinds)
        self.columns = _HEADER if kinds <= {HeaderHas} else _ALL

    def scores(self, rows: Sequence[MessageRow]) -> Steps[list[tuple[int, int]]]:
        """The UID and the score of each message."""
        scored = []
        context = SearchContext(lambda uid: uid, 0, 0, (), 0.0, extraction=self._extraction)
        for row in rows:
            yield
            batch = SearchBatch(self.columns, (row,), context)
            scored.append((batch.uids[0], max(_LEAST, round(self._score(self._program, batch) or 0))))
        return scored

    def _score(self, program: SearchProgram, batch: SearchBatch) -> float | None:
        if isinstance(program, AllOf | AnyOf):
            scores = [score for key in program.keys if (score := self._score(key, batch)) is not None]
            if not scores:
                return None
            return sum(scores) / len(scores) if isinstance(program, AllOf) else max(scores)
        if not isinstance(program, HeaderHas | BodyHas | TextHas) or not program.fuzzy:
            return None
        needle = self._needles.get(program.text)
        if needle is None:
            needle = self._needles[program.text] = SimilarNeedle(program.text)
        return max(map(needle.score_of, _texts(program, batch)), default=0)


def _fuzzy_kinds(program: SearchProgram) -> set[type]:
    if isinstance(program, AllOf | AnyOf):
        return {kind for key in program.keys for kind in _fuzzy_kinds(key)}
    return {type(program)} if isinstance(program, HeaderHas | BodyHas | TextHas) and program.fuzzy else set()


def _texts(key: HeaderHas | BodyHas | TextHas, batch: SearchBatch) -> list[str]:
    """The folded texts that a key is about, of the one message of a batch."""
    if isinstance(key, HeaderHas):
        return list(map(fold_text, field_texts(key.name, batch[Column.HEADER][0])))
    text = batch.text(0)
    if batch[Column.OCTETS][0] is None:
        # A message that long is judged by its beginning.
        beginning = [fold_text(batch[Column.PREVIEW][0])]
        return [*beginning, text.header] if isinstance(key, TextHas) else beginning
    return [*text.body, text.header, *text.part_fields] if isinstance(key, TextHas) else list(text.body)
