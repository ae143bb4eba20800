"""Limits for one user: mailboxes, names, subscriptions, keywords; and the quota.

The checks run in the transaction that adds something, after the addition: an error rolls it back. The limits do not
apply to operators: the data they restore existed before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import LimitReached
from pymailsuite.store.change_log import trim_log_txn
from pymailsuite.store.mailboxes import inferiors_txn
from pymailsuite.store.quota import Quotas
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import DELIMITER, AccountId, MailboxId

_MAILBOXES_KNOWN: Final = 2000


class UserLimits:
    """The limits of one store."""

    def __init__(self, settings: StoreSection, quotas: Quotas) -> None:
        self._settings = settings
        self.quotas = quotas
        self._known: OrderedDict[tuple[AccountId, MailboxId], frozenset[str]] = OrderedDict()

    # --- mailboxes

    def check_name(self, name: str) -> None:
        """LimitReached if a mailbox name is too long or too deep."""
        settings = self._settings
        if len(name.encode("utf-8", "surrogatepass")) > settings.mailbox_name:
            raise LimitReached("Mailbox name too long")
        if name.count(DELIMITER) >= settings.mailbox_depth:
            raise LimitReached("Mailbox name has too many levels")

    def number_of_mailboxes_txn(self, txn: Transaction, account_id: AccountId) -> int:
        """How many mailboxes an account has."""
        number: int = txn.value("SELECT COUNT(*) FROM mailboxes WHERE account_id = ?", (account_id,))
        return number

    def check_mailboxes_txn(self, txn: Transaction, account_id: AccountId, name: str, before: int = 0) -> None:
        """The same for all names that begin with ``name``, which was just created or assigned; and LimitReached or
        OverQuota if there are too many mailboxes, and more than ``before``."""
        for _, inferior in inferiors_txn(txn, account_id, name):
            self.check_name(inferior)
        number = self.number_of_mailboxes_txn(txn, account_id)
        if number > self._settings.account_mailboxes:
            raise LimitReached("Too many mailboxes")
        if number > before:
            self.quotas.check_mailboxes_txn(txn, account_id, number)

    def check_subscriptions_txn(self, txn: Transaction, account_id: AccountId) -> None:
        """LimitReached if there are too many."""
        if txn.value("SELECT COUNT(*) FROM subscriptions WHERE account_id = ?", (account_id,)) > (
            self._settings.account_subscriptions
        ):
            raise LimitReached("Too many subscriptions")

    def trim_change_log_txn(self, txn: Transaction, account_id: AccountId) -> None:
        """Forget the oldest changes of mailboxes and subscriptions if there are too many."""
        trim_log_txn(txn, account_id, self._settings.account_changes)

    # --- keywords

    def check_keywords(self, count: int) -> None:
        """LimitReached if a message is to have so many."""
        if count > self._settings.message_keywords:
            raise LimitReached("Too many keywords on a message")

    def check_mailbox_keywords_txn(
        self, txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, keywords: Iterable[str]
    ) -> None:
        """LimitReached if messages of a mailbox were just given keywords, and now have too many different ones.

        The mailbox is looked through only for a keyword that this process has not seen in it before.
        """
        given = {keyword.lower() for keyword in keywords}
        if not given:
            return
        key = (account_id, mailbox_id)
        known = self._known.get(key)
        if known is not None and given <= known:
            return
        rows = txn.rows(
            "SELECT DISTINCT keywords FROM messages WHERE account_id = ? AND mailbox_id = ? AND keywords <> ''", key
        )
        there = frozenset(word for (words,) in rows for word in words.lower().split())
        if len(there) > self._settings.mailbox_keywords:
            raise LimitReached("Too many different keywords in the mailbox")
        self._known[key] = there
        while len(self._known) > _MAILBOXES_KNOWN:
            self._known.popitem(last=False)

    def check_copied_keywords_txn(
        self, txn: Transaction, account_id: AccountId, target: str, first_uid: int, last_uid: int
    ) -> None:
        """The same for messages that were just put into the mailbox ``target``."""
        rows = txn.rows(
            "SELECT DISTINCT b.mailbox_id, m.keywords FROM messages m JOIN mailboxes b"
            " ON b.account_id = m.account_id AND b.mailbox_id = m.mailbox_id"
            " WHERE b.account_id = ? AND b.name = ? AND m.uid BETWEEN ? AND ? AND m.keywords <> ''",
            (account_id, target, first_uid, last_uid),
        )
        if rows:
            words = {word for _, keywords in rows for word in keywords.split()}
            self.check_mailbox_keywords_txn(txn, account_id, rows[0][0], words)
