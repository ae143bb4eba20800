"""Groups of accounts, in the store's own tables."""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pymailsuite.errors import AlreadyExists, NoSuchAccount, NoSuchEntry
from pymailsuite.interfaces.groups import Group, IGroupStore
from pymailsuite.store.acl import forget_grantee_txn, note_group_txn
from pymailsuite.store.database import Database
from pymailsuite.store.transaction import Transaction

T = TypeVar("T")

_GROUPS: Final = (
    "SELECT g.name, a.login_name FROM account_groups g LEFT JOIN group_members m ON m.group_id = g.group_id"
    " LEFT JOIN accounts a ON a.account_id = m.member_id"
)


def _groups_txn(txn: Transaction, where: str = "", values: Sequence[object] = ()) -> list[Group]:
    members: dict[str, list[str]] = {}
    for name, login_name in txn.rows(f"{_GROUPS}{where} ORDER BY g.name, a.login_name", values):
        there = members.setdefault(name, [])
        if login_name is not None:
            there.append(login_name)
    return [Group(name, tuple(login_names)) for name, login_names in members.items()]


def _group_txn(txn: Transaction, name: str) -> Group | None:
    found = _groups_txn(txn, " WHERE g.name = ?", (name.lower(),))
    return found[0] if found else None


@implementer(IGroupStore)
class GroupStore:
    """The tables ``account_groups`` and ``group_members``."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock

    def groups(self) -> Deferred[Sequence[Group]]:
        return self._database.read("groups", _groups_txn)

    def group(self, name: str) -> Deferred[Group | None]:
        return self._database.read("group", lambda txn: _group_txn(txn, name))

    def add_group(self, name: str) -> Deferred[Group]:
        def add_txn(txn: Transaction) -> Group:
            group_id = txn.value("UPDATE counters SET value = value + 1 WHERE name = 'group' RETURNING value")
            if not txn.execute(
                "INSERT INTO account_groups (group_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (group_id, name.lower()),
            ):
                raise AlreadyExists(f"There is a group {name.lower()} already")
            return Group(name.lower())

        return self._database.run("add group", add_txn)

    def remove_group(self, name: str) -> Deferred[None]:
        def remove_txn(txn: Transaction, group_id: int) -> None:
            forget_grantee_txn(txn, -group_id)
            txn.execute("DELETE FROM group_members WHERE group_id = ?", (group_id,))
            txn.execute("DELETE FROM account_groups WHERE group_id = ?", (group_id,))

        return self._change("remove group", name, remove_txn)

    def add_members(self, name: str, login_names: Sequence[str]) -> Deferred[Group]:
        def add_txn(txn: Transaction, group_id: int) -> Group:
            for login_name in login_names:
                row = txn.row(
                    f"SELECT account_id FROM accounts WHERE login_name = ?{txn.for_update}", (login_name.lower(),)
                )
                if row is None:
                    raise NoSuchAccount(f"No such account: {login_name.lower()}")
                txn.execute(
                    "INSERT INTO group_members (group_id, member_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (group_id, row[0]),
                )
            return _groups_txn(txn, " WHERE g.group_id = ?", (group_id,))[0]

        return self._change("add members to group", name, add_txn)

    def remove_members(self, name: str, login_names: Sequence[str]) -> Deferred[Group]:
        def remove_txn(txn: Transaction, group_id: int) -> Group:
            for login_name in login_names:
                if not txn.execute(
                    "DELETE FROM group_members WHERE group_id = ? AND member_id IN"
                    " (SELECT account_id FROM accounts WHERE login_name = ?)",
                    (group_id, login_name.lower()),
                ):
                    raise NoSuchEntry(f"{login_name.lower()} is not in the group {name.lower()}")
            return _groups_txn(txn, " WHERE g.group_id = ?", (group_id,))[0]

        return self._change("remove members from group", name, remove_txn)

    def _change(self, description: str, name: str, function: Callable[[Transaction, int], T]) -> Deferred[T]:
        """Run a function that changes a group, and tell whom it may concern."""
        now = self._clock.seconds()

        def change_txn(txn: Transaction) -> T:
            row = txn.row(f"SELECT group_id FROM account_groups WHERE name = ?{txn.for_update}", (name.lower(),))
            if row is None:
                raise NoSuchEntry(f"No such group: {name.lower()}")
            note_group_txn(txn, row[0], now)
            return function(txn, row[0])

        return self._database.run(description, change_txn)
