"""The ability of a store to keep annotations of mailboxes and accounts."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.errors import AnnotationTooLong, LimitReached, NoPermission, TooManyAnnotations, UnsupportedUse
from pymailsuite.interfaces.annotations import PRIVATE, SHARED, SPECIAL_USE, IAnnotations, uses_value
from pymailsuite.interfaces.mail import Mailbox
from pymailsuite.interfaces.rights import Right
from pymailsuite.store.acl import permitted_mailbox_txn
from pymailsuite.store.change_log import ANNOTATED, log_mailboxes_txn, trim_log_txn
from pymailsuite.store.database import Database
from pymailsuite.store.mailboxes import advance_txn, assign_uses_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import AccountId, MailboxId, SpecialUse

_COLUMNS: Final = "account_id, mailbox_id, user_id, entry, value"
_KEY: Final = "account_id = ? AND mailbox_id = ? AND user_id = ? AND entry = ?"
_NO_MAILBOX: Final = MailboxId(0)
_SHARED_BY_ALL: Final = AccountId(0)
_MOST_OCTETS: Final = 8 * 1024 * 1024
"""Octets of values in one answer about many mailboxes."""


@implementer(IAnnotations)
class Annotations:
    """Annotations in the table of that name."""

    def __init__(self, database: Database, clock: IReactorTime, settings: StoreSection) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    def annotations(self, owner_id: AccountId, name: str | None, by: AccountId) -> Deferred[Mapping[str, bytes]]:
        def annotations_txn(txn: Transaction) -> Mapping[str, bytes]:
            mailbox = None
            if name is not None:
                mailbox, _ = permitted_mailbox_txn(txn, owner_id, name, by, Right.LOOKUP, Right.READ)
            rows = txn.rows(
                "SELECT user_id, entry, value FROM annotations WHERE account_id = ? AND mailbox_id = ?"
                " AND user_id IN (0, ?) ORDER BY user_id, entry",
                (owner_id, _id_of(mailbox), by),
            )
            found = {_name(user_id, entry): bytes(value) for user_id, entry, value in rows}
            if mailbox is not None and mailbox.special_uses and by == owner_id:
                found[SPECIAL_USE] = uses_value(mailbox.special_uses)
            return found

        return self._database.read("annotations", annotations_txn, owner_id)

    def annotations_of_all(
        self, by: AccountId, owner_ids: Collection[AccountId], entries: Collection[str]
    ) -> Deferred[Mapping[tuple[AccountId, MailboxId], Mapping[str, bytes]]]:
        keys = [_key_of(entry, by) for entry in entries]
        conditions = " OR ".join(["(user_id = ? AND entry = ?)"] * len(keys))
        values = [value for key in keys for value in key]

        def of_all_txn(txn: Transaction) -> Mapping[tuple[AccountId, MailboxId], Mapping[str, bytes]]:
            found: dict[tuple[AccountId, MailboxId], dict[str, bytes]] = {}
            left = _MOST_OCTETS
            for owner_id in owner_ids:
                rows: list[Row] = []
                select = (
                    "SELECT mailbox_id, user_id, entry, value FROM annotations"
                    f" WHERE account_id = ? AND mailbox_id > 0 AND ({conditions})"
                )
                left = txn.rows_within(select, (owner_id, *values), rows, (2, 3), left)
                if left <= 0:
                    raise LimitReached("Too many octets of annotations")
                for mailbox_id, user_id, entry, value in rows:
                    of_mailbox = found.setdefault((owner_id, MailboxId(mailbox_id)), {})
                    of_mailbox[_name(user_id, entry)] = bytes(value)
            return found

        return self._database.read("annotations of all", of_all_txn, by)

    def annotate(
        self, owner_id: AccountId, name: str | None, by: AccountId, values: Mapping[str, bytes | None]
    ) -> Deferred[None]:
        now = self._clock.seconds()
        settings = self._settings
        needed = [Right.LOOKUP, Right.READ]
        if any(entry.startswith(SHARED) for entry in values):
            needed.append(Right.WRITE)

        def annotate_txn(txn: Transaction) -> None:
            longest = max((len(value) for value in values.values() if value is not None), default=0)
            if longest > settings.annotation:
                raise AnnotationTooLong(settings.annotation)
            modseq = advance_txn(txn, owner_id)
            mailbox = None
            if name is not None:
                mailbox, _ = permitted_mailbox_txn(txn, owner_id, name, by, *needed)
            mailbox_id = _id_of(mailbox)
            for entry, value in values.items():
                if entry == SPECIAL_USE and mailbox is not None:
                    if by != owner_id:
                        raise NoPermission()
                    assign_uses_txn(txn, owner_id, mailbox.name, _uses(value), now)
                    continue
                key = (owner_id, mailbox_id, *_key_of(entry, by))
                if value is None:
                    txn.execute(f"DELETE FROM annotations WHERE {_KEY}", key)
                else:
                    conflict = "(account_id, mailbox_id, user_id, entry) DO UPDATE SET value = excluded.value"
                    txn.insert("annotations", _COLUMNS, [(*key, value)], on_conflict=conflict)
            count = "SELECT COUNT(*) FROM annotations WHERE account_id = ? AND mailbox_id = ? AND user_id = ?"
            for user_id in {_key_of(entry, by)[0] for entry in values}:
                if txn.value(count, (owner_id, mailbox_id, user_id)) > settings.mailbox_annotations:
                    raise TooManyAnnotations()
            named = "" if mailbox is None else mailbox.name
            log_mailboxes_txn(txn, owner_id, modseq, ANNOTATED, [(mailbox_id, named)], now)
            trim_log_txn(txn, owner_id, settings.account_changes)
            txn.announce(owner_id, modseq)

        return self._database.run("annotate", annotate_txn, (owner_id,))


def _id_of(mailbox: Mailbox | None) -> MailboxId:
    return _NO_MAILBOX if mailbox is None else mailbox.mailbox_id


def _name(user_id: int, entry: str) -> str:
    return (PRIVATE if user_id else SHARED) + entry


def _key_of(entry: str, by: AccountId) -> tuple[AccountId, str]:
    if entry.startswith(PRIVATE):
        return by, entry.removeprefix(PRIVATE)
    return _SHARED_BY_ALL, entry.removeprefix(SHARED)


def _uses(value: bytes | None) -> list[SpecialUse]:
    """The special uses that a value names, separated by spaces. Source: RFC 6154 §4."""
    known = {use.value.lower(): use for use in SpecialUse}
    words = (value or b"").decode("utf-8", "replace").lower().split()
    if not known.keys() >= set(words):
        raise UnsupportedUse()
    return [known[word] for word in words]
