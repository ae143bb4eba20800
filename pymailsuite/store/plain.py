"""Mail in plain lists, for stores of other kinds whose mail is in memory and mostly read.

Flags may change and messages be deleted, for as long as the process lives. Mailboxes stay as they are, and clients add
no messages. A store builds its accounts from these classes, and need not handle modseqs, views and claims.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event
from typing import Any, Final, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, execute, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from pymailsuite.bus.account_notices import ChangeNotices
from pymailsuite.errors import LimitReached, MaildropInUse, NoSuchMailbox, Refusal
from pymailsuite.interfaces.mail import (
    AccountChanges,
    Appended,
    Column,
    Copied,
    IAccountMail,
    Mailbox,
    MailboxChanges,
    MessageRow,
    NewMessage,
    Piece,
    Selection,
    Steps,
    StoreResult,
)
from pymailsuite.message.structure import MessageStructure
from pymailsuite.message.thread_links import decode_links
from pymailsuite.store.mailboxes import canonical
from pymailsuite.store.messages import flag_change
from pymailsuite.values import (
    MAX_CHUNK,
    AccountId,
    ContentId,
    FlagChange,
    Flags,
    MailboxId,
    ModSeq,
    SpecialUse,
    SystemFlag,
    Uid,
    UidSet,
)

T = TypeVar("T")

InThread = Callable[..., Deferred[Any]]
"""Calls a function with arguments in a thread; returns its result."""

KEYWORDS_MAX: Final = 100
"""Keywords of a message."""

_FIRST: Final = ModSeq(1)


@define
class PlainMessage:
    """A message. ``octets`` have CRLF at the end of every line; ``internal_date`` is in POSIX seconds; ``keywords`` are
    in ascending order, one space between two."""

    uid: Uid
    octets: bytes = field(repr=False)
    structure: MessageStructure = field(repr=False)
    content_id: ContentId
    internal_date: float
    system_flags: int = 0
    keywords: str = ""
    modseq: ModSeq = _FIRST
    thread_id: int = 0
    """Given by the account it is in."""

    def has(self, flag: SystemFlag) -> bool:
        """Whether it carries a system flag."""
        return bool(self.system_flags & flag)

    @property
    def flag_row(self) -> tuple[int, int, str, int]:
        """As it stands in a Selection and in changes."""
        return self.uid, self.system_flags, self.keywords, self.modseq


_VALUES: Final[Mapping[Column, Callable[[PlainMessage], Any]]] = {
    Column.UID: lambda message: message.uid,
    Column.SYSTEM_FLAGS: lambda message: message.system_flags,
    Column.KEYWORDS: lambda message: message.keywords,
    Column.MODSEQ: lambda message: message.modseq,
    Column.INTERNAL_DATE: lambda message: message.internal_date,
    Column.SAVE_DATE: lambda message: message.internal_date,
    Column.SIZE: lambda message: len(message.octets),
    Column.MARKED_SIZE: lambda message: len(message.octets),
    Column.EXTRA_OCTETS: lambda message: 0,
    Column.CONTENT_ID: lambda message: message.content_id,
    Column.PREFIX: lambda message: b"",
    Column.PREFIX_SIZE: lambda message: 0,
    Column.HEADER_SIZE: lambda message: message.structure.header_size,
    Column.ENVELOPE: lambda message: message.structure.envelope,
    Column.BODY: lambda message: message.structure.body,
    Column.BODYSTRUCTURE: lambda message: message.structure.bodystructure,
    Column.PARTS: lambda message: message.structure.parts,
    Column.THREAD_ID: lambda message: message.thread_id,
    Column.SENT_AT: lambda message: message.structure.keys.sent_at,
    Column.SENT_DAY: lambda message: message.structure.keys.sent_day,
    Column.SUBJECT: lambda message: message.structure.keys.subject,
    Column.BASE_SUBJECT: lambda message: message.structure.keys.base_subject,
    Column.FROM_MAILBOX: lambda message: message.structure.keys.from_mailbox,
    Column.TO_MAILBOX: lambda message: message.structure.keys.to_mailbox,
    Column.CC_MAILBOX: lambda message: message.structure.keys.cc_mailbox,
    Column.FROM_DISPLAY: lambda message: message.structure.keys.from_display,
    Column.TO_DISPLAY: lambda message: message.structure.keys.to_display,
    Column.HAS_ATTACHMENT: lambda message: message.structure.keys.has_attachment,
    Column.PREVIEW: lambda message: message.structure.keys.preview,
    Column.HEADER: lambda message: message.octets[: message.structure.header_size],
    Column.OCTETS: lambda message: message.octets if len(message.octets) <= MAX_CHUNK else None,
}


class PlainMailbox:
    """A mailbox with its messages, by ascending UID. ``uid_validity`` must change when UIDs are assigned anew."""

    def __init__(
        self,
        mailbox_id: MailboxId,
        name: str,
        uid_validity: int,
        messages: Iterable[PlainMessage],
        special_use: SpecialUse | None = None,
    ) -> None:
        self.mailbox_id = mailbox_id
        self.account_id = AccountId(0)
        self.name = canonical(name)
        self.uid_validity = uid_validity
        self.special_use = special_use
        self.messages: dict[int, PlainMessage] = {message.uid: message for message in messages}
        self.gone: dict[int, tuple[ModSeq, PlainMessage]] = {}
        self.highest_modseq = _FIRST
        self.uid_next = Uid(max(self.messages, default=0) + 1)
        self.first_recent = Uid(1)

    def now(self) -> Mailbox:
        """As it stands."""
        messages = self.messages.values()
        return Mailbox(
            self.mailbox_id,
            self.name,
            self.uid_validity,
            self.uid_next,
            self.highest_modseq,
            len(messages),
            sum(not message.has(SystemFlag.SEEN) for message in messages),
            sum(message.has(SystemFlag.DELETED) for message in messages),
            sum(len(message.octets) for message in messages),
            self.first_recent,
            self.special_use,
            account_id=self.account_id,
        )

    def chosen(self, uids: UidSet) -> list[PlainMessage]:
        """Those of ``uids`` that exist, by ascending UID."""
        there = list(self.messages)
        return [
            self.messages[uid]
            for low, high in uids.ranges
            for uid in there[bisect_left(there, low) : bisect_right(there, high)]
        ]

    def claim_recent(self) -> UidSet:
        """Take ``\\Recent`` of messages that were not claimed yet."""
        recent = UidSet.of(uid for uid in self.messages if uid >= self.first_recent)
        self.first_recent = self.uid_next
        return recent


@implementer(IAccountMail)
class PlainAccountMail:
    """The mail of one account, all of its sessions' in this process. ``clock`` is the reactor; conversions run by
    ``in_thread``."""

    def __init__(
        self,
        account_id: AccountId,
        mailboxes: Iterable[PlainMailbox],
        notices: ChangeNotices,
        clock: IReactorTime,
        in_thread: InThread = deferToThread,
    ) -> None:
        self.account_id = self.user_id = account_id
        self.modseq = _FIRST
        self._by_name = {mailbox.name: mailbox for mailbox in sorted(mailboxes, key=lambda one: one.name)}
        self._by_id = {mailbox.mailbox_id: mailbox for mailbox in self._by_name.values()}
        for mailbox in self._by_name.values():
            mailbox.account_id = account_id
        self._notices = notices
        self._clock = clock
        self._in_thread = in_thread
        self._lock: tuple[str, float] = ("", 0.0)
        _give_threads([message for mailbox in self._by_name.values() for message in mailbox.messages.values()])

    def _named(self, name: str) -> PlainMailbox:
        mailbox = self._by_name.get(canonical(name))
        if mailbox is None:
            raise NoSuchMailbox
        return mailbox

    def _numbered(self, mailbox_id: MailboxId) -> PlainMailbox:
        mailbox = self._by_id.get(mailbox_id)
        if mailbox is None:
            raise NoSuchMailbox
        return mailbox

    def _next_modseq(self) -> ModSeq:
        self.modseq = ModSeq(self.modseq + 1)
        return self.modseq

    def _announce(self, mailbox: PlainMailbox, modseq: ModSeq) -> None:
        """The mailbox has changed. Listeners are notified after the caller of the change has its result."""
        mailbox.highest_modseq = modseq
        self._clock.callLater(0, self._notices.announce, {self.account_id: modseq})

    # --- mailboxes

    def mailboxes(self) -> Deferred[list[Mailbox]]:
        return succeed([mailbox.now() for mailbox in self._by_name.values()])

    def mailbox(self, name: str) -> Deferred[Mailbox]:
        return execute(lambda: self._named(name).now())

    def create_mailbox(self, name: str, special_use: SpecialUse | None, *further: SpecialUse) -> Deferred[Mailbox]:
        return _refused()

    def assign_uses(self, name: str, special_uses: Sequence[SpecialUse]) -> Deferred[Mailbox]:
        return _refused()

    def delete_mailbox(self, name: str) -> Deferred[None]:
        return _refused()

    def rename_mailbox(self, old: str, new: str) -> Deferred[None]:
        return _refused()

    def subscriptions(self) -> Deferred[list[str]]:
        """All there are."""
        return succeed(list(self._by_name))

    def subscribe(self, name: str) -> Deferred[None]:
        return succeed(None) if canonical(name) in self._by_name else _refused()

    def unsubscribe(self, name: str) -> Deferred[None]:
        return _refused() if canonical(name) in self._by_name else succeed(None)

    # --- changes

    def account_changes(self, since: ModSeq) -> Deferred[AccountChanges]:
        changed = [mailbox.now() for mailbox in self._by_name.values() if mailbox.highest_modseq > since]
        return succeed(AccountChanges(self.modseq, messages_in=changed))

    def mailbox_changes(self, mailbox_id: MailboxId, since: ModSeq) -> Deferred[MailboxChanges]:
        mailbox = self._by_id.get(mailbox_id)
        if mailbox is None:
            return succeed(MailboxChanges(self.modseq, exists=False))
        changed = [message.flag_row for message in mailbox.messages.values() if message.modseq > since]
        gone = UidSet.of(uid for uid, (modseq, _) in mailbox.gone.items() if modseq > since)
        return succeed(MailboxChanges(self.modseq, changed, gone, mailbox.uid_next, mailbox.name))

    # --- a selected mailbox

    def select(self, name: str, read_only: bool) -> Deferred[Selection]:
        def select() -> Selection:
            mailbox = self._named(name)
            before = mailbox.now()
            recent = UidSet() if read_only else mailbox.claim_recent()
            return Selection(before, [message.flag_row for message in mailbox.messages.values()], recent)

        return execute(select)

    def claim_recent(self, mailbox_id: MailboxId) -> Deferred[UidSet]:
        return execute(lambda: self._numbered(mailbox_id).claim_recent())

    def _rows(
        self, mailbox_id: MailboxId, uids: UidSet, columns: Sequence[Column], most_octets: int | None = None
    ) -> tuple[list[MessageRow], Uid | None]:
        """Rows, the last of them a UID where ``most_octets`` are reached."""
        values = [_VALUES[column] for column in columns]
        rows: list[MessageRow] = []
        last: Uid | None = None
        for message in self._numbered(mailbox_id).chosen(uids):
            row = tuple([value(message) for value in values])
            if most_octets is not None:
                most_octets -= sum(len(value) for value in row if isinstance(value, bytes))
                if most_octets < 0 and rows:
                    return rows, last
            rows.append(row)
            last = message.uid
        return rows, None

    def read_messages(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        convert: Callable[[Sequence[MessageRow]], T],
    ) -> Deferred[T]:
        read = execute(self._rows, mailbox_id, uids, columns)
        return read.addCallback(lambda found: self._in_thread(convert, found[0]))

    def read_piece(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int,
        convert: Callable[[Sequence[MessageRow]], T],
    ) -> Deferred[Piece[T]]:
        read = execute(self._rows, mailbox_id, uids, columns, most_octets)
        return read.addCallback(lambda found: self._in_thread(lambda: Piece(convert(found[0]), found[1])))

    def read_in_steps(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int,
        work: Callable[[Sequence[MessageRow]], Steps[T]],
    ) -> Deferred[Piece[T]]:
        def piece(found: tuple[list[MessageRow], Uid | None]) -> Deferred[Piece[T]]:
            rows, last = found
            return self.in_steps("read messages", work(rows)).addCallback(Piece, last)

        return execute(self._rows, mailbox_id, uids, columns, most_octets).addCallback(piece)

    def octets_in_steps(
        self, mailbox_id: MailboxId, uid: Uid, start: int, stop: int, work: Callable[[bytes], Steps[T]]
    ) -> Deferred[T]:
        read = self.read_octets(mailbox_id, uid, start, stop)
        return read.addCallback(lambda octets: self.in_steps("read octets", work(octets)))

    def in_steps(self, description: str, work: Steps[T]) -> Deferred[T]:
        called_off = Event()
        answer: Deferred[T] = Deferred(lambda _: called_off.set())

        def ended(outcome: Any) -> None:
            if not answer.called:
                answer.callback(outcome)

        self._in_thread(_work_through, work, called_off).addBoth(ended)
        return answer

    def read_octets(self, mailbox_id: MailboxId, uid: Uid, start: int, stop: int) -> Deferred[bytes]:
        def read() -> bytes:
            mailbox = self._numbered(mailbox_id)
            message = mailbox.messages.get(uid) or mailbox.gone.get(uid, (_FIRST, None))[1]
            begin = max(0, start)
            return b"" if message is None else message.octets[begin : min(stop, begin + MAX_CHUNK)]

        return execute(read)

    def store_flags(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        change: FlagChange,
        flags: Flags,
        unchanged_since: ModSeq | None,
    ) -> Deferred[StoreResult]:
        def store() -> StoreResult:
            mailbox = self._numbered(mailbox_id)
            chosen = mailbox.chosen(uids)
            as_asked = [one for one in chosen if unchanged_since is None or one.modseq <= unchanged_since]
            apply = flag_change(change, flags)
            after = [apply(message.system_flags, message.keywords) for message in as_asked]
            if any(keywords.count(" ") >= KEYWORDS_MAX for _, keywords in after):
                raise LimitReached("Too many keywords on a message")
            before, modseq = mailbox.highest_modseq, self._next_modseq()
            for message, now in zip(as_asked, after, strict=True):
                if now != (message.system_flags, message.keywords):
                    message.system_flags, message.keywords = now
                    message.modseq = modseq
            if any(message.modseq == modseq for message in as_asked):
                self._announce(mailbox, modseq)
            modified = UidSet.of({one.uid for one in chosen} - {one.uid for one in as_asked})
            return StoreResult([message.flag_row for message in as_asked], modified, before, modseq)

        return execute(store)

    def expunge(self, mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        return execute(self._remove, mailbox_id, uids, lambda message: message.has(SystemFlag.DELETED))

    def remove_messages(self, mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        return execute(self._remove, mailbox_id, uids, lambda message: True)

    def _remove(self, mailbox_id: MailboxId, uids: UidSet, wanted: Callable[[PlainMessage], bool]) -> UidSet:
        mailbox = self._numbered(mailbox_id)
        going = [message for message in mailbox.chosen(uids) if wanted(message)]
        if going:
            modseq = self._next_modseq()
            self._announce(mailbox, modseq)
            for message in going:
                del mailbox.messages[message.uid]
                mailbox.gone[message.uid] = modseq, message
        return UidSet.of(message.uid for message in going)

    def copy(self, mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        return _refused()

    def move(self, mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        return _refused()

    def deleted_size(self, mailbox_id: MailboxId) -> Deferred[int]:
        def size() -> int:
            messages = self._numbered(mailbox_id).messages.values()
            return sum([len(message.octets) for message in messages if message.has(SystemFlag.DELETED)])

        return execute(size)

    def check_room(self, mailbox: str, octets: int, messages: int) -> Deferred[None]:
        return succeed(None)

    def append(self, mailbox: str, messages: Sequence[NewMessage]) -> Deferred[Appended]:
        return _refused()

    def replace(self, mailbox_id: MailboxId, uid: Uid, target: str, message: NewMessage) -> Deferred[Appended]:
        return _refused()

    # --- POP3

    def lock_maildrop(self, owner: str, lease_s: float) -> Deferred[None]:
        now = self._clock.seconds()
        held_by, until = self._lock
        if held_by not in {"", owner} and until > now:
            return fail(MaildropInUse())
        self._lock = owner, now + lease_s
        return succeed(None)

    def unlock_maildrop(self, owner: str) -> Deferred[None]:
        if self._lock[0] == owner:
            self._lock = "", 0.0
        return succeed(None)


def _give_threads(messages: Sequence[PlainMessage]) -> None:
    """Assign threads: messages that share a link, or each share one with a third, belong to a thread; its id is the
    least of the ids of their contents. Source: RFC 8621 §3."""
    joined: dict[int, int] = {}

    def thread_of(content_id: int) -> int:
        while (lesser := joined.get(content_id, content_id)) != content_id:
            joined[content_id] = content_id = joined.get(lesser, lesser)
        return content_id

    first_with: dict[int, int] = {}
    for message in messages:
        keys = message.structure.keys
        for link in (keys.own_link, *decode_links(keys.links)):
            one, other = thread_of(message.content_id), thread_of(first_with.setdefault(link, message.content_id))
            joined[max(one, other)] = min(one, other)
    for message in messages:
        message.thread_id = thread_of(message.content_id)


def _refused() -> Deferred[Any]:
    return fail(Refusal("Mail is only read here"))


def _work_through(work: Steps[T], called_off: Event) -> T:
    """The return value of steps; CancelledError after the step during which the caller cancelled."""
    while not called_off.is_set():
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
    work.close()
    raise CancelledError
