"""One account's mailboxes and messages: what IMAP and POP3 sessions work on."""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from pymailsuite.interfaces.content import StagedContent
from pymailsuite.interfaces.rights import ALL_RIGHTS, Rights
from pymailsuite.values import AccountId, FlagChange, Flags, MailboxId, ModSeq, SpecialUse, Uid, UidSet

T = TypeVar("T")

_FIRST_UID: Final = Uid(1)
_NO_ACCOUNT: Final = AccountId(0)


@frozen
class Mailbox:
    """A mailbox as it stands at one moment. Names are decoded Unicode with ``values.DELIMITER`` between levels."""

    mailbox_id: MailboxId
    name: str
    uid_validity: int
    uid_next: Uid
    highest_modseq: ModSeq
    messages: int
    unseen: int
    deleted: int
    size: int
    """Octets of all messages together."""
    first_recent: Uid
    """Messages from this UID on have been announced to no read-write session yet."""
    special_use: SpecialUse | None = None
    """The first of its uses."""
    selectable: bool = True
    """False for a ``\\Noselect`` name: a level that only has inferiors."""
    rights: Rights = ALL_RIGHTS
    """What the user may do with it: all, unless it is another's."""
    account_id: AccountId = _NO_ACCOUNT
    """The account that it belongs to; ``mailbox_id`` is a number of that account. Stores set it always."""
    deleted_size: int | None = None
    """Octets of the messages that carry ``\\Deleted``; None: nobody has asked (:meth:`IAccountMail.deleted_size`)."""
    further_uses: tuple[SpecialUse, ...] = ()
    """Uses besides ``special_use``, if it has several (RFC 6154 §2)."""

    @property
    def special_uses(self) -> tuple[SpecialUse, ...]:
        """All of its uses, mostly none."""
        return () if self.special_use is None else (self.special_use, *self.further_uses)


class Column(enum.Enum):
    """The columns of a message row; comments name the types of their values."""

    UID = "uid"  # int
    SYSTEM_FLAGS = "system_flags"  # int, bits of values.SystemFlag
    KEYWORDS = "keywords"  # str: keywords in ascending order joined by one space, "" for none
    MODSEQ = "modseq"  # int
    INTERNAL_DATE = "internal_date"  # float, POSIX seconds (UTC)
    SAVE_DATE = "save_date"  # float, POSIX seconds (UTC)
    SIZE = "size"  # int, octets, prefix included
    MARKED_SIZE = (
        "marked_size"  # int: SIZE; -1 - SIZE where EXTRA_OCTETS is not 0, so that hardly any needs that column
    )
    EXTRA_OCTETS = "extra_octets"  # int | None: octets that CRLF at the end of every line adds; None: nobody counted
    CONTENT_ID = "content_id"  # int: equal for copies, and never given to other octets
    PREFIX = "prefix"  # bytes: header lines that only this copy has, in front of all others
    PREFIX_SIZE = "prefix_size"  # int: octets of the header lines of ours that stand before the shared octets
    HEADER_SIZE = "header_size"  # int: octets of the shared header with its empty line, prefix not counted
    ENVELOPE = "envelope"  # bytes, wire form
    BODY = "body"  # bytes, wire form
    BODYSTRUCTURE = "bodystructure"  # bytes, wire form
    PARTS = "parts"  # bytes, message.structure.decode_parts reads them
    THREAD_ID = "thread_id"  # int | None: equal for messages of a thread; once told it stays. None: not known
    SENT_AT = "sent_at"  # float | None, POSIX seconds: what the Date field says
    SENT_DAY = "sent_day"  # int: its day as written, days since 1970-01-01; message.structure.NO_SENT_DAY
    SUBJECT = "subject"  # str: decoded and case folded, "" for none
    BASE_SUBJECT = "base_subject"  # str (RFC 5256)
    FROM_MAILBOX = "from_mailbox"  # str: local part of the first address, case folded (RFC 5256)
    TO_MAILBOX = "to_mailbox"  # str
    CC_MAILBOX = "cc_mailbox"  # str
    FROM_DISPLAY = "from_display"  # str: name shown for the first address, case folded (RFC 5957)
    TO_DISPLAY = "to_display"  # str
    HAS_ATTACHMENT = "has_attachment"  # int: 1 or 0
    PREVIEW = "preview"  # str (RFC 8970)
    HEADER = "header"  # bytes: all header lines, ours and those of the shared header, with the empty line
    OCTETS = "octets"  # bytes | None: all octets, header lines of ours included; None if longer than values.MAX_CHUNK


MessageRow = tuple[Any, ...]
"""One message, its values in the order of the columns asked for. Plain tuples: FETCH 1:* makes a great many."""


@frozen
class Selection:
    """A mailbox opened: the mailbox and one row (uid, system_flags, keywords, modseq) a message, by ascending UID.

    ``recent`` are the UIDs whose ``\\Recent`` this session has claimed (empty when opened read-only).
    """

    mailbox: Mailbox
    rows: Sequence[tuple[int, int, str, int]]
    recent: UidSet


@frozen
class MailboxChanges:
    """What happened to one mailbox after a modseq. ``modseq`` is the moment these changes are complete up to.

    ``changed`` rows (uid, system_flags, keywords, modseq) are messages that are new or have other flags, by ascending
    UID; those from ``first_new`` on are new. ``expunged`` are those that are gone, ``name`` is the mailbox's as it is
    now. ``exists`` is False when the mailbox itself was deleted.

    ``is_complete`` is False when the store does not remember all that was expunged since: only reading all messages
    tells then which of them are gone, and some that only changed may be counted as new.
    """

    modseq: ModSeq
    changed: Sequence[tuple[int, int, str, int]] = ()
    expunged: UidSet = field(factory=UidSet)
    first_new: Uid = _FIRST_UID
    name: str = ""
    is_complete: bool = True
    exists: bool = True


@frozen
class ChangedMailbox:
    """A mailbox that was created or renamed, as it is now. ``old_name`` is None if it had no other name before."""

    mailbox: Mailbox
    is_new: bool
    old_name: str | None


@frozen
class AccountChanges:
    """What happened to an account after a modseq. ``modseq`` is the moment these changes are complete up to.

    ``mailboxes`` were created or renamed; ``gone`` are those that were deleted, with the names they had at first;
    ``subscriptions`` tells of each name that was subscribed or unsubscribed whether it is subscribed now. Of
    ``messages_in`` the messages changed: :meth:`IAccountMail.mailbox_changes` says which. What came and went since is
    not told. Who has which rights to the mailboxes in ``rights`` has changed, and so have annotations
    of those in ``annotated`` (0 is the account itself).

    With ``has_more`` there was too much for one answer: ask again since ``modseq``. A mailbox is told of as it is now,
    so that a later answer may repeat what this one said already, or call gone what none has told of.

    ``is_complete`` is False when the store does not remember all that happened since: read everything anew.
    """

    modseq: ModSeq
    mailboxes: Sequence[ChangedMailbox] = ()
    gone: Mapping[MailboxId, str] = field(factory=dict)
    subscriptions: Mapping[str, bool] = field(factory=dict)
    messages_in: Sequence[Mailbox] = ()
    is_complete: bool = True
    has_more: bool = False
    rights: frozenset[MailboxId] = frozenset()
    annotated: frozenset[MailboxId] = frozenset()


@frozen
class StoreResult:
    """What STORE did. ``changed`` rows are (uid, system_flags, keywords, modseq) of all messages now as asked.

    ``modified`` failed UNCHANGEDSINCE (RFC 7162 §3.1.3). UIDs not in the mailbox are in neither. ``modseq`` is what the
    command took, whether or not a row changed, and ``before`` the mailbox's highest modseq until then: between the two
    nothing happened to the mailbox, so that a session that knows all changes up to ``before`` now knows all up to
    ``modseq``.
    """

    changed: Sequence[tuple[int, int, str, int]]
    modified: UidSet
    before: ModSeq
    modseq: ModSeq


@frozen
class NewMessage:
    """One message of an APPEND. ``internal_date`` None is now."""

    content: StagedContent
    flags: Flags = field(factory=Flags)
    internal_date: float | None = None


@frozen
class Appended:
    """Where messages went: UIDs in the order given, of the mailbox's ``uid_validity`` (RFC 4315 APPENDUID)."""

    uid_validity: int
    uids: tuple[Uid, ...]


@frozen
class Copied:
    """COPYUID of RFC 4315: ``source`` and ``target`` UIDs pair up in order."""

    uid_validity: int
    source: tuple[Uid, ...]
    target: tuple[Uid, ...]


@frozen
class Piece(Generic[T]):
    """What was made of the messages of a read that was cut where their octets reached a limit.

    ``last`` is the last message of the piece, None if it holds all that were asked for.
    """

    result: T
    last: Uid | None


Steps = Generator[None, None, T]
"""Work that takes long, a few milliseconds from one step to the next; what it returns is its result."""


def drained(work: Steps[T]) -> T:
    """The result of work that is known to be short."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def mapped_in_steps(function: Callable[[Any], T], items: Sequence[Any], step: int) -> Steps[list[T]]:
    """What ``function`` makes of each item, ``step`` items at a time."""
    made: list[T] = []
    for start in range(0, len(items), step):
        made += map(function, items[start : start + step])
        yield
    return made


class IAccountMail(Interface):
    """One account's mailboxes and messages: what an IMAP or POP3 session works on.

    Every change takes the account's next modseq and is announced after its commit. Methods that name a mailbox by
    name raise NoSuchMailbox; INBOX is matched in any case.
    """

    account_id = Attribute("The account.")
    user_id = Attribute("The account that uses it: the same, unless it is the mail of another (interfaces.sharing).")

    # --- mailboxes

    def mailboxes() -> Deferred[list[Mailbox]]:
        """All, by name, ``\\Noselect`` levels too."""

    def mailbox(name: str) -> Deferred[Mailbox]:
        """One, as it stands now."""

    def create_mailbox(name: str, special_use: SpecialUse | None, *further: SpecialUse) -> Deferred[Mailbox]:
        """Create it and missing levels above it, with one special use, several or none. Its UIDVALIDITY was never used
        in this account. AlreadyExists; Refusal for a level that is empty, ``.`` or ``..``."""

    def assign_uses(name: str, special_uses: Sequence[SpecialUse]) -> Deferred[Mailbox]:
        """Give a mailbox these special uses in place of those that it has. NoSuchMailbox for a ``\\Noselect`` name
        too."""

    def delete_mailbox(name: str) -> Deferred[None]:
        """Messages go to the undelete area. With inferiors it becomes ``\\Noselect``; MailboxHasChildren if it is so
        already. Refusal for INBOX. Source: RFC 3501 §6.3.4."""

    def rename_mailbox(old: str, new: str) -> Deferred[None]:
        """With inferiors, keeping UIDs and UIDVALIDITY; INBOX moves its messages and stays (RFC 3501 §6.3.5).
        AlreadyExists."""

    def subscriptions() -> Deferred[list[str]]:
        """Subscribed names, which need not exist."""

    def subscribe(name: str) -> Deferred[None]:
        """No error if it is subscribed already or does not exist. Refusal for a level that is ``.`` or ``..``."""

    def unsubscribe(name: str) -> Deferred[None]:
        """No error if it is not subscribed."""

    # --- what happened

    def account_changes(since: ModSeq) -> Deferred[AccountChanges]:
        """What happened to the account after ``since``, a bounded answer. NoSuchAccount."""

    def mailbox_changes(mailbox_id: MailboxId, since: ModSeq) -> Deferred[MailboxChanges]:
        """What happened to the messages of a mailbox after ``since``, for as much work as there are changes."""

    # --- a selected mailbox

    def select(name: str, read_only: bool) -> Deferred[Selection]:
        """Open it; a read-write session takes ``\\Recent``. NoSuchMailbox for a ``\\Noselect`` name too."""

    def claim_recent(mailbox_id: MailboxId) -> Deferred[UidSet]:
        """Take ``\\Recent`` of the messages that came since the last claim; each is given once."""

    def read_messages(
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        convert: Callable[[Sequence[MessageRow]], T],
    ) -> Deferred[T]:
        """Rows of those of ``uids`` that exist, by ascending UID, given to ``convert`` in a reader thread.

        ``convert`` does the formatting there, so that the reactor only moves the result. For what is small by nature;
        cancelling what this or any other read answers ends the work.
        """

    def read_piece(
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int,
        convert: Callable[[Sequence[MessageRow]], T],
    ) -> Deferred[Piece[T]]:
        """As read_messages, but no more rows once these hold ``most_octets``; the caller asks for the rest in turn."""

    def read_in_steps(
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int,
        work: Callable[[Sequence[MessageRow]], Steps[T]],
    ) -> Deferred[Piece[T]]:
        """As read_piece, for work that takes longer than reading: it is done in turns with that of other accounts."""

    def octets_in_steps(
        mailbox_id: MailboxId, uid: Uid, start: int, stop: int, work: Callable[[bytes], Steps[T]]
    ) -> Deferred[T]:
        """Octets as of read_octets, given to work that takes long."""

    def in_steps(description: str, work: Steps[T]) -> Deferred[T]:
        """Work in a reader thread that reads nothing, in turns with that of other accounts."""

    def read_octets(mailbox_id: MailboxId, uid: Uid, start: int, stop: int) -> Deferred[bytes]:
        """Octets ``start`` to ``stop`` (exclusive, at most MAX_CHUNK of them) of one message, its prefix included.
        Short or empty past the end. Works for a message expunged by another session too, while it can be undeleted."""

    def store_flags(
        mailbox_id: MailboxId,
        uids: UidSet,
        change: FlagChange,
        flags: Flags,
        unchanged_since: ModSeq | None,
    ) -> Deferred[StoreResult]:
        """Change flags of all, in one transaction. A message whose flags do not change keeps its modseq."""

    def expunge(mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        """Expunge those of ``uids`` that carry ``\\Deleted``; answers which."""

    def remove_messages(mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        """Expunge those of ``uids`` that exist, whatever their flags (POP3 QUIT); answers which."""

    def copy(mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        """All or nothing; flags, keywords, date kept, save date now. NoSuchMailbox if the target is not there."""

    def move(mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        """As copy, and gone from the source, in the same transaction (RFC 6851)."""

    def append(mailbox: str, messages: Sequence[NewMessage]) -> Deferred[Appended]:
        """All or nothing (RFC 3502)."""

    def deleted_size(mailbox_id: MailboxId) -> Deferred[int]:
        """Octets of the messages that carry ``\\Deleted``; reads the rows of all messages."""

    def check_room(mailbox: str, octets: int, messages: int) -> Deferred[None]:
        """OverQuota if as much does not fit into the account now: for what is about to be appended. Whatever adds
        messages or mailboxes raises it too, in its own transaction."""

    def replace(mailbox_id: MailboxId, uid: Uid, target: str, message: NewMessage) -> Deferred[Appended]:
        """Append a message to ``target`` and expunge another one, whatever its flags, in one transaction (RFC 8508).
        NoSuchMessage if that is gone."""

    # --- POP3

    def lock_maildrop(owner: str, lease_s: float) -> Deferred[None]:
        """Take or renew the exclusive POP3 lock of this account for ``owner``. MaildropInUse. Source: RFC 1939 §4.

        Another's lock counts until its lease is over."""

    def unlock_maildrop(owner: str) -> Deferred[None]:
        """Give it back; no error if it is not held."""
