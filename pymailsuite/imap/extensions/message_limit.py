"""MESSAGELIMIT and SAVELIMIT: how many messages one command processes. Source: RFC 9738.

``imap.message_limit`` keeps the commands within it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pymailsuite.imap.extension import ImapExtension, SearchKey, Standing
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.values import InNumbers, SearchProgram, SequenceSet
from pymailsuite.values import UID_MAX


def _capabilities(standing: Standing) -> Iterator[str]:
    # RFC 9738 §4: "MESSAGELIMIT=" nz-number, "SAVELIMIT=" nz-number
    if not standing.logged_in:
        return
    settings = standing.settings
    if settings.message_limit:
        yield f"MESSAGELIMIT={settings.message_limit}"
    # What APPEND and COPY take, which do all or nothing.
    yield f"SAVELIMIT={settings.save_limit}"


def _after(keys: KeyReader) -> SearchProgram:
    # search-key =/ "UIDAFTER" SP uniqueid;  other than UID n:* without the last message, if that is older
    return _between(keys.cursor.nz_number() + 1, UID_MAX)


def _before(keys: KeyReader) -> SearchProgram:
    # search-key =/ "UIDBEFORE" SP uniqueid
    return _between(1, keys.cursor.nz_number() - 1)


def _between(low: int, high: int) -> SearchProgram:
    return InNumbers(SequenceSet(((low, high),) if low <= high else (), uid=True))


MESSAGELIMIT = ImapExtension(
    "MESSAGELIMIT",
    _capabilities,
    search_keys=(SearchKey("UIDAFTER", _after), SearchKey("UIDBEFORE", _before)),
    position=30,
)
