"""The mail of an account as another user may use it.

Each method does in one transaction what that of the owner does, after it has looked at the rights. What writes locks
the account first: rights are changed under the same lock, so that none is withdrawn between the look and the deed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.errors import NoPermission, NoSuchMailbox
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
    Selection,
    StoreResult,
)
from pymailsuite.interfaces.rights import VISIBLE, Right, Rights
from pymailsuite.interfaces.text_index import TextField
from pymailsuite.store import changes, mailboxes
from pymailsuite.store import messages as message_rows
from pymailsuite.store.account_mail import AccountMail
from pymailsuite.store.acl import permitted_mailbox_txn
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.junk_feedback import JunkFeedback
from pymailsuite.store.limits import UserLimits
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.rights import all_rights_txn, check, refusal, rights_txn
from pymailsuite.store.seen import (
    as_seen,
    changed_since_txn,
    flag_rows_as_seen,
    seen_counts_txn,
    set_seen_txn,
    state_of,
    states_txn,
)
from pymailsuite.store.text_index import StoredPiece
from pymailsuite.store.transaction import Transaction
from pymailsuite.store.transfers import keep_seen_txn, settable_flags, transfer_txn
from pymailsuite.values import (
    ALL_UIDS,
    DELIMITER,
    INBOX,
    AccountId,
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

_SEEN: Final = int(SystemFlag.SEEN)
_OVERLAID: Final = frozenset((Column.SYSTEM_FLAGS, Column.MODSEQ))


@implementer(IAccountMail)
class OthersMail(AccountMail):
    """The mail of the account ``account_id`` for the user ``user_id``."""

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        lease_clock: StoreClock,
        account_id: AccountId,
        user_id: AccountId,
        junk_feedback: JunkFeedback,
        limits: UserLimits,
    ) -> None:
        super().__init__(database, clock, lease_clock, account_id, junk_feedback, limits)
        self.user_id = user_id

    # --- rights

    def _rights_txn(self, txn: Transaction, mailbox_id: MailboxId) -> Rights:
        return rights_txn(txn, self.account_id, mailbox_id, self.user_id)

    def _named_txn(self, txn: Transaction, name: str, *needed: Right) -> tuple[Mailbox, Rights]:
        return permitted_mailbox_txn(txn, self.account_id, name, self.user_id, *needed)

    def _run(self, description: str, function: Callable[[Transaction], T]) -> Deferred[T]:
        both = (self.account_id, self.user_id)

        def locked_txn(txn: Transaction) -> T:
            lock_accounts_txn(txn, both)
            return function(txn)

        return self._database.run(description, locked_txn, both)

    def _key(self, mailbox_id: MailboxId) -> tuple[AccountId, MailboxId, AccountId]:
        return self.account_id, mailbox_id, self.user_id

    # --- mailboxes

    def mailboxes(self) -> Deferred[list[Mailbox]]:
        def mailboxes_txn(txn: Transaction) -> list[Mailbox]:
            rights = all_rights_txn(txn, self.account_id, self.user_id)
            visible = {mailbox_id: some for mailbox_id, some in rights.items() if Right.LOOKUP in some}
            if not visible:
                return []
            seen = seen_counts_txn(txn, self.user_id, self.account_id)
            return [
                as_shared(mailbox, visible[mailbox.mailbox_id], seen.get((self.account_id, mailbox.mailbox_id), 0))
                for mailbox in mailboxes.mailboxes_txn(txn, self.account_id)
                if mailbox.mailbox_id in visible
            ]

        return self._read("mailboxes of another", mailboxes_txn)

    def mailbox(self, name: str) -> Deferred[Mailbox]:
        def mailbox_txn(txn: Transaction) -> Mailbox:
            mailbox, rights = self._named_txn(txn, name)
            if not rights & VISIBLE:
                raise NoSuchMailbox()
            return self._as_shared_txn(txn, mailbox, rights)

        return self._read("mailbox of another", mailbox_txn)

    def _as_shared_txn(self, txn: Transaction, mailbox: Mailbox, rights: Rights) -> Mailbox:
        place = (self.account_id, mailbox.mailbox_id)
        return as_shared(mailbox, rights, seen_counts_txn(txn, self.user_id, *place).get(place, 0))

    def assign_uses(self, name: str, special_uses: Sequence[SpecialUse]) -> Deferred[Mailbox]:
        return fail(NoPermission(cause="a special use is for the owner to assign"))

    def create_mailbox(self, name: str, special_use: SpecialUse | None, *further: SpecialUse) -> Deferred[Mailbox]:
        now = self._clock.seconds()

        def create_txn(txn: Transaction) -> Mailbox:
            self._check_above_txn(txn, name)
            if special_use is not None:
                raise NoPermission(cause="a special use is for the owner to assign")
            self._limits.check_name(name)
            made = mailboxes.create_mailbox_txn(txn, self.account_id, name, (), now)
            self._limits.check_mailboxes_txn(txn, self.account_id, made.name)
            return self._as_shared_txn(txn, made, self._rights_txn(txn, made.mailbox_id))

        return self._change("create mailbox of another", create_txn)

    def _check_above_txn(self, txn: Transaction, name: str) -> None:
        """See that mailboxes may be made below the nearest level above a name that is there. At the top nobody but the
        owner may. Source: RFC 4314 §4."""
        above = mailboxes.canonical(name)
        while DELIMITER in above:
            above = above.rpartition(DELIMITER)[0]
            there = mailboxes.find_mailbox_txn(txn, self.account_id, above)
            if there is not None:
                check(self._rights_txn(txn, there.mailbox_id), Right.CREATE)
                return
        raise refusal(Rights())

    def delete_mailbox(self, name: str) -> Deferred[None]:
        now = self._clock.seconds()

        def delete_txn(txn: Transaction) -> None:
            self._named_txn(txn, name, Right.DELETE_MAILBOX)
            mailboxes.delete_mailbox_txn(txn, self.account_id, name, now)

        return self._change("delete mailbox of another", delete_txn)

    def rename_mailbox(self, old: str, new: str) -> Deferred[None]:
        now = self._clock.seconds()

        def rename_txn(txn: Transaction) -> None:
            mailbox, _ = self._named_txn(txn, old, Right.DELETE_MAILBOX)
            if mailbox.name == INBOX:
                raise NoPermission(cause="INBOX is for its owner to empty")
            for mailbox_id, _ in mailboxes.inferiors_txn(txn, self.account_id, mailbox.name):
                check(self._rights_txn(txn, mailbox_id), Right.DELETE_MAILBOX)
            self._check_above_txn(txn, new)
            self._limits.check_name(new)
            before = self._limits.number_of_mailboxes_txn(txn, self.account_id)
            mailboxes.rename_mailbox_txn(txn, self.account_id, old, new, now)
            self._limits.check_mailboxes_txn(txn, self.account_id, mailboxes.canonical(new), before)

        return self._change("rename mailbox of another", rename_txn)

    def subscriptions(self) -> Deferred[list[str]]:
        """None: subscriptions are kept with the account of the user."""
        return succeed([])

    def subscribe(self, name: str) -> Deferred[None]:
        return fail(NoPermission())

    def unsubscribe(self, name: str) -> Deferred[None]:
        return fail(NoPermission())

    # --- changes

    def account_changes(self, since: ModSeq) -> Deferred[AccountChanges]:
        """Of the mailboxes that the user may see. Where one has gone, or rights have changed, the answer is not
        complete: whether the user knew of it cannot be told any more."""

        def changes_txn(txn: Transaction) -> AccountChanges:
            found = changes.account_changes_txn(txn, self.account_id, since)
            rights = all_rights_txn(txn, self.account_id, self.user_id)
            visible = {mailbox_id: some for mailbox_id, some in rights.items() if Right.LOOKUP in some}
            seen = seen_counts_txn(txn, self.user_id, self.account_id)

            def shared(mailbox: Mailbox) -> Mailbox:
                place = (self.account_id, mailbox.mailbox_id)
                return as_shared(mailbox, visible[mailbox.mailbox_id], seen.get(place, 0))

            return evolve(
                found,
                mailboxes=[
                    evolve(one, mailbox=shared(one.mailbox))
                    for one in found.mailboxes
                    if one.mailbox.mailbox_id in visible
                ],
                messages_in=[shared(one) for one in found.messages_in if one.mailbox_id in visible],
                gone={},
                subscriptions={},
                rights=frozenset(),
                is_complete=found.is_complete and not found.gone and not found.rights,
            )

        return self._read("account changes for another", changes_txn)

    def mailbox_changes(self, mailbox_id: MailboxId, since: ModSeq) -> Deferred[MailboxChanges]:
        """The mailbox is as good as deleted for a user who may not read it any more."""

        def changes_txn(txn: Transaction) -> MailboxChanges:
            found = changes.mailbox_changes_txn(txn, self.account_id, mailbox_id, since)
            if not found.exists or Right.READ not in self._rights_txn(txn, mailbox_id):
                return MailboxChanges(found.modseq, exists=False)
            key = self._key(mailbox_id)
            states, uids = changed_since_txn(txn, key, since)
            known = {row[0] for row in found.changed}
            only_seen = UidSet.of(uid for uid in uids if uid not in known)
            rows = [*found.changed, *message_rows.flag_rows_of_txn(txn, self.account_id, mailbox_id, only_seen)]
            rows.sort()
            # Of what others have changed the state may be of long ago.
            states |= states_txn(txn, key, UidSet.of(known)) if known else {}
            return evolve(found, changed=flag_rows_as_seen(rows, states))

        return self._read("mailbox changes for another", changes_txn)

    # --- a selected mailbox

    def select(self, name: str, read_only: bool) -> Deferred[Selection]:
        r"""Nobody but the owner takes ``\Recent``."""

        def select_txn(txn: Transaction) -> Selection:
            _, rights = self._named_txn(txn, name, Right.READ)
            mailbox = mailboxes.open_mailbox_txn(txn, self.account_id, name)
            rows = message_rows.flag_rows_txn(txn, self.account_id, mailbox)
            states = states_txn(txn, self._key(mailbox.mailbox_id), ALL_UIDS)
            seen_rows = flag_rows_as_seen(rows, states)
            return Selection(self._as_shared_txn(txn, mailbox, rights), seen_rows, UidSet())

        return self._read("select for another", select_txn)

    def claim_recent(self, mailbox_id: MailboxId) -> Deferred[UidSet]:
        return succeed(UidSet())

    def _rows_txn(
        self, txn: Transaction, mailbox_id: MailboxId, uids: UidSet, columns: Sequence[Column], most_octets: int
    ) -> tuple[Sequence[MessageRow], Uid | None]:
        check(self._rights_txn(txn, mailbox_id), Right.READ)
        if _OVERLAID.isdisjoint(columns):
            return super()._rows_txn(txn, mailbox_id, uids, columns, most_octets)
        wanted = list(columns) if Column.UID in columns else [*columns, Column.UID]
        rows, last = super()._rows_txn(txn, mailbox_id, uids, wanted, most_octets)
        places = {column: wanted.index(column) for column in _OVERLAID if column in columns}
        states = states_txn(txn, self._key(mailbox_id), uids)
        seen_rows = as_seen(
            rows, states, wanted.index(Column.UID), places.get(Column.SYSTEM_FLAGS), places.get(Column.MODSEQ)
        )
        return [row[: len(columns)] for row in seen_rows], last

    def _pieces_txn(
        self, mailbox_id: MailboxId, form: str, txn: Transaction, first: int, fields: Sequence[TextField]
    ) -> Sequence[StoredPiece]:
        check(self._rights_txn(txn, mailbox_id), Right.READ)
        return super()._pieces_txn(mailbox_id, form, txn, first, fields)

    def _octets_txn(self, txn: Transaction, mailbox_id: MailboxId, uid: Uid, start: int, stop: int) -> bytes:
        check(self._rights_txn(txn, mailbox_id), Right.READ)
        return super()._octets_txn(txn, mailbox_id, uid, start, stop)

    def store_flags(
        self,
        mailbox_id: MailboxId,
        uids: UidSet,
        change: FlagChange,
        flags: Flags,
        unchanged_since: ModSeq | None,
    ) -> Deferred[StoreResult]:
        """Flags that the user may not set stay as they are; NoPermission only if that is all of those named.

        Source: RFC 4314 §4: clients do not cope well with NO to STORE."""

        def store_txn(txn: Transaction) -> StoreResult:
            rights = self._rights_txn(txn, mailbox_id)
            check(rights, Right.READ)
            if not _may_change_some(rights, change, flags):
                raise refusal(rights)
            key = self._key(mailbox_id)
            states = states_txn(txn, key, uids)
            modified = UidSet()
            wanted = uids
            if unchanged_since is not None:
                rows = message_rows.flag_rows_of_txn(txn, self.account_id, mailbox_id, uids)
                there = flag_rows_as_seen(rows, states)
                modified = UidSet.of(row[0] for row in there if row[3] > unchanged_since)
                wanted = UidSet.of(row[0] for row in there if row[3] <= unchanged_since)
            result = message_rows.store_flags_txn(
                txn,
                self.account_id,
                mailbox_id,
                wanted,
                change,
                flags,
                None,
                self._limits.check_keywords,
                settable_flags(rights),
            )
            if change is not FlagChange.REMOVE and Right.WRITE in rights:
                self._limits.check_mailbox_keywords_txn(txn, self.account_id, mailbox_id, flags.keywords)
            if Right.KEEP_SEEN in rights and (change is FlagChange.REPLACE or flags.system & _SEEN):
                seen = change is not FlagChange.REMOVE and bool(flags.system & _SEEN)
                other = UidSet.of(row[0] for row in result.changed if state_of(states, row[0]) & _SEEN != seen)
                if other:
                    set_seen_txn(txn, key, other, seen, result.modseq)
                    # To the sessions of the user: nothing has changed for all others who watch the owner's account.
                    txn.announce(self.user_id, mailboxes.advance_txn(txn, self.user_id))
                    states = states_txn(txn, key, wanted)
            return evolve(result, changed=flag_rows_as_seen(result.changed, states), modified=modified)

        return self._run("store flags for another", store_txn)

    def expunge(self, mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        now = self._clock.seconds()

        def expunge_txn(txn: Transaction) -> UidSet:
            check(self._rights_txn(txn, mailbox_id), Right.EXPUNGE)
            return message_rows.remove_messages_txn(txn, self.account_id, mailbox_id, uids, now, only_deleted=True)

        return self._run("expunge for another", expunge_txn)

    def remove_messages(self, mailbox_id: MailboxId, uids: UidSet) -> Deferred[UidSet]:
        now = self._clock.seconds()

        def remove_txn(txn: Transaction) -> UidSet:
            check(self._rights_txn(txn, mailbox_id), Right.DELETE_MESSAGES, Right.EXPUNGE)
            return message_rows.remove_messages_txn(txn, self.account_id, mailbox_id, uids, now, only_deleted=False)

        return self._run("remove messages for another", remove_txn)

    def copy(self, mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        return self._transfer("copy for another", mailbox_id, uids, target, moves=False)

    def move(self, mailbox_id: MailboxId, uids: UidSet, target: str) -> Deferred[Copied]:
        return self._transfer("move for another", mailbox_id, uids, target, moves=True)

    def _transfer(
        self, description: str, mailbox_id: MailboxId, uids: UidSet, target: str, *, moves: bool
    ) -> Deferred[Copied]:
        now = self._clock.seconds()
        source = (self.account_id, mailbox_id, uids)
        to = (self.account_id, target)
        return self._run(
            description, lambda txn: transfer_txn(txn, self.user_id, source, to, now, self._limits, moves=moves)
        )

    def deleted_size(self, mailbox_id: MailboxId) -> Deferred[int]:
        def size_txn(txn: Transaction) -> int:
            check(self._rights_txn(txn, mailbox_id), Right.READ)
            return message_rows.deleted_size_txn(txn, self.account_id, mailbox_id)

        return self._read("size of deleted messages for another", size_txn)

    def check_room(self, mailbox: str, octets: int, messages: int) -> Deferred[None]:
        def check_txn(txn: Transaction) -> None:
            target, _ = self._named_txn(txn, mailbox, Right.INSERT)
            self._limits.quotas.check_room_txn(txn, self.account_id, target.name, octets, messages)

        return self._read("check room for another", check_txn)

    def _append_txn(self, txn: Transaction, mailbox: str, messages: Sequence[NewMessage], now: float) -> Appended:
        """Flags that the user may not set are left out (RFC 4314 §4)."""
        target, rights = self._named_txn(txn, mailbox, Right.INSERT)
        settable = settable_flags(rights)
        given = [evolve(message, flags=settable.of(message.flags)) for message in messages]
        appended = super()._append_txn(txn, mailbox, given, now)
        if Right.KEEP_SEEN in rights:
            pairs = zip(appended.uids, messages, strict=False)
            seen = [uid for uid, message in pairs if message.flags.system & _SEEN]
            modseq = mailboxes.highest_modseq_txn(txn, self.account_id, target.mailbox_id)
            keep_seen_txn(txn, self.account_id, target.mailbox_id, self.user_id, seen, modseq)
        return appended

    def _replace_txn(
        self, txn: Transaction, mailbox_id: MailboxId, uid: Uid, target: str, message: NewMessage, now: float
    ) -> Appended:
        check(self._rights_txn(txn, mailbox_id), Right.DELETE_MESSAGES, Right.EXPUNGE)
        return super()._replace_txn(txn, mailbox_id, uid, target, message, now)

    # --- POP3

    def lock_maildrop(self, owner: str, lease_s: float) -> Deferred[None]:
        return fail(NoPermission())

    def unlock_maildrop(self, owner: str) -> Deferred[None]:
        return fail(NoPermission())


def as_shared(mailbox: Mailbox, rights: Rights, seen: int) -> Mailbox:
    r"""A mailbox as a user has it who has seen so many messages: all that are there are recent to nobody."""
    return evolve(
        mailbox,
        rights=rights,
        unseen=max(0, mailbox.messages - seen),
        first_recent=mailbox.uid_next,
        special_use=None,
        further_uses=(),
    )


def _may_change_some(rights: Rights, change: FlagChange, flags: Flags) -> bool:
    settable = settable_flags(rights)
    bits = settable.bits | (_SEEN if Right.KEEP_SEEN in rights else 0)
    if change is FlagChange.REPLACE:
        return bool(bits)
    named_any = bool(flags.system) or bool(flags.keywords)
    return bool(flags.system & bits) or (settable.keywords and bool(flags.keywords)) or not named_any
