"""One account's mail, as sessions see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from pymailsuite.errors import MaildropInUse, NoSuchAccount, NoSuchMessage, StorageFull
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
from pymailsuite.interfaces.reputation import JunkReport
from pymailsuite.interfaces.text_index import ITextNarrowing, TextField, TextQuery
from pymailsuite.store import changes, mailboxes, reading
from pymailsuite.store import messages as message_rows
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.junk_feedback import JunkFeedback, keyword_reports_txn, keyword_said, moved_reports_txn
from pymailsuite.store.limits import UserLimits
from pymailsuite.store.text_index import StoredPiece, narrowed, pieces_txn
from pymailsuite.store.threads import ThreadsNotGiven, give_threads
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import (
    ALL_UIDS,
    INBOX,
    MAX_CHUNK,
    AccountId,
    FlagChange,
    Flags,
    MailboxId,
    ModSeq,
    SpecialUse,
    Uid,
    UidSet,
)

T = TypeVar("T")

_RowsTxn = Callable[[Transaction], tuple[Sequence[MessageRow], Uid | None]]


@implementer(IAccountMail, ITextNarrowing)
class AccountMail:
    """The mail of one account; holds nothing open."""

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        lease_clock: StoreClock,
        account_id: AccountId,
        junk_feedback: JunkFeedback,
        limits: UserLimits,
    ) -> None:
        self.account_id = self.user_id = account_id
        self._junk_feedback = junk_feedback
        self._limits = limits
        self._database = database
        self._clock = clock
        self._lease_clock = lease_clock

    def _read(self, description: str, function: Callable[[Transaction], T]) -> Deferred[T]:
        return self._database.read(description, function, self.account_id)

    def _run(self, description: str, function: Callable[[Transaction], T]) -> Deferred[T]:
        return self._database.run(description, function, (self.account_id,))

    def _change(self, description: str, function: Callable[[Transaction], T]) -> Deferred[T]:
        """Run a function that adds to the change log, and trim the log, which a client could otherwise make grow
        without bound."""

        def change_txn(txn: Transaction) -> T:
            result = function(txn)
            self._limits.trim_change_log_txn(txn, self.account_id)
            return result

        return self._run(description, change_txn)

    # --- mailboxes

    def mailboxes(self) -> Deferred[list[Mailbox]]:
        return self._read("mailboxes", lambda txn: mailboxes.mailboxes_txn(txn, self.account_id))

    def mailbox(self, name: str) -> Deferred[Mailbox]:
        return self._read("mailbox", lambda txn: mailboxes.mailbox_txn(txn, self.account_id, name))

    def create_mailbox(self, name: str, special_use: SpecialUse | None, *further: SpecialUse) -> Deferred[Mailbox]:
        uses = () if special_use is None else (special_use, *further)
        now = self._clock.seconds()

        def create_txn(txn: Transaction) -> Mailbox:
            self._limits.check_name(name)
            mailbox = mailboxes.create_mailbox_txn(txn, self.account_id, name, uses, now)
            self._limits.check_mailboxes_txn(txn, self.account_id, mailbox.name)
            return mailbox

        return self._change("create mailbox", create_txn)

    def assign_uses(self, name: str, special_uses: Sequence[SpecialUse]) -> Deferred[Mailbox]:
        now = self._clock.seconds()
        return self._change(
            "assign uses", lambda txn: mailboxes.assign_uses_txn(txn, self.account_id, name, special_uses, now)
        )

    def delete_mailbox(self, name: str) -> Deferred[None]:
        now = self._clock.seconds()
        return self._change("delete mailbox", lambda txn: mailboxes.delete_mailbox_txn(txn, self.account_id, name, now))

    def rename_mailbox(self, old: str, new: str) -> Deferred[None]:
        now = self._clock.seconds()

        def rename_txn(txn: Transaction) -> None:
            self._limits.check_name(new)
            before = self._limits.number_of_mailboxes_txn(txn, self.account_id)
            mailboxes.rename_mailbox_txn(txn, self.account_id, old, new, now)
            self._limits.check_mailboxes_txn(txn, self.account_id, mailboxes.canonical(new), before)
            if mailboxes.canonical(old) == INBOX:
                message_rows.move_txn(txn, self.account_id, mailboxes.INBOX_ID, ALL_UIDS, new, now)

        return self._change("rename mailbox", rename_txn)

    def subscriptions(self) -> Deferred[list[str]]:
        def subscriptions_txn(txn: Transaction) -> list[str]:
            rows = txn.rows("SELECT name FROM subscriptions WHERE account_id = ? ORDER BY name", (self.account_id,))
            return [name for (name,) in rows]

        return self._read("subscriptions", subscriptions_txn)

    def subscribe(self, name: str) -> Deferred[None]:
        now = self._clock.seconds()

        def subscribe_txn(txn: Transaction) -> None:
            mailboxes.check_levels(name)
            modseq = mailboxes.advance_txn(txn, self.account_id)
            mailboxes.subscribe_txn(txn, self.account_id, [name], modseq, now)
            self._limits.check_subscriptions_txn(txn, self.account_id)

        return self._change("subscribe", subscribe_txn)

    def unsubscribe(self, name: str) -> Deferred[None]:
        now = self._clock.seconds()

        def unsubscribe_txn(txn: Transaction) -> None:
            modseq = mailboxes.advance_txn(txn, self.account_id)
            mailboxes.unsubscribe_txn(txn, self.account_id, name, modseq, now)

        return self._change("unsubscribe", unsubscribe_txn)

    # --- changes

    def account_changes(self, since: ModSeq) -> Deferred[AccountChanges]:
        return self._read("account changes", lambda txn: changes.account_changes_txn(txn, self.account_id, since))

    def mailbox_changes(self, mailbox_id: MailboxId, since: ModSeq) -> Deferred[MailboxChanges]:
        return self._read(
            "mailbox changes", lambda txn: changes.mailbox_changes_txn(txn, self.account_id, mailbox_id, since)
        )

    # --- a selected mailbox

    def select(self, name: str, read_only: bool) -> Deferred[Selection]:
        def select_txn(txn: Transaction) -> Selection:
            mailbox = mailboxes.open_mailbox_txn(txn, self.account_id, name)
            rows = message_rows.flag_rows_txn(txn, self.account_id, mailbox)
            return Selection(mailbox, rows, UidSet())

        selected = self._read("select", select_txn)
        return selected if read_only else selected.addCallback(self._claim_for)

    def _claim_for(self, selection: Selection) -> Selection | Deferred[Selection]:
        """Take ``\\Recent`` of the messages in the selection, mostly none."""
        mailbox = selection.mailbox
        if mailbox.first_recent >= mailbox.uid_next:
            return selection

        def claimed(uids: UidSet) -> Selection:
            return Selection(mailbox, selection.rows, uids)

        def not_claimed(reason: Failure) -> Selection:
            reason.trap(StorageFull)  # a full disk must not prevent reading
            return selection

        return self._claim(mailbox.mailbox_id, mailbox.uid_next).addCallbacks(claimed, not_claimed)

    def claim_recent(self, mailbox_id: MailboxId) -> Deferred[UidSet]:
        def uid_next_txn(txn: Transaction) -> Uid | None:
            mailbox = mailboxes.mailbox_of_id_txn(txn, self.account_id, mailbox_id)
            return mailbox.uid_next if mailbox.first_recent < mailbox.uid_next else None

        def claim(uid_next: Uid | None) -> UidSet | Deferred[UidSet]:
            return UidSet() if uid_next is None else self._claim(mailbox_id, uid_next)

        return self._read("look for recent", uid_next_txn).addCallback(claim)

    def _claim(self, mailbox_id: MailboxId, below: Uid) -> Deferred[UidSet]:
        return self._run(
            "claim recent", lambda txn: mailboxes.claim_recent_txn(txn, self.account_id, mailbox_id, below)
        )

    def read_messages(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        convert: Callable[[Sequence[MessageRow]], T],
    ) -> Deferred[T]:
        def read(rows_txn: _RowsTxn) -> Deferred[T]:
            return self._read("read messages", lambda txn: convert(rows_txn(txn)[0]))

        return self._read_rows(read, mailbox_id, uids, columns)

    def read_piece(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int,
        convert: Callable[[Sequence[MessageRow]], T],
    ) -> Deferred[Piece[T]]:
        def read(rows_txn: _RowsTxn) -> Deferred[Piece[T]]:
            def read_txn(txn: Transaction) -> Piece[T]:
                rows, last = rows_txn(txn)
                return Piece(convert(rows), last)

            return self._read("read messages", read_txn)

        return self._read_rows(read, mailbox_id, uids, columns, most_octets)

    def read_in_steps(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int,
        work: Callable[[Sequence[MessageRow]], Steps[T]],
    ) -> Deferred[Piece[T]]:
        def read(rows_txn: _RowsTxn) -> Deferred[Piece[T]]:
            def read_txn(txn: Transaction) -> Steps[Piece[T]]:
                rows, last = rows_txn(txn)
                return _piece(work(rows), last)

            return self._database.read_in_steps("read messages", read_txn, self.account_id)

        return self._read_rows(read, mailbox_id, uids, columns, most_octets)

    def _read_rows(
        self,
        read: Callable[[_RowsTxn], Deferred[T]],
        mailbox_id: MailboxId,
        uids: UidSet,
        columns: Sequence[Column],
        most_octets: int = reading.NO_LIMIT,
    ) -> Deferred[T]:
        """The result of ``read``; where rows are to include threads, and a message has none yet, threads are assigned,
        and the rows are read again."""

        def rows_txn(txn: Transaction) -> tuple[Sequence[MessageRow], Uid | None]:
            return self._rows_txn(txn, mailbox_id, uids, columns, most_octets)

        if Column.THREAD_ID not in columns:
            return read(rows_txn)
        place = columns.index(Column.THREAD_ID)

        def told_rows_txn(txn: Transaction) -> tuple[Sequence[MessageRow], Uid | None]:
            rows, last = rows_txn(txn)
            if any(row[place] is None for row in rows):
                raise ThreadsNotGiven
            return rows, last

        def not_given(reason: Failure) -> Deferred[T]:
            reason.trap(ThreadsNotGiven)
            giving = give_threads(self._database, self.account_id, mailbox_id, uids)
            return Deferred.fromCoroutine(giving).addCallback(lambda _: read(rows_txn))

        return read(told_rows_txn).addErrback(not_given)

    def _rows_txn(
        self, txn: Transaction, mailbox_id: MailboxId, uids: UidSet, columns: Sequence[Column], most_octets: int
    ) -> tuple[Sequence[MessageRow], Uid | None]:
        return reading.read_messages_txn(txn, self.account_id, mailbox_id, uids, columns, most_octets)

    def narrowed(
        self, mailbox_id: MailboxId, uids: Sequence[int], query: TextQuery, extraction_form: str
    ) -> Deferred[Sequence[int]]:
        pieces_txn = partial(self._pieces_txn, mailbox_id, extraction_form)
        return Deferred.fromCoroutine(narrowed(self._database, self.account_id, pieces_txn, uids, query))

    def _pieces_txn(
        self, mailbox_id: MailboxId, form: str, txn: Transaction, first: int, fields: Sequence[TextField]
    ) -> Sequence[StoredPiece]:
        return pieces_txn(txn, self.account_id, mailbox_id, form, first, fields)

    def read_octets(self, mailbox_id: MailboxId, uid: Uid, start: int, stop: int) -> Deferred[bytes]:
        return self._read("read octets", self._octets(mailbox_id, uid, start, stop))

    def octets_in_steps(
        self, mailbox_id: MailboxId, uid: Uid, start: int, stop: int, work: Callable[[bytes], Steps[T]]
    ) -> Deferred[T]:
        read_txn = self._octets(mailbox_id, uid, start, stop)
        return self._database.read_in_steps("read octets", lambda txn: work(read_txn(txn)), self.account_id)

    def _octets(self, mailbox_id: MailboxId, uid: Uid, start: int, stop: int) -> Callable[[Transaction], bytes]:
        start = max(0, start)
        stop = min(stop, start + MAX_CHUNK)
        return lambda txn: self._octets_txn(txn, mailbox_id, uid, start, stop)

    def _octets_txn(self, txn: Transaction, mailbox_id: MailboxId, uid: Uid, start: int, stop: int) -> bytes:
        return reading.read_octets_of_txn(txn, self.account_id, mailbox_id, uid, start, stop)

    def in_steps(self, description: str, work: Steps[T]) -> Deferred[T]:
        return self._database.read_in_steps(description, lambda _: work, self.account_id)

    def store_flags(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        change: FlagChange,
        flags: Flags,
        unchanged_since: ModSeq | None,
    ) -> Deferred[StoreResult]:
        said = keyword_said(change, flags) if self._junk_feedback.wanted else ""

        def store_txn(txn: Transaction) -> StoreResult:
            if said:
                self._tell_txn(txn, keyword_reports_txn(txn, self.account_id, mailbox_id, uids, said))
            result = message_rows.store_flags_txn(
                txn, self.account_id, mailbox_id, uids, change, flags, unchanged_since, self._limits.check_keywords
            )
            if change is not FlagChange.REMOVE:
                self._limits.check_mailbox_keywords_txn(txn, self.account_id, mailbox_id, flags.keywords)
            return result

        return self._run("store flags", store_txn)

    def _tell_txn(self, txn: Transaction, junk_feedback: tuple[JunkReport, ...]) -> None:
        if junk_feedback:
            txn.call_after(self._junk_feedback.told, junk_feedback)

    def expunge(self, mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        return self._remove("expunge", mailbox_id, uids, only_deleted=True)

    def remove_messages(self, mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        return self._remove("remove messages", mailbox_id, uids, only_deleted=False)

    def _remove(self, description: str, mailbox_id: MailboxId, uids: UidSet, *, only_deleted: bool) -> Deferred[UidSet]:
        now = self._clock.seconds()
        return self._run(
            description,
            lambda txn: message_rows.remove_messages_txn(
                txn, self.account_id, mailbox_id, uids, now, only_deleted=only_deleted
            ),
        )

    def copy(self, mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        now = self._clock.seconds()
        return self._run(
            "copy", lambda txn: self._transferred_txn(txn, message_rows.copy_txn, mailbox_id, uids, target, now)
        )

    def deleted_size(self, mailbox_id: MailboxId) -> Deferred[int]:
        return self._read(
            "size of deleted messages", lambda txn: message_rows.deleted_size_txn(txn, self.account_id, mailbox_id)
        )

    def check_room(self, mailbox: str, octets: int, messages: int) -> Deferred[None]:
        def check_txn(txn: Transaction) -> None:
            self._limits.quotas.check_room_txn(txn, self.account_id, mailboxes.canonical(mailbox), octets, messages)

        return self._read("check room", check_txn)

    def move(self, mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        now = self._clock.seconds()
        return self._run(
            "move", lambda txn: self._transferred_txn(txn, message_rows.move_txn, mailbox_id, uids, target, now)
        )

    def _transferred_txn(
        self,
        txn: Transaction,
        transfer_txn: Callable[[Transaction, AccountId, MailboxId, UidSet, str, float], Copied],
        mailbox_id: MailboxId,
        uids: UidSet,
        target: str,
        now: float,
    ) -> Copied:
        copied = transfer_txn(txn, self.account_id, mailbox_id, uids, target, now)
        moved_from = mailbox_id if transfer_txn is message_rows.move_txn else None
        self._check_arrived_txn(txn, target, copied.target, moved_from=moved_from)
        if self._junk_feedback.wanted:
            self._tell_txn(txn, moved_reports_txn(txn, self.account_id, mailbox_id, target, copied))
        return copied

    def append(self, mailbox: str, messages: Sequence[NewMessage]) -> Deferred[Appended]:
        now = self._clock.seconds()
        return self._run("append", lambda txn: self._append_txn(txn, mailbox, messages, now))

    def replace(self, mailbox_id: MailboxId, uid: Uid, target: str, message: NewMessage) -> Deferred[Appended]:
        now = self._clock.seconds()
        return self._run("replace", lambda txn: self._replace_txn(txn, mailbox_id, uid, target, message, now))

    def _replace_txn(
        self, txn: Transaction, mailbox_id: MailboxId, uid: Uid, target: str, message: NewMessage, now: float
    ) -> Appended:
        # First, so that what the account may hold need not be enough for both messages.
        old = UidSet.of([uid])
        if not message_rows.remove_messages_txn(txn, self.account_id, mailbox_id, old, now, only_deleted=False):
            raise NoSuchMessage()
        return self._append_txn(txn, target, [message], now)

    def _append_txn(self, txn: Transaction, mailbox: str, messages: Sequence[NewMessage], now: float) -> Appended:
        with_keywords = [message for message in messages if message.flags.keywords]
        for message in with_keywords:
            self._limits.check_keywords(len(message.flags.keywords))
        appended = message_rows.append_txn(txn, self.account_id, mailbox, messages, now)
        self._check_arrived_txn(txn, mailbox, appended.uids, keywords=bool(with_keywords))
        return appended

    def _check_arrived_txn(
        self,
        txn: Transaction,
        mailbox: str,
        uids: Sequence[Uid],
        *,
        keywords: bool = True,
        moved_from: MailboxId | None = None,
    ) -> None:
        if uids:
            name = mailboxes.canonical(mailbox)
            self._limits.quotas.check_put_txn(txn, self.account_id, name, uids[0], uids[-1], moved_from)
            if keywords:
                self._limits.check_copied_keywords_txn(txn, self.account_id, name, uids[0], uids[-1])

    # --- POP3

    def lock_maildrop(self, owner: str, lease_s: float) -> Deferred[None]:
        now = self._lease_clock.seconds()

        def lock_txn(txn: Transaction) -> None:
            if txn.row("SELECT 1 FROM account_state WHERE account_id = ?", (self.account_id,)) is None:
                raise NoSuchAccount(cause=f"account {self.account_id}")
            taken = txn.row(
                "INSERT INTO maildrop_locks (account_id, owner, until) VALUES (?, ?, ?)"
                " ON CONFLICT (account_id) DO UPDATE SET owner = excluded.owner, until = excluded.until"
                " WHERE maildrop_locks.owner = excluded.owner OR maildrop_locks.until <= ? RETURNING owner",
                (self.account_id, owner, now + lease_s, now),
            )
            if taken is None:
                raise MaildropInUse()

        return self._run("lock maildrop", lock_txn)

    def unlock_maildrop(self, owner: str) -> Deferred[None]:
        def unlock_txn(txn: Transaction) -> None:
            txn.execute("DELETE FROM maildrop_locks WHERE account_id = ? AND owner = ?", (self.account_id, owner))

        return self._run("unlock maildrop", unlock_txn)


def _piece(work: Steps[T], last: Uid | None) -> Steps[Piece[T]]:
    return Piece((yield from work), last)


def release_maildrops_txn(txn: Transaction, owners: Sequence[str]) -> int:
    """End the locks of owners, and of owners whose name begins with one of these and a colon. Returns their number."""
    return sum(
        txn.execute(
            "DELETE FROM maildrop_locks WHERE owner = ? OR SUBSTR(owner, 1, CAST(? AS INTEGER)) = ?",
            (one, len(one) + 1, f"{one}:"),
        )
        for one in owners
    )
