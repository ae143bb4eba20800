"""WITHIN: OLDER and YOUNGER of SEARCH. Source: RFC 5032."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from pymailsuite.imap.extension import ImapExtension, SearchKey, after_login
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.search import Condition, Cost, SearchBatch
from pymailsuite.imap.values import Not, SearchProgram
from pymailsuite.interfaces import Column


@frozen
class ByAge(Condition):
    """The message came within the last ``seconds``, by its internal date."""

    seconds: int
    cost = Cost.ROW
    columns = (Column.INTERNAL_DATE,)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        dates, since = batch[Column.INTERNAL_DATE], batch.context.now - self.seconds
        return [place for place in places if dates[place] >= since]


def _younger(keys: KeyReader) -> SearchProgram:
    return ByAge(keys.cursor.nz_number())  # RFC 5032 §4: nz-number


def _older(keys: KeyReader) -> SearchProgram:
    return Not(_younger(keys))


WITHIN = ImapExtension(
    "WITHIN",
    capabilities=after_login("WITHIN"),
    search_keys=(SearchKey("OLDER", _older), SearchKey("YOUNGER", _younger)),
    position=14,
)
