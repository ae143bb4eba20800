"""UID sets as conditions: one query a range, or one for many small ranges, in ascending order."""

from __future__ import annotations

from collections.abc import Iterator

from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import UidSet

_SHORT = 8
_LIST_LIMIT = 512


def conditions(uids: UidSet, column: str = "uid") -> Iterator[tuple[str, list[int]]]:
    """SQL conditions with their values that together cover ``uids``, ascending and disjoint.

    Ranges are scans of the clustered key; scattered UIDs are looked up by lists, whose lengths are powers of two so
    that few statements serve all.
    """
    scattered: list[int] = []
    for low, high in uids.ranges:
        if high - low < _SHORT and len(scattered) + high - low < _LIST_LIMIT:
            scattered.extend(range(low, high + 1))
            continue
        if scattered:
            yield _in_list(scattered, column)
            scattered = []
        if high - low < _SHORT:
            scattered.extend(range(low, high + 1))
        else:
            yield f"{column} BETWEEN ? AND ?", [low, high]
    if scattered:
        yield _in_list(scattered, column)


def _in_list(numbers: list[int], column: str) -> tuple[str, list[int]]:
    length = 1 << (len(numbers) - 1).bit_length()
    return f"{column} IN ({', '.join('?' * length)})", numbers + numbers[-1:] * (length - len(numbers))


def rows_of_txn(
    txn: Transaction, select: str, account_id: int, mailbox_id: int, uids: UidSet, also: str = "", prefix: str = ""
) -> list[Row]:
    """Rows of ``select`` (text up to WHERE) for those of ``uids`` that exist, by ascending UID."""
    rows: list[Row] = []
    for condition, values in conditions(uids, f"{prefix}uid"):
        rows += txn.rows(
            f"{select} WHERE {prefix}account_id = ? AND {prefix}mailbox_id = ? AND {condition}{also}"
            f" ORDER BY {prefix}uid",
            [account_id, mailbox_id, *values],
        )
    return rows
