"""CONDSTORE: mod-sequences. Source: RFC 7162 §3.1.

UNCHANGEDSINCE is part of STORE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import (
    FetchModifier,
    ImapExtension,
    SearchKey,
    SelectParameter,
    StatusItem,
    after_login,
    column_attribute,
)
from pymailsuite.imap.fetch import MODSEQ
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.search import Condition, SearchBatch
from pymailsuite.imap.selected import Spans
from pymailsuite.imap.values import SearchProgram
from pymailsuite.interfaces import Column

# entry-name = DQUOTE "/flags/" attr-flag DQUOTE;  entry-type-req = "priv" / "shared" / "all"   ; RFC 7162 §7
_ENTRY: Final = re.compile(
    rb'"/flags/(?:\\\\)?[^\x00-\x20\x7f-\xff(){%*"\\\]]++" ++(?:priv|shared|all) ++', re.IGNORECASE
)


@frozen
class ByModSeq(Condition):
    """The mod-sequence is ``modseq`` or greater; the store has one for each message, not for each flag. Source: RFC
    7162 §3.1.5."""

    modseq: int
    columns = (Column.MODSEQ,)
    asks_modseq = True

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        modseqs, least = batch[Column.MODSEQ], self.modseq
        return [place for place in places if modseqs[place] >= least]


def _mod_seq(keys: KeyReader) -> SearchProgram:
    # search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer   ; RFC 7162 §7
    keys.cursor.try_match(_ENTRY)
    return ByModSeq(keys.cursor.mod_sequence())


def _changed_since(cursor: Cursor) -> int:
    # fetch-modifier =/ chgsince-fetch-mod;  chgsince-fetch-mod = "CHANGEDSINCE" SP mod-sequence-value   ; RFC 7162 §7
    cursor.space()
    return cursor.mod_sequence()


def _narrow(context: Context, spans: Spans, modseq: int) -> Spans:
    return context.selected.changed_since(spans, modseq)


def _use(context: Context, _: None = None) -> None:
    context.use_condstore()


CONDSTORE = ImapExtension(
    "CONDSTORE",
    after_login("CONDSTORE"),
    fetch_attributes=(column_attribute("MODSEQ", b"MODSEQ (%d)", Column.MODSEQ),),
    fetch_modifiers=(FetchModifier("CHANGEDSINCE", _changed_since, _narrow, adds=(MODSEQ,)),),
    # select-param =/ condstore-param;  condstore-param = "CONDSTORE"   ; RFC 7162 §7
    select_parameters=(SelectParameter("CONDSTORE", _use),),
    search_keys=(SearchKey("MODSEQ", _mod_seq),),
    status_items=(StatusItem("HIGHESTMODSEQ", lambda _, mailbox: mailbox.highest_modseq, _use),),
    enables={"CONDSTORE": _use},
    position=11,
)
