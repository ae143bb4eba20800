"""SAVEDATE: when a message came into its mailbox. Source: RFC 8514."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pymailsuite.imap.batch import Batch
from pymailsuite.imap.extension import FetchAttribute, ImapExtension, SearchKey, after_login
from pymailsuite.imap.fetch import Text
from pymailsuite.imap.render import date_time
from pymailsuite.imap.search.keys import date_keys
from pymailsuite.imap.values import AllOf, DateKind
from pymailsuite.interfaces import Column


def _save_dates(batch: Batch) -> tuple[Iterable[Any], ...]:
    # NIL where the mailbox has no save date for the message: RFC 8514 §4.2
    return ([b"NIL" if seconds is None else date_time(seconds) for seconds in batch[Column.SAVE_DATE]],)


SAVEDATE = ImapExtension(
    "SAVEDATE",
    after_login("SAVEDATE"),
    fetch_attributes=(FetchAttribute("SAVEDATE", lambda _: Text(b"SAVEDATE %b", (Column.SAVE_DATE,), _save_dates)),),
    # RFC 8514 §4.3: every mailbox keeps save dates.
    search_keys=(*date_keys(DateKind.SAVED), SearchKey("SAVEDATESUPPORTED", bare=AllOf())),
    position=20,
)
