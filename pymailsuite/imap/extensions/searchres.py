"""SEARCHRES: SEARCH saves what it finds, and ``$`` is that in later commands. Source: RFC 5182.

``commands.searching`` saves it in the view of the mailbox, where ``$`` is looked up as any sequence set is.
"""

from __future__ import annotations

from pymailsuite.imap.extension import ImapExtension, SearchReturn, after_login
from pymailsuite.imap.values import SAVE

# search-return-opt =/ "SAVE"   ; RFC 5182 §5
SEARCHRES = ImapExtension(
    "SEARCHRES", after_login("SEARCHRES"), search_returns=(SearchReturn(SAVE, is_told=False),), position=25
)
