"""Quotas: checked, and counted, in the transaction that adds something.

What an account holds is the sum of its rows of ``mailboxes``, which are few and lie together, and are exact. All
accounts of a domain together are counted in a row of ``domain_usage`` where the domain has a total, and only there:
such accounts are marked (``account_state.total_of``), and whoever takes an account's next modseq learns of the mark.
Transactions of such accounts wait for each other, which is the price of a total that is never passed.

The limits of an account and its domain are read by the statement that takes the modseq, so that a delivery to accounts
without any costs no statement more.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from attrs import frozen

from pymailsuite.config.sections.quota import QuotaSettings
from pymailsuite.errors import NoSuchAccount, OverQuota
from pymailsuite.interfaces.quota import (
    NO_DOMAIN_QUOTA,
    NO_QUOTA,
    DomainQuota,
    FolderRule,
    FolderUsage,
    Limits,
    Quota,
    Usage,
)
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import DELIMITER, INBOX, AccountId, MailboxId

QUOTA_TEXTS: Final = (
    "(SELECT a.quota || '\n' || d.quota FROM accounts a JOIN domains d ON d.name = a.domain"
    " WHERE a.account_id = account_state.account_id)"
)
"""What is kept with an account and with its domain, as one text: JSON has no line ends."""
TEXTS_AND_TOTAL: Final = (
    f"SELECT {QUOTA_TEXTS}, total_of FROM account_state WHERE account_id = ? AND removed_at IS NULL"
)
NONE_KEPT: Final = "\n"

_COUNTED: Final = FolderRule()
_USAGE: Final = (
    "SELECT account_id, CAST(SUM(size) AS BIGINT), CAST(SUM(messages) AS BIGINT), COUNT(*),"
    " (SELECT percent FROM quota_warnings w WHERE w.account_id = mailboxes.account_id) FROM mailboxes"
    " WHERE account_id IN ({}) GROUP BY account_id"
)

Arrived = tuple[MailboxId, int, int]
"""Messages that were put into a mailbox: their octets and their number."""


def quota_in(text: str) -> Quota:
    """The quota kept with an account."""
    return Quota.model_validate_json(text) if text else NO_QUOTA


def domain_quota_in(text: str) -> DomainQuota:
    """The quota kept with a domain."""
    return DomainQuota.model_validate_json(text) if text else NO_DOMAIN_QUOTA


def text_of(quota: Quota | DomainQuota) -> str:
    """A quota as it is kept."""
    return "" if quota in (NO_QUOTA, NO_DOMAIN_QUOTA) else quota.model_dump_json(exclude_defaults=True)


@frozen
class EffectiveQuota:
    """All limits for an account; 0: there is none. ``total`` are those of its domain."""

    storage: int
    messages: int
    mailboxes: int
    folders: tuple[tuple[str, FolderRule], ...]
    total: Limits
    limits_messages: bool
    """Whether anything bounds what may be put into mailboxes, except for a total."""

    @property
    def limits(self) -> Limits:
        """Those of the account."""
        return Limits(storage=self.storage, messages=self.messages, mailboxes=self.mailboxes)

    def rules(self, mailboxes: Iterable[tuple[MailboxId, str, str | None]]) -> dict[MailboxId, FolderRule]:
        """The rule for each of an account's mailboxes, given by id, name and special uses."""
        mailboxes = list(mailboxes)
        expressions = []
        for named, _ in self.folders:
            if named.startswith("\\"):
                used = [name for _, name, use in mailboxes if use is not None and use.lower() == named.lower()]
                # Nothing fits an empty choice.
                expressions.append("|".join(map(re.escape, used)) or "(?!)")
            else:
                expressions.append(_pattern(named))
        fit = _first_fitting(tuple(expressions))
        rules = (_COUNTED, *[rule for _, rule in self.folders])
        return {
            mailbox_id: rules[found.lastindex or 0] if (found := fit(name)) is not None else _COUNTED
            for mailbox_id, name, _ in mailboxes
        }


_JOKERS: Final = {"*": ".*", "%": f"[^{DELIMITER}]*"}


def _pattern(named: str) -> str:
    """The expression for a name with jokers."""
    if named.upper() == INBOX:
        return INBOX
    return "".join([_JOKERS.get(character) or re.escape(character) for character in named])


@lru_cache(maxsize=1024)
def _first_fitting(expressions: tuple[str, ...]) -> Callable[[str], re.Match[str] | None]:
    """Matches names of mailboxes, and those of all mailboxes below them, by the first expression that fits: the number
    of its group is its place, from 1 on."""
    below = f"(?:{DELIMITER}.*)?"
    return re.compile("|".join([f"((?:{one}){below})" for one in expressions]), re.DOTALL).fullmatch


@frozen
class _Held:
    """What counts for an account, and the percentage that its user has been told of (None: of none)."""

    storage: int
    messages: int
    told: int | None
    rules: Mapping[MailboxId, FolderRule]


class Quotas:
    """The quotas of one store."""

    def __init__(self, settings: QuotaSettings) -> None:
        self._settings = settings
        self._general = settings.quota
        self._thresholds = sorted(set(settings.warn_at), reverse=True)
        self._parsed = lru_cache(maxsize=4096)(self._parse)
        self._subscribers: list[Callable[[], None]] = []
        self.is_general = bool(settings.storage or settings.messages)
        """Whether accounts without a quota of their own have one for messages."""

    def _parse(self, texts: str) -> EffectiveQuota:
        own, _, domain_text = texts.partition("\n")
        domain = domain_quota_in(domain_text)
        quota = quota_in(own).over(domain.accounts).over(self._general)
        storage, messages, mailboxes = quota.storage or 0, quota.messages or 0, quota.mailboxes or 0
        return EffectiveQuota(
            storage, messages, mailboxes, tuple(quota.folders.items()), domain.total, bool(storage or messages)
        )

    def effective(self, texts: str) -> EffectiveQuota:
        """What :data:`QUOTA_TEXTS` comes to."""
        return self._parsed(texts)

    def effective_txn(self, txn: Transaction, account_id: AccountId) -> EffectiveQuota:
        """All limits for an account. NoSuchAccount."""
        row = txn.row(TEXTS_AND_TOTAL, (account_id,))
        if row is None:
            raise NoSuchAccount(cause=f"account {account_id}")
        return self._parsed(row[0])

    # --- what there is

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after commits that made a warning due."""
        self._subscribers.append(callback)

    def _tell(self) -> None:
        for callback in self._subscribers:
            callback()

    def _held_txn(self, txn: Transaction, quotas: Mapping[AccountId, EffectiveQuota]) -> dict[AccountId, _Held]:
        """What counts for each account."""
        held: dict[AccountId, _Held] = {}
        plain = [account_id for account_id, quota in quotas.items() if not quota.folders]
        for start in range(0, len(plain), _ACCOUNTS_A_STATEMENT):
            piece = plain[start : start + _ACCOUNTS_A_STATEMENT]
            # Lengths are powers of two, so that few statements serve all and stay prepared.
            length = 1 << (len(piece) - 1).bit_length()
            values = [*piece, *[piece[-1]] * (length - len(piece))]
            for account_id, storage, messages, _, told in txn.rows(_USAGE.format(", ".join("?" * length)), values):
                held[account_id] = _Held(storage, messages, told, {})
        for account_id, quota in quotas.items():
            if quota.folders:
                rows = mailbox_rows_txn(txn, account_id)
                rules = quota.rules([row[:3] for row in rows])
                counted = [row for row in rows if rules[row[0]].counted]
                told = txn.row("SELECT percent FROM quota_warnings WHERE account_id = ?", (account_id,))
                held[account_id] = _Held(
                    sum([row[3] for row in counted]),
                    sum([row[4] for row in counted]),
                    None if told is None else told[0],
                    rules,
                )
        return held

    # --- checks

    def check_arrived_txn(
        self,
        txn: Transaction,
        arrived: Mapping[AccountId, Sequence[Arrived]],
        quotas: Mapping[AccountId, EffectiveQuota],
        *,
        delivered: bool,
        moved: bool = False,
    ) -> None:
        """OverQuota if messages that were just put into mailboxes are too much for any of the accounts, or for its
        domain; else note which warnings are due.

        ``quotas`` are those of accounts that have one; ``delivered`` says that others than the users put them there,
        ``moved`` that they were in the domain before.
        """
        over: dict[AccountId, str] = {}
        if quotas:
            for account_id, held in self._held_txn(txn, quotas).items():
                quota = quotas[account_id]
                counted = [one for one in arrived[account_id] if held.rules.get(one[0], _COUNTED).counted]
                octets, number = sum([one[1] for one in counted]), sum([one[2] for one in counted])
                if not number:
                    continue
                extra = min([held.rules.get(one[0], _COUNTED).extra for one in counted])
                limits = (quota.storage and quota.storage + extra, quota.messages)
                why = self._why_over((held.storage, held.messages), (octets, number), limits, delivered)
                if why:
                    over[account_id] = why
                elif self._thresholds:
                    self._note_passed_txn(txn, account_id, quota, held, octets, number)
        if txn.totals and not moved:
            self._check_totals_txn(txn, arrived, over, delivered)
        if over:
            raise _over_quota(over)

    def _why_over(self, held: tuple[int, int], added: tuple[int, int], limits: tuple[int, int], delivered: bool) -> str:
        """Which limit was passed by what was added (octets, messages), and is there now; empty if none was."""
        storage, messages = limits
        if storage and held[0] > storage:
            was_full = held[0] - added[0] >= storage
            if not delivered or was_full or held[0] > storage + int(storage * self._settings.grace / 100):
                return f"{held[0] - added[0]} of {storage} octets are used, and {added[0]} more do not fit"
        if messages and held[1] > messages:
            return f"{held[1] - added[1]} of {messages} messages are there, and {added[1]} more do not fit"
        return ""

    def check_put_txn(
        self,
        txn: Transaction,
        account_id: AccountId,
        name: str,
        first_uid: int,
        last_uid: int,
        moved_from: MailboxId | None = None,
    ) -> None:
        """OverQuota if messages that a user just put into the mailbox ``name`` are too much; in a transaction that has
        taken the account's next modseq.

        ``moved_from``: they were in this mailbox of the account before, so that at most the account's rules for folders
        make them more than there was.
        """
        quota = self.effective_txn(txn, account_id)
        is_counted = moved_from is None and account_id in txn.totals
        is_limited = quota.limits_messages and (moved_from is None or bool(quota.folders))
        if not is_limited and not is_counted:
            return
        mailbox_id, octets, number = txn.rows(
            "SELECT b.mailbox_id, CAST(SUM(m.size) AS BIGINT), COUNT(*) FROM mailboxes b JOIN messages m"
            " ON m.account_id = b.account_id AND m.mailbox_id = b.mailbox_id"
            " WHERE b.account_id = ? AND b.name = ? AND m.uid BETWEEN ? AND ? GROUP BY b.mailbox_id",
            (account_id, name, first_uid, last_uid),
        )[0]
        if moved_from is not None:
            rules = quota.rules([row[:3] for row in mailbox_rows_txn(txn, account_id)])
            if rules.get(moved_from, _COUNTED).counted or not rules[mailbox_id].counted:
                return
        arrived = {account_id: [(MailboxId(mailbox_id), octets, number)]}
        limited = {account_id: quota} if is_limited else {}
        self.check_arrived_txn(txn, arrived, limited, delivered=False, moved=moved_from is not None)

    def check_room_txn(self, txn: Transaction, account_id: AccountId, name: str, octets: int, messages: int) -> None:
        """OverQuota if as much could not be put into the mailbox ``name`` by a user now. NoSuchAccount."""
        over = self.without_room_txn(txn, [(account_id, name)], octets, messages, delivered=False)
        if over:
            raise _over_quota(over)

    def without_room_txn(
        self,
        txn: Transaction,
        copies: Sequence[tuple[AccountId, str]],
        octets: int,
        messages: int = 1,
        *,
        delivered: bool = True,
    ) -> dict[AccountId, str]:
        """Of accounts that as much is to be put into, each into a mailbox, those that it would be too much for, and
        why. Mailboxes that are not there count as INBOX, accounts that are gone are left out."""
        over: dict[AccountId, str] = {}
        for account_id, name in copies:
            row = txn.row(TEXTS_AND_TOTAL, (account_id,))
            if row is None:
                continue
            quota, domain = self._parsed(row[0]), row[1]
            why = ""
            if quota.limits_messages:
                held = self._held_txn(txn, {account_id: quota})[account_id]
                rule = _rule_of(txn, account_id, name, held.rules)
                if rule.counted:
                    limits = (quota.storage and quota.storage + rule.extra, quota.messages)
                    there = (held.storage + octets, held.messages + messages)
                    why = self._why_over(there, (octets, messages), limits, delivered)
            if not why and domain is not None:
                storage, number = txn.rows("SELECT storage, messages FROM domain_usage WHERE domain = ?", (domain,))[0]
                limits = (quota.total.storage or 0, quota.total.messages or 0)
                why = self._why_over((storage + octets, number + messages), (octets, messages), limits, delivered)
                why = why and f"of all accounts of {domain}: {why}"
            if why:
                over[account_id] = why
        return over

    def check_mailboxes_txn(self, txn: Transaction, account_id: AccountId, number: int) -> None:
        """OverQuota if an account that a mailbox was just added to has too many, or its domain has."""
        quota = self.effective_txn(txn, account_id)
        if quota.mailboxes and number > quota.mailboxes:
            raise OverQuota(
                "Too many mailboxes",
                cause=f"{number} mailboxes, {quota.mailboxes} are allowed",
                account_ids=(account_id,),
            )
        domain = txn.totals.get(account_id)
        if domain is not None and quota.total.mailboxes:
            there = txn.value("SELECT mailboxes FROM domain_usage WHERE domain = ?", (domain,))
            if there > quota.total.mailboxes:
                raise OverQuota(
                    "Too many mailboxes in the domain",
                    cause=f"{there} mailboxes in {domain}, {quota.total.mailboxes} are allowed",
                    account_ids=(account_id,),
                )

    def _check_totals_txn(
        self,
        txn: Transaction,
        arrived: Mapping[AccountId, Sequence[Arrived]],
        over: dict[AccountId, str],
        delivered: bool,
    ) -> None:
        """Add to ``over`` the accounts whose domains would hold too much, all accounts together."""
        by_domain: dict[str, list[AccountId]] = {}
        for account_id in arrived:
            if account_id in txn.totals:
                by_domain.setdefault(txn.totals[account_id], []).append(account_id)
        for domain, account_ids in sorted(by_domain.items()):
            storage, messages, told, text = txn.rows(
                "SELECT u.storage, u.messages, u.percent, d.quota FROM domain_usage u JOIN domains d"
                " ON d.name = u.domain WHERE u.domain = ?",
                (domain,),
            )[0]
            total = domain_quota_in(text).total
            added = [one for account_id in account_ids for one in arrived[account_id]]
            octets, number = sum([one[1] for one in added]), sum([one[2] for one in added])
            limits = (total.storage or 0, total.messages or 0)
            why = self._why_over((storage, messages), (octets, number), limits, delivered)
            if why:
                over.update(dict.fromkeys(account_ids, f"of all accounts of {domain}: {why}"))
            elif self._thresholds:
                before = self._level(storage - octets, messages - number, *limits)
                after = self._level(storage, messages, *limits)
                if after > min(told, before):
                    txn.execute("UPDATE domain_usage SET percent = ?, due = 1 WHERE domain = ?", (after, domain))
                    txn.call_after(self._tell)
                elif after != told:
                    txn.execute("UPDATE domain_usage SET percent = ?, due = 0 WHERE domain = ?", (after, domain))

    # --- warnings

    def _level(self, storage: int, messages: int, storage_limit: int, messages_limit: int) -> int:
        """The highest percentage to warn at that is reached; 0 for none."""
        for percent in self._thresholds:
            if (storage_limit and storage * 100 >= percent * storage_limit) or (
                messages_limit and messages * 100 >= percent * messages_limit
            ):
                return percent
        return 0

    def _note_passed_txn(
        self, txn: Transaction, account_id: AccountId, quota: EffectiveQuota, held: _Held, octets: int, number: int
    ) -> None:
        """Note that a warning is due, if the account has passed a percentage that its user was not told of since it
        last fell below."""
        after = self._level(held.storage, held.messages, quota.storage, quota.messages)
        told = held.told or 0
        if not after and not told:
            return
        before = self._level(held.storage - octets, held.messages - number, quota.storage, quota.messages)
        if after > min(told, before):
            txn.execute(
                "INSERT INTO quota_warnings (account_id, percent, due) VALUES (?, ?, 1) ON CONFLICT (account_id)"
                " DO UPDATE SET percent = excluded.percent, due = 1",
                (account_id, after),
            )
            txn.call_after(self._tell)
        elif after != told:
            # It has fallen below, and so is what was due, if anything was.
            txn.execute("UPDATE quota_warnings SET percent = ?, due = 0 WHERE account_id = ?", (after, account_id))


_ACCOUNTS_A_STATEMENT: Final = 64


def _rule_of(txn: Transaction, account_id: AccountId, name: str, rules: Mapping[MailboxId, FolderRule]) -> FolderRule:
    """The rule for a mailbox, or for INBOX if it is not there."""
    if not rules:
        return _COUNTED
    select = "SELECT name, mailbox_id FROM mailboxes WHERE account_id = ? AND name IN (?, ?)"
    ids: dict[str, MailboxId] = dict(txn.rows(select, (account_id, name, INBOX)))
    return rules[ids[name if name in ids else INBOX]]


def _over_quota(over: Mapping[AccountId, str]) -> OverQuota:
    cause = "; ".join(f"account {account_id}: {why}" for account_id, why in sorted(over.items()))
    return OverQuota(cause=cause, account_ids=over)


def mailbox_rows_txn(txn: Transaction, account_id: AccountId) -> list[Row]:
    """Id, name, special uses, octets and number of messages of each mailbox, by name."""
    return txn.rows(
        "SELECT mailbox_id, name, special_use, size, messages FROM mailboxes WHERE account_id = ? ORDER BY name",
        (account_id,),
    )


# --- the totals of domains


def count_txn(txn: Transaction, account_id: AccountId, storage: int, messages: int, mailboxes: int = 0) -> None:
    """Count what came (or went, if negative) for the total of an account's domain, if it has one; in a transaction that
    has taken the account's next modseq."""
    domain = txn.totals.get(account_id)
    if domain is not None:
        _add_txn(txn, domain, storage, messages, mailboxes)


def _add_txn(txn: Transaction, domain: str, storage: int, messages: int, mailboxes: int) -> None:
    txn.execute(
        "UPDATE domain_usage SET storage = storage + ?, messages = messages + ?, mailboxes = mailboxes + ?"
        " WHERE domain = ?",
        (storage, messages, mailboxes, domain),
    )


def uncount_account_txn(txn: Transaction, account_id: AccountId) -> None:
    """An account is being removed: what it holds counts no more, and nobody is to be warned."""
    txn.execute("DELETE FROM quota_warnings WHERE account_id = ?", (account_id,))
    row = txn.row("UPDATE account_state SET modseq = modseq WHERE account_id = ? RETURNING total_of", (account_id,))
    if row is not None and row[0] is not None:
        usage = account_usage_txn(txn, account_id)
        _add_txn(txn, row[0], -usage.storage, -usage.messages, -usage.mailboxes)
        txn.execute("UPDATE account_state SET total_of = NULL WHERE account_id = ?", (account_id,))


def account_usage_txn(txn: Transaction, account_id: AccountId) -> Usage:
    """All that an account holds, whatever the rules for its folders."""
    return Usage(
        *txn.rows(
            "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), CAST(COALESCE(SUM(messages), 0) AS BIGINT), COUNT(*)"
            " FROM mailboxes WHERE account_id = ?",
            (account_id,),
        )[0]
    )


def domain_sum_txn(txn: Transaction, domain: str) -> Usage:
    """What all accounts of a domain hold; reads all their mailboxes."""
    return Usage(
        *txn.rows(
            "SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT), CAST(COALESCE(SUM(b.messages), 0) AS BIGINT), COUNT(*)"
            " FROM accounts a JOIN mailboxes b ON b.account_id = a.account_id WHERE a.domain = ?",
            (domain,),
        )[0]
    )


def count_domain_txn(txn: Transaction, domain: str, wanted: bool) -> None:
    """Begin to count all accounts of a domain together, or end it. The domain is locked."""
    is_counted = txn.row("SELECT 1 FROM domain_usage WHERE domain = ?", (domain,)) is not None
    if wanted == is_counted:
        return
    # The accounts are locked by this until the commit: their sum stays what it is now.
    txn.execute(
        "UPDATE account_state SET total_of = ? WHERE account_id IN (SELECT account_id FROM accounts WHERE domain = ?)",
        (domain if wanted else None, domain),
    )
    if wanted:
        usage = domain_sum_txn(txn, domain)
        txn.execute(
            "INSERT INTO domain_usage (domain, storage, messages, mailboxes, percent, due) VALUES (?, ?, ?, ?, 0, 0)",
            (domain, usage.storage, usage.messages, usage.mailboxes),
        )
    else:
        txn.execute("DELETE FROM domain_usage WHERE domain = ?", (domain,))


WRONG_TOTALS: Final = (
    "SELECT u.domain, u.storage, u.messages, u.mailboxes, CAST(COALESCE(SUM(b.size), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(b.messages), 0) AS BIGINT), COUNT(b.mailbox_id) FROM domain_usage u"
    " LEFT JOIN accounts a ON a.domain = u.domain LEFT JOIN mailboxes b ON b.account_id = a.account_id"
    " GROUP BY u.domain, u.storage, u.messages, u.mailboxes HAVING u.storage <> COALESCE(SUM(b.size), 0)"
    " OR u.messages <> COALESCE(SUM(b.messages), 0) OR u.mailboxes <> COUNT(b.mailbox_id)"
)
"""Domains that are counted wrongly: what is noted, and what it is."""


def recount_totals_txn(txn: Transaction) -> int:
    """Count the domains anew that are counted wrongly; returns their number."""
    txn.stop_writers("account_state", "mailboxes", "domain_usage")
    rows = txn.rows(WRONG_TOTALS)
    txn.execute_many(
        "UPDATE domain_usage SET storage = ?, messages = ?, mailboxes = ? WHERE domain = ?",
        [(*row[4:7], row[0]) for row in rows],
    )
    return len(rows)


def folder_usage(rows: Sequence[Row], quota: EffectiveQuota) -> tuple[FolderUsage, ...]:
    """Rows of :func:`mailbox_rows_txn`, by name, with the rule for each."""
    rules = quota.rules([row[:3] for row in rows])
    rows = sorted(rows, key=lambda row: str(row[1]))
    return tuple([FolderUsage(row[1], row[3], row[4], rules[row[0]].counted, rules[row[0]].extra) for row in rows])
