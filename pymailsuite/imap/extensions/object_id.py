"""OBJECTID: persistent identifiers of mailboxes, messages and threads. Source: RFC 8474.

The identifier of a mailbox consists of its number in its account and its UIDVALIDITY, both of which RENAME keeps; they
are never reused. That of a message depends on its octets: those shared by all copies of it, and the header lines of
each copy. COPY and MOVE keep both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from zlib import crc32

from attrs import frozen

from pymailsuite.imap.batch import Batch
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import FetchAttribute, ImapExtension, SearchKey, StatusItem, after_login
from pymailsuite.imap.fetch import Text
from pymailsuite.imap.grammar.keys import KeyReader
from pymailsuite.imap.search import Condition, Cost, SearchBatch
from pymailsuite.imap.values import SearchProgram
from pymailsuite.interfaces import Column, Mailbox

# objectid = 1*255(ALPHA / DIGIT / "_" / "-")   ; RFC 8474 §7
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")


def mailbox_id(context: Context, mailbox: Mailbox) -> str:
    """MAILBOXID of a mailbox, in its brackets. That of another account has the number of the account in it, since the
    user's own may have the same number as its own."""
    account_id = mailbox.account_id
    others = "" if account_id == context.mail.account_id else f"A{account_id}-"
    return f"({others}F{mailbox.mailbox_id}-{mailbox.uid_validity})"


def _email_id(content_id: int, prefix: bytes) -> bytes:
    # One account may have copies of one content that were delivered to several addresses.
    return b"M%x-%08x" % (content_id, crc32(prefix)) if prefix else b"M%x" % content_id


def _email_ids(batch: Batch) -> Iterable[bytes]:
    return map(_email_id, batch[Column.CONTENT_ID], batch[Column.PREFIX])


def _thread_ids(batch: Batch) -> list[bytes]:
    # RFC 8474 §5.2: NIL where relations between messages are not known.
    return [b"NIL" if thread_id is None else b"(T%x)" % thread_id for thread_id in batch[Column.THREAD_ID]]


_IDENTITY = (Column.CONTENT_ID, Column.PREFIX)


@frozen
class ByEmailId(Condition):
    """The message is that of the identifier."""

    wanted: bytes
    cost = Cost.ROW
    columns = _IDENTITY

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        email_ids, wanted = list(_email_ids(batch)), self.wanted
        return [place for place in places if email_ids[place] == wanted]


@frozen
class ByThreadId(Condition):
    """The message is of the thread of the identifier."""

    wanted: bytes
    cost = Cost.ROW
    columns = (Column.THREAD_ID,)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        thread_ids, wanted = _thread_ids(batch), b"(%b)" % self.wanted
        return [place for place in places if thread_ids[place] == wanted]


def _object_id(keys: KeyReader) -> bytes:
    return keys.cursor.match(_OBJECT_ID, "an object identifier")[0]


def _by_email_id(keys: KeyReader) -> SearchProgram:
    return ByEmailId(_object_id(keys))


def _by_thread_id(keys: KeyReader) -> SearchProgram:
    return ByThreadId(_object_id(keys))


def _opened(context: Context, mailbox: Mailbox) -> bytes:
    return b"* OK [MAILBOXID %b] Ok\r\n" % mailbox_id(context, mailbox).encode("ascii")


OBJECTID = ImapExtension(
    "OBJECTID",
    after_login("OBJECTID"),
    fetch_attributes=(
        FetchAttribute("EMAILID", lambda _: Text(b"EMAILID (%b)", _IDENTITY, lambda batch: (_email_ids(batch),))),
        FetchAttribute(
            "THREADID", lambda _: Text(b"THREADID %b", (Column.THREAD_ID,), lambda batch: (_thread_ids(batch),))
        ),
    ),
    search_keys=(SearchKey("EMAILID", _by_email_id), SearchKey("THREADID", _by_thread_id)),
    status_items=(StatusItem("MAILBOXID", mailbox_id),),
    opened=_opened,
    created=lambda context, mailbox: f"[MAILBOXID {mailbox_id(context, mailbox)}]",
    position=22,
)
