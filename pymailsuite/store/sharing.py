"""The ability of a store to share mailboxes among accounts."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import NoSuchMailbox
from pymailsuite.interfaces.mail import Copied, Mailbox
from pymailsuite.interfaces.rights import SHOWN, Right, Rights
from pymailsuite.interfaces.sharing import AclEntry, IMailSharing, Owner, RightsChange, SharedMailbox
from pymailsuite.store.account_mail import AccountMail
from pymailsuite.store.acl import change_entry_txn, entries_txn, permitted_mailbox_txn
from pymailsuite.store.database import Database
from pymailsuite.store.limits import UserLimits
from pymailsuite.store.mailboxes import MAILBOX_COLUMNS, mailbox_of_row, mailboxes_txn
from pymailsuite.store.others_mail import as_shared
from pymailsuite.store.rights import rights_everywhere_txn
from pymailsuite.store.seen import seen_counts_txn
from pymailsuite.store.transaction import Transaction
from pymailsuite.store.transfers import transfer_txn
from pymailsuite.values import AccountId, MailboxId, UidSet

_ACCOUNTS_AT_ONCE: Final = 64
_COLUMNS: Final = ", ".join(f"m.{column.strip()}" for column in MAILBOX_COLUMNS.split(","))

MailOf = Callable[[AccountId, AccountId], AccountMail]
"""The mail of an owner for a user."""


@implementer(IMailSharing)
class MailSharing:
    """Sharing by the table ``mailbox_rights``."""

    def __init__(
        self, database: Database, clock: IReactorTime, mail_of: MailOf, limits: UserLimits, settings: StoreSection
    ) -> None:
        self._database = database
        self._clock = clock
        self._mail_of = mail_of
        self._limits = limits
        self._settings = settings

    def visible_to(self, account_id: AccountId) -> Deferred[Sequence[SharedMailbox]]:
        return self._database.read("shared mailboxes", lambda txn: _visible_txn(txn, account_id), account_id)

    def own_and_visible_to(self, account_id: AccountId) -> Deferred[tuple[Sequence[Mailbox], Sequence[SharedMailbox]]]:
        return self._database.read(
            "mailboxes", lambda txn: (mailboxes_txn(txn, account_id), _visible_txn(txn, account_id)), account_id
        )

    def owner(self, login_name: str) -> Deferred[Owner | None]:
        def owner_txn(txn: Transaction) -> Owner | None:
            row = txn.row("SELECT account_id, login_name, shared FROM accounts WHERE login_name = ?", (login_name,))
            return None if row is None else Owner(AccountId(row[0]), row[1], bool(row[2]))

        return self._database.read("owner of mailboxes", owner_txn)

    def account_mail_for(self, owner_id: AccountId, user_id: AccountId) -> AccountMail:
        return self._mail_of(owner_id, user_id)

    def copy(
        self, by: AccountId, source: AccountId, mailbox_id: MailboxId, uids: UidSet, target: AccountId, name: str
    ) -> Deferred[Copied]:
        return self._transfer("copy between accounts", by, (source, mailbox_id, uids), (target, name), moves=False)

    def move(
        self, by: AccountId, source: AccountId, mailbox_id: MailboxId, uids: UidSet, target: AccountId, name: str
    ) -> Deferred[Copied]:
        return self._transfer("move between accounts", by, (source, mailbox_id, uids), (target, name), moves=True)

    def _transfer(
        self,
        description: str,
        by: AccountId,
        source: tuple[AccountId, MailboxId, UidSet],
        target: tuple[AccountId, str],
        *,
        moves: bool,
    ) -> Deferred[Copied]:
        now = self._clock.seconds()
        return self._database.run(
            description,
            lambda txn: transfer_txn(txn, by, source, target, now, self._limits, moves=moves),
            (source[0], target[0]),
        )

    # --- who may do what

    def my_rights(self, owner_id: AccountId, name: str, by: AccountId) -> Deferred[Rights]:
        def rights_txn(txn: Transaction) -> Rights:
            _, rights = permitted_mailbox_txn(txn, owner_id, name, by)
            if not rights & SHOWN:
                raise NoSuchMailbox()
            return rights

        return self._database.read("own rights", rights_txn, by)

    def acl(self, owner_id: AccountId, name: str, by: AccountId | None) -> Deferred[Sequence[AclEntry]]:
        def acl_txn(txn: Transaction) -> list[AclEntry]:
            mailbox, _ = permitted_mailbox_txn(txn, owner_id, name, by, Right.ADMINISTER)
            return entries_txn(txn, owner_id, mailbox.mailbox_id)

        return self._database.read("access control list", acl_txn, by)

    def set_rights(
        self,
        owner_id: AccountId,
        name: str,
        by: AccountId | None,
        entry: AclEntry,
        change: RightsChange,
    ) -> Deferred[None]:
        now = self._clock.seconds()

        def set_txn(txn: Transaction) -> None:
            change_entry_txn(txn, owner_id, name, by, entry, change, now, self._settings)
            self._limits.trim_change_log_txn(txn, owner_id)

        return self._database.run("set rights", set_txn)


def _visible_txn(txn: Transaction, user_id: AccountId) -> list[SharedMailbox]:
    rights = {place: some for place, some in rights_everywhere_txn(txn, user_id).items() if Right.LOOKUP in some}
    if not rights:
        return []
    seen = seen_counts_txn(txn, user_id)
    owners = sorted({account_id for account_id, _ in rights})
    found: list[SharedMailbox] = []
    for start in range(0, len(owners), _ACCOUNTS_AT_ONCE):
        piece = owners[start : start + _ACCOUNTS_AT_ONCE]
        rows = txn.rows(
            f"SELECT a.account_id, a.login_name, a.shared, {_COLUMNS} FROM accounts a"
            " JOIN mailboxes m ON m.account_id = a.account_id WHERE EXISTS (SELECT 1 FROM mailbox_rights r"
            " WHERE r.account_id = m.account_id AND r.mailbox_id = m.mailbox_id)"
            f" AND a.account_id IN ({', '.join('?' * len(piece))})",
            piece,
        )
        for account_id, login_name, shared, *columns in rows:
            mailbox = mailbox_of_row(tuple(columns))
            place = (AccountId(account_id), mailbox.mailbox_id)
            if place in rights:
                owner = Owner(AccountId(account_id), login_name, bool(shared))
                found.append(SharedMailbox(owner, as_shared(mailbox, rights[place], seen.get(place, 0))))
    found.sort(key=lambda one: (one.owner.login_name, one.mailbox.name))
    return found
