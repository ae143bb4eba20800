"""Commands about messages of the selected mailbox, FETCH and SEARCH apart.

Source: RFC 3501 §6.4, RFC 7162 (UNCHANGEDSINCE).
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.values import Command, Copy, Store
from pymailsuite.values import FlagChange

# store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
_STORE_ITEM = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)
_CHANGES: Final = {b"": FlagChange.REPLACE, b"+": FlagChange.ADD, b"-": FlagChange.REMOVE}


def parse_store(cursor: Cursor, tag: str, uid: bool = False) -> Command:
    """store = "STORE" SP sequence-set [SP store-modifiers] SP store-att-flags   ; RFC 4466 §2.5, RFC 7162 §7."""
    cursor.space()
    numbers = cursor.sequence_set(uid)
    cursor.space()
    unchanged_since = None
    if cursor.sees(b"("):
        # store-modifier =/ "UNCHANGEDSINCE" SP mod-sequence-valzer
        for _ in cursor.listed(1, "modifiers"):
            if cursor.word("a modifier") != "UNCHANGEDSINCE":
                raise PeerError("Unknown modifier")
            cursor.space()
            unchanged_since = cursor.mod_sequence()
        cursor.space()
    item = cursor.match(_STORE_ITEM, "FLAGS, +FLAGS or -FLAGS")
    cursor.space()
    flags = cursor.flags(is_list_optional=True)
    return Store(tag, numbers, _CHANGES[item[1]], flags, item[2] is not None, unchanged_since, uid)


def parse_copy(cursor: Cursor, tag: str, uid: bool = False) -> Command:
    """copy = "COPY" SP sequence-set SP mailbox."""
    cursor.space()
    numbers = cursor.sequence_set(uid)
    cursor.space()
    return Copy(tag, numbers, cursor.mailbox(), uid)
