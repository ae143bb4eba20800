"""The values every room speaks in: frozen, hashable, without behaviour that needs a store or a socket.

Octets from the wire are decoded once, in a protocol's grammar; message content stays ``bytes``.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NewType, Self

from attrs import field, frozen

AccountId = NewType("AccountId", int)
MailboxId = NewType("MailboxId", int)
ContentId = NewType("ContentId", int)
EntryId = NewType("EntryId", int)
Uid = NewType("Uid", int)
SeqNum = NewType("SeqNum", int)
ModSeq = NewType("ModSeq", int)
QueueId = NewType("QueueId", str)


_NUMBERS_END: Final = 1 << 63
"""Databases have no higher ones."""


def queue_id_of(number: ContentId | EntryId) -> QueueId:
    """The name a message has in Received, replies, logs and the queue, or the name of one entry of the queue.

    No entry has the name of a message. The inverse is :func:`content_id_of`."""
    return QueueId(f"{number:012X}")


def content_id_of(queue_id: QueueId) -> ContentId:
    """The content a queue id names. ValueError if it is not in the form :func:`queue_id_of` gives."""
    content_id = ContentId(int(queue_id, 16))
    if queue_id_of(content_id) != queue_id or content_id >= _NUMBERS_END:
        raise ValueError(f"not a queue id: {queue_id!r}")
    return content_id


INBOX: Final = "INBOX"
DELIMITER: Final = "/"
"""The hierarchy delimiter mailbox names are stored with; a protocol may show another."""

MAX_CHUNK: Final = 256 * 1024
"""Octets of message content held or moved at once. A message never sits in memory whole if it is longer."""


# --- addresses ------------------------------------------------------------------------------------------------------


@frozen
class Address:
    """A mailbox address of the envelope: ``local_part`` unquoted, ``domain`` in lower case, U- or A-labels as given.

    Source: RFC 5321 §2.3.11 and §4.1.2. An address literal keeps its brackets in ``domain``.
    """

    local_part: str
    domain: str
    unquoted: bool = field(default=False, eq=False, repr=False)
    """The local part was written without quotes though its dots are not where RFC 5321 §4.1.2 has them: it is the same
    address as that in quotes, but goes on as it was written."""

    def __str__(self) -> str:
        return f"{self.quoted_local_part}@{self.domain}" if self.domain else self.quoted_local_part

    @property
    def quoted_local_part(self) -> str:
        """The local part as it stands on the wire: a dot-string where possible, else a quoted-string."""
        # Most are a single word, and asking for that is cheaper than the expression.
        if self.local_part.isalnum() or _DOT_STRING.fullmatch(self.local_part):
            return self.local_part
        if self.unquoted and _DOTS_ANYWHERE.fullmatch(self.local_part):
            return self.local_part
        escaped = self.local_part.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    @property
    def matched_local_part(self) -> str:
        """The local part as directories hold it: lower case, NFC. Some systems decompose it (RFC 6532 §3.1)."""
        lowered = self.local_part.lower()
        return lowered if lowered.isascii() else unicodedata.normalize("NFC", lowered)

    @property
    def is_ascii(self) -> bool:
        """False when the address needs SMTPUTF8 (RFC 6531)."""
        return self.local_part.isascii() and self.domain.isascii()


# RFC 5321 §4.1.2 Dot-string; characters above ASCII are always atext (RFC 6531 §3.3), so what is not atext is ASCII.
_ATOM: Final = r'[^\x00-\x20"(),.:;<>@\[\\\]\x7f]+'
_DOT_STRING: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOTS_ANYWHERE: Final = re.compile(_ATOM.replace(",.:", ",:"))


class BodyType(enum.Enum):
    """The BODY parameter of MAIL. Source: RFC 6152, RFC 3030."""

    SEVENBIT = "7BIT"
    EIGHTBITMIME = "8BITMIME"


@frozen
class LoginGrant:
    """What a login was granted: the account, and its login epoch at that moment. It ends when the account is gone or
    its epoch is another."""

    account_id: AccountId
    epoch: int


@frozen
class Peer:
    """Who is at the other end of a connection, as far as is known; what Received and the logs say."""

    ip: str
    port: int = 0
    helo: str = ""
    rdns: str = ""
    esmtp: bool = False
    tls: str = ""
    """Protocol and cipher, for example ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty without TLS."""
    login: str = ""
    """The login name the peer authenticated as; empty if it did not."""
    trusted: bool = False
    """In a trusted network: may relay without authentication."""
    grant: LoginGrant | None = None
    """What that login was granted; None without one."""


@frozen
class Envelope:
    """What MAIL and RCPT said. ``reverse_path`` None is the null path ``<>``. Source: RFC 5321 §2.3.1."""

    reverse_path: Address | None
    recipients: tuple[Address, ...]
    body: BodyType = BodyType.SEVENBIT
    smtputf8: bool = False
    size: int | None = None
    """The size the sender declared with SIZE=, in octets."""
    parameters: Mapping[str, Any] = field(factory=dict)
    """All parameters of MAIL, by keyword, as SMTP's extensions took them."""
    recipient_parameters: Mapping[Address, Mapping[str, Any]] = field(factory=dict)
    """Those of RCPT, for recipients that had any."""


# --- flags ----------------------------------------------------------------------------------------------------------


class SystemFlag(enum.IntFlag):
    """The system flags of RFC 3501 §2.3.2 that are stored with a message (``\\Recent`` belongs to the mailbox)."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


@frozen
class Flags:
    """A message's flags: system flags as bits, keywords as a set in the case in which they were first given."""

    system: SystemFlag = field(default=SystemFlag(0))
    keywords: frozenset[str] = frozenset()


class FlagChange(enum.Enum):
    """What STORE does with the flags it names. Source: RFC 3501 §6.4.6."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


class SpecialUse(enum.Enum):
    """Mailbox attributes that name a use: of RFC 6154 §2, RFC 8457 §3 and RFC 9979."""

    ALL = "\\All"
    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"
    IMPORTANT = "\\Important"
    MEMOS = "\\Memos"
    SCHEDULED = "\\Scheduled"
    SNOOZED = "\\Snoozed"


# --- number sets ----------------------------------------------------------------------------------------------------


def _merge(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The ranges of numbers that follow each other."""
    different = sorted(set(numbers))
    if different and different[-1] - different[0] == len(different) - 1:
        yield different[0], different[-1]
        return
    ascending = iter(different)
    for low in ascending:
        high = low
        for number in ascending:
            if number > high + 1:
                yield low, high
                low = number  # noqa: PLW2901
            high = number
        yield low, high


@frozen
class NumberSet:
    """Ascending, disjoint, inclusive ranges of positive numbers; never expanded unless iterated.

    :class:`UidSet` and :class:`SeqSet` are distinct types over it and cannot be mixed up.
    """

    ranges: tuple[tuple[int, int], ...] = field(default=(), converter=_merge)

    def __contains__(self, number: int) -> bool:
        return any(low <= number <= high for low, high in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for low, high in self.ranges:
            yield from range(low, high + 1)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __and__(self, other: Self) -> Self:
        """The numbers that are in both."""
        common = []
        mine, others = self.ranges, other.ranges
        at = at_other = 0
        while at < len(mine) and at_other < len(others):
            low, high = max(mine[at][0], others[at_other][0]), min(mine[at][1], others[at_other][1])
            if low <= high:
                common.append((low, high))
            if mine[at][1] == high:
                at += 1
            else:
                at_other += 1
        return type(self)(common)

    def __str__(self) -> str:
        """The wire form of RFC 3501 ``sequence-set``; empty for the empty set (which has no wire form)."""
        return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in self.ranges)


class UidSet(NumberSet):
    """A set of UIDs of one mailbox."""

    @classmethod
    def of(cls, uids: Iterable[int]) -> UidSet:
        """The set that holds just these numbers."""
        return cls(_runs(uids))


class SeqSet(NumberSet):
    """A set of message sequence numbers of one session."""

    @classmethod
    def of(cls, numbers: Iterable[int]) -> SeqSet:
        """The set that holds just these numbers."""
        return cls(_runs(numbers))


UID_MAX: Final = Uid(2**32 - 1)
ALL_UIDS: Final = UidSet(((1, UID_MAX),))
