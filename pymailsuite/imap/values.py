"""What an IMAP client can say, as frozen values: one class a command, and the parts commands are made of.

The grammar makes them, the conversation obeys them. Everything is decoded: mailbox names are Unicode (modified UTF-7
or UTF-8 undone, INBOX in upper case), atoms that are words of the protocol are upper case, dates are dates or POSIX
seconds. Only passwords, SASL responses and header field names stay ``bytes``.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import field, frozen

from pymailsuite.errors import PeerError, Refusal
from pymailsuite.values import FlagChange, Flags, SeqSet, SpecialUse, SystemFlag, UidSet

STAR: Final = 0
"""Stands in a range for ``*``, the largest number in use; no message has the number 0."""


class UnknownCharset(Refusal):
    """SEARCH named a charset we cannot decode: ``NO [BADCHARSET (UTF-8)]``. Source: RFC 3501 §6.4.4, §7.1."""

    imap_code = "BADCHARSET (UTF-8)"
    text = "Charset not supported"


class UnsupportedUse(Refusal):
    """CREATE asked for a special use we do not have, or for several: ``NO [USEATTR]``. Source: RFC 6154 §3."""

    imap_code = "USEATTR"
    text = "Special use not supported"


class BadMailboxName(PeerError):
    """A mailbox name that nothing can have, in a command that is well said otherwise: ``NO [CANNOT]``, not BAD.
    Source: RFC 5530."""

    imap_code = "CANNOT"
    text = "Mailbox name is not valid modified UTF-7"


MATCHES_NOTHING: Final = "\0"
"""A pattern of LIST that no mailbox name matches: none has a control character."""


class UnknownEncoding(Refusal):
    """A transfer encoding we cannot undo: ``NO [UNKNOWN-CTE]``. Source: RFC 3516 §4.3."""

    imap_code = "UNKNOWN-CTE"
    text = "Transfer encoding not known"


@frozen
class GrammarLimits:
    """How much one command may hold. Beyond any of them the command is answered BAD.

    The octets of a line and of its literals are bounded by the receiver, before the grammar sees them.
    """

    set_ranges: int = 20_000
    """Ranges in one sequence set (a client that names every second of 40,000 messages is within it)."""
    search_depth: int = 32
    """NOT, OR and parentheses within each other in one SEARCH."""
    search_keys: int = 1_000
    """Keys in one SEARCH (a client that ORs 300 Message-IDs is within it)."""
    fetch_items: int = 100
    """Data items in one FETCH."""
    header_fields: int = 200
    """Field names in one ``HEADER.FIELDS`` list."""
    section_depth: int = 100
    """Numbers in one ``BODY[1.2.3]`` section."""
    list_patterns: int = 100
    """Patterns in one LIST."""
    keywords: int = 100
    """Keywords in one STORE or APPEND."""
    keyword_octets: int = 100
    """Octets of one keyword."""
    mailbox_octets: int = 1_000
    """Octets of a mailbox name on the wire."""
    id_pairs: int = 30
    """Field-value pairs of one ID (RFC 2971 §3.3)."""


DEFAULT_LIMITS: Final = GrammarLimits()


# --- number sets ----------------------------------------------------------------------------------------------------


@frozen
class SequenceSet:
    """A ``sequence-set`` as it was written: ranges in the order given, :data:`STAR` where ``*`` stood.

    ``uid`` says what the numbers are. Source: RFC 3501 §9 (sequence-set).
    """

    ranges: tuple[tuple[int, int], ...]
    uid: bool = False

    def resolve(self, largest: int) -> SeqSet | UidSet:
        """The numbers meant when ``largest`` is the largest in use (0: there is no message, and ``*`` is nothing).

        ``n:*`` always holds ``largest``, even if n is greater; ``9:3`` is ``3:9``. Numbers above ``largest`` stay in
        the set: whether they are an error (sequence numbers) or nothing (UIDs) is for the caller to say.
        """
        ranges = []
        for first, last in self.ranges:
            if STAR in (first, last):
                if not largest:
                    continue
                first, last = first or largest, last or largest  # noqa: PLW2901
            ranges.append((first, last) if first <= last else (last, first))
        return UidSet(ranges) if self.uid else SeqSet(ranges)


# --- FETCH ----------------------------------------------------------------------------------------------------------


class Datum(enum.Enum):
    """Data items of FETCH that are about a message as a whole. Source: RFC 3501 §6.4.5, RFC 7162, RFC 8514."""

    FLAGS = "FLAGS"
    UID = "UID"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"
    SAVEDATE = "SAVEDATE"


class SectionText(enum.Enum):
    """What of a part is asked for. Source: RFC 3501 §9 (section-text)."""

    ALL = ""
    HEADER = "HEADER"
    FIELDS = "HEADER.FIELDS"
    FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@frozen
class Section:
    """Between the brackets of ``BODY[...]``: ``path`` (1, 2) is part 1.2, () the message; ``fields`` as written."""

    path: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: tuple[bytes, ...] = ()


@frozen
class BodySection:
    """``BODY[section]<start.count>``; RFC822, RFC822.HEADER and RFC822.TEXT are other names for three of them.

    ``partial`` is (first octet, count). ``name`` is what the reply calls it; "" is ``BODY[...]`` as asked.
    """

    section: Section = field(factory=Section)
    peek: bool = False
    partial: tuple[int, int] | None = None
    name: str = ""


@frozen
class BinarySection:
    """``BINARY[path]<start.count>``: the part with its transfer encoding undone. Source: RFC 3516 §4.2."""

    path: tuple[int, ...] = ()
    peek: bool = False
    partial: tuple[int, int] | None = None


@frozen
class BinarySize:
    """``BINARY.SIZE[path]``: how long :class:`BinarySection` would be. Source: RFC 3516 §4.2."""

    path: tuple[int, ...] = ()


FetchItem: TypeAlias = Datum | BodySection | BinarySection | BinarySize


# --- SEARCH ---------------------------------------------------------------------------------------------------------


class DateKind(enum.Enum):
    """Which date of a message a SEARCH key is about. Source: RFC 3501 §6.4.4, RFC 8514 §4.3."""

    INTERNAL = ""
    SENT = "SENT"
    SAVED = "SAVED"


class DateRelation(enum.Enum):
    """How it must stand to the date given, time and zone disregarded."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@frozen
class AllOf:
    """All of the keys match; of none: every message (``ALL``)."""

    keys: tuple[SearchKey, ...] = ()


@frozen
class AnyOf:
    """At least one of the keys matches (``OR``)."""

    keys: tuple[SearchKey, ...]


@frozen
class Not:
    """The key does not match."""

    key: SearchKey


@frozen
class InNumbers:
    """The message's sequence number, or UID, is in the set."""

    numbers: SequenceSet


@frozen
class HasFlag:
    """The system flag is set."""

    flag: SystemFlag


@frozen
class HasKeyword:
    """The keyword is set, whatever its case."""

    keyword: str


@frozen
class IsRecent:
    """``\\Recent`` is this session's."""


@frozen
class HasDate:
    """The date is before, on or since ``date``. A message without that date matches nothing."""

    kind: DateKind
    relation: DateRelation
    date: datetime.date


@frozen
class IsYounger:
    """It came within the last ``seconds``, by its internal date (YOUNGER; OLDER negates it). Source: RFC 5032 §3."""

    seconds: int


@frozen
class IsLarger:
    """RFC822.SIZE is greater than ``octets``."""

    octets: int


@frozen
class IsSmaller:
    """RFC822.SIZE is less than ``octets``."""

    octets: int


@frozen
class HeaderHas:
    """A header field of that name (lower case) holds the text, both decoded; "" asks for the field alone."""

    name: str
    text: str


@frozen
class BodyHas:
    """The body holds the text, decoded."""

    text: str


@frozen
class TextHas:
    """Header or body holds the text, decoded."""

    text: str


@frozen
class HasModSeq:
    """The mod-sequence is ``modseq`` or greater; we keep one a message, not one a flag. Source: RFC 7162 §3.1.5."""

    modseq: int


@frozen
class KnowsSaveDate:
    """The mailbox keeps save dates (SAVEDATESUPPORTED, always true here). Source: RFC 8514 §4.3."""


SearchKey: TypeAlias = (
    AllOf
    | AnyOf
    | Not
    | InNumbers
    | HasFlag
    | HasKeyword
    | IsRecent
    | HasDate
    | IsYounger
    | IsLarger
    | IsSmaller
    | HeaderHas
    | BodyHas
    | TextHas
    | HasModSeq
    | KnowsSaveDate
)


# --- commands -------------------------------------------------------------------------------------------------------


@frozen
class Command:
    """What every command has: the tag, echoed in its completion."""

    tag: str


@frozen
class Capability(Command):
    """RFC 3501 §6.1.1."""


@frozen
class Noop(Command):
    """RFC 3501 §6.1.2."""


@frozen
class Logout(Command):
    """RFC 3501 §6.1.3."""


@frozen
class StartTls(Command):
    """RFC 3501 §6.2.1."""


@frozen
class Authenticate(Command):
    """RFC 3501 §6.2.2; ``initial`` is the decoded initial response of RFC 4959 (``=`` is b""), None if not given."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@frozen
class Login(Command):
    """RFC 3501 §6.2.3."""

    user: str
    password: bytes = field(repr=False)


@frozen
class Select(Command):
    """RFC 3501 §6.3.1; ``condstore`` is the parameter of RFC 7162 §3.1.8."""

    mailbox: str
    condstore: bool = False


@frozen
class Examine(Command):
    """RFC 3501 §6.3.2."""

    mailbox: str
    condstore: bool = False


@frozen
class Create(Command):
    """RFC 3501 §6.3.3; a delimiter at the end is taken off. ``special_use`` is USE of RFC 6154 §3."""

    mailbox: str
    special_use: SpecialUse | None = None


@frozen
class Delete(Command):
    """RFC 3501 §6.3.4."""

    mailbox: str


@frozen
class Rename(Command):
    """RFC 3501 §6.3.5."""

    old: str
    new: str


@frozen
class Subscribe(Command):
    """RFC 3501 §6.3.6."""

    mailbox: str


@frozen
class Unsubscribe(Command):
    """RFC 3501 §6.3.7."""

    mailbox: str


@frozen
class List(Command):
    """RFC 3501 §6.3.8 and RFC 5258. Options are upper case; ``status_items`` those of ``RETURN (STATUS (...))``
    (RFC 5819), with ``STATUS`` in ``returns``. Patterns keep ``*`` and ``%``."""

    selection: frozenset[str]
    reference: str
    patterns: tuple[str, ...]
    returns: frozenset[str] = frozenset()
    status_items: tuple[str, ...] = ()


@frozen
class Lsub(Command):
    """RFC 3501 §6.3.9."""

    reference: str
    pattern: str


@frozen
class Status(Command):
    """RFC 3501 §6.3.10; items in upper case, in the order asked for."""

    mailbox: str
    items: tuple[str, ...]


@frozen
class Append(Command):
    """RFC 3501 §6.3.11, without the message. ``internal_date`` is POSIX seconds, None if not given."""

    mailbox: str
    flags: Flags = field(factory=Flags)
    internal_date: float | None = None


@frozen
class Check(Command):
    """RFC 3501 §6.4.1."""


@frozen
class Close(Command):
    """RFC 3501 §6.4.2."""


@frozen
class Unselect(Command):
    """RFC 3691."""


@frozen
class Expunge(Command):
    """RFC 3501 §6.4.3."""


@frozen
class UidExpunge(Command):
    """RFC 4315 §2.1."""

    uids: SequenceSet


@frozen
class Search(Command):
    """RFC 3501 §6.4.4. ``returns`` None: plain ``* SEARCH``; else the options of RFC 4731 (``RETURN ()`` is ALL)."""

    program: SearchKey
    returns: frozenset[str] | None = None
    charset: str | None = None
    uid: bool = False


@frozen
class Fetch(Command):
    """RFC 3501 §6.4.5, macros expanded; ``changed_since`` is the modifier of RFC 7162 §3.1.4."""

    numbers: SequenceSet
    items: tuple[FetchItem, ...]
    changed_since: int | None = None
    uid: bool = False


@frozen
class Store(Command):
    """RFC 3501 §6.4.6; ``unchanged_since`` is the modifier of RFC 7162 §3.1.3 (0 is a value, None is none)."""

    numbers: SequenceSet
    change: FlagChange
    flags: Flags
    silent: bool = False
    unchanged_since: int | None = None
    uid: bool = False


@frozen
class Copy(Command):
    """RFC 3501 §6.4.7."""

    numbers: SequenceSet
    mailbox: str
    uid: bool = False


@frozen
class Move(Command):
    """RFC 6851."""

    numbers: SequenceSet
    mailbox: str
    uid: bool = False


@frozen
class Idle(Command):
    """RFC 2177."""


@frozen
class Namespace(Command):
    """RFC 2342."""


@frozen
class Id(Command):
    """RFC 2971; None for ``NIL``."""

    params: Mapping[str, str | None] | None = None


@frozen
class Enable(Command):
    """RFC 5161; names in upper case."""

    names: tuple[str, ...]
