"""What is asked about quotas, and the warnings that are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from pymailsuite.errors import MailError, NoSuchAccount, NoSuchEntry, OverQuota
from pymailsuite.interfaces.queue import Acceptance
from pymailsuite.interfaces.quota import AccountQuota, IQuotaStore, Limits, QuotaRoot, QuotaWarning, Usage
from pymailsuite.store.acceptance import accept_txn
from pymailsuite.store.database import Database
from pymailsuite.store.queue import QueueStore
from pymailsuite.store.quota import (
    TEXTS_AND_TOTAL,
    Quotas,
    domain_quota_in,
    domain_sum_txn,
    folder_usage,
    mailbox_rows_txn,
)
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId

_WARNINGS_AT_ONCE = 100
_COUNTED = "SELECT storage, messages, mailboxes FROM domain_usage WHERE domain = ?"


@implementer(IQuotaStore)
class QuotaStore:
    """The quotas of a store, for those who show them and those who warn."""

    def __init__(self, database: Database, quotas: Quotas, queue: QueueStore) -> None:
        self._database = database
        self._quotas = quotas
        self._queue = queue

    def account_quota(self, account_id: AccountId, with_folders: bool) -> Deferred[AccountQuota]:
        return self._database.read(
            "quota of account", lambda txn: self._account_quota_txn(txn, account_id, with_folders), account_id
        )

    def _account_quota_txn(self, txn: Transaction, account_id: AccountId, with_folders: bool) -> AccountQuota:
        row = txn.row(TEXTS_AND_TOTAL, (account_id,))
        name = txn.row("SELECT login_name, domain FROM accounts WHERE account_id = ?", (account_id,))
        if row is None or name is None:
            raise NoSuchAccount(cause=f"account {account_id}")
        quota, total_of = self._quotas.effective(row[0]), row[1]
        folders = folder_usage(mailbox_rows_txn(txn, account_id), quota)
        counted = [one for one in folders if one.counted]
        usage = Usage(sum([one.storage for one in counted]), sum([one.messages for one in counted]), len(folders))
        total = None if total_of is None else _domain_total_txn(txn, total_of)
        login_name, domain = name
        return AccountQuota(
            account_id, login_name, QuotaRoot(usage, quota.limits), domain, total, folders if with_folders else ()
        )

    def domain_total(self, domain: str) -> Deferred[QuotaRoot]:
        return self._database.read("total of domain", lambda txn: _domain_total_txn(txn, domain.lower()))

    def without_room(
        self, copies: Sequence[tuple[AccountId, str]], octets: int
    ) -> Deferred[Mapping[AccountId, OverQuota]]:
        def look_txn(txn: Transaction) -> Mapping[AccountId, OverQuota]:
            over = self._quotas.without_room_txn(txn, copies, octets)
            return {account_id: OverQuota(cause=why, account_ids=(account_id,)) for account_id, why in over.items()}

        return self._database.read("look for room", look_txn)

    # --- warnings

    def subscribe_warnings(self, callback: Callable[[], None]) -> None:
        self._quotas.subscribe(callback)

    def due_warnings(self) -> Deferred[Sequence[QuotaWarning]]:
        def due_txn(txn: Transaction) -> Sequence[QuotaWarning]:
            due = []
            for account_id, percent in txn.rows(
                f"SELECT account_id, percent FROM quota_warnings WHERE due = 1 LIMIT {_WARNINGS_AT_ONCE}"  # noqa: S608
            ):
                try:
                    account = self._account_quota_txn(txn, account_id, with_folders=False)
                except NoSuchAccount:
                    # It has been removed; a sweep drops the row.
                    continue
                due.append(QuotaWarning(percent, account.account, account, account.domain))
            for domain, percent in txn.rows("SELECT domain, percent FROM domain_usage WHERE due = 1"):
                due.append(QuotaWarning(percent, _domain_total_txn(txn, domain), None, domain))
            return due

        return self._database.read("due warnings", due_txn)

    def settle_warning(self, warning: QuotaWarning, messages: Sequence[Acceptance]) -> Deferred[bool]:
        account = warning.account
        table, key, value = (
            ("domain_usage", "domain", warning.domain)
            if account is None
            else ("quota_warnings", "account_id", account.account_id)
        )
        try:
            items = [self._queue.numbered(one) for one in messages]
        except MailError:
            return fail()
        accounts = [delivery.account_id for one in messages for delivery in one.deliveries]

        def settle_txn(txn: Transaction) -> bool:
            if not txn.execute(
                f"UPDATE {table} SET due = 0 WHERE {key} = ? AND percent = ? AND due = 1",  # noqa: S608
                (value, warning.percent),
            ):
                return False
            if items:
                accept_txn(txn, items, self._quotas)
                txn.call_after(self._queue.wake)
            return True

        return self._database.run("settle quota warning", settle_txn, accounts)


def _domain_total_txn(txn: Transaction, domain: str) -> QuotaRoot:
    """The usage of a domain's accounts, and their total limits. NoSuchEntry."""
    row = txn.row("SELECT quota FROM domains WHERE name = ?", (domain,))
    if row is None:
        raise NoSuchEntry(f"No such domain: {domain}")
    total = domain_quota_in(row[0]).total
    counted = txn.row(_COUNTED, (domain,))
    usage = domain_sum_txn(txn, domain) if counted is None else Usage(*counted)
    return QuotaRoot(
        usage, Limits(storage=total.storage or 0, messages=total.messages or 0, mailboxes=total.mailboxes or 0)
    )
