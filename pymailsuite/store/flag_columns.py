"""The flags of many messages, read as few long texts instead of many rows.

A row of four columns costs Python five objects, and the database a call for each value. Where the database joins a
column to one text, in its own code, and Python takes the text apart in few calls, that costs half as much.
"""

from __future__ import annotations

import json
from array import array
from typing import Final

from pymailsuite.interfaces.flag_rows import FlagRows
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import AccountId, MailboxId

MANY: Final = 256
"""Messages below which rows are as quick."""

_PIECE: Final = 16_384
"""Messages of one text, whose length thus stays bounded."""

_MESSAGES: Final = "FROM messages WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ?"
# Keywords hold spaces, and no line ends; the other columns are numbers.
_COLUMNS: Final = (("uid", ","), ("system_flags", ","), ("keywords", "\n"), ("modseq", ","))


def flag_columns_txn(txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, low: int, high: int) -> FlagRows:
    """Those of the messages of a range of UIDs that exist."""
    uids, modseqs, numbers = array("I"), array("Q"), list[int]()
    combinations: dict[tuple[str, str], int] = {}
    joined = ", ".join([txn.join_text.format(*column) for column in _COLUMNS])
    while low <= high:
        next_piece = txn.row(
            f"SELECT uid {_MESSAGES} ORDER BY uid LIMIT 1 OFFSET {_PIECE}", (account_id, mailbox_id, low, high)
        )
        last = high if next_piece is None else next_piece[0] - 1
        row = txn.row(f"SELECT {joined} {_MESSAGES}", (account_id, mailbox_id, low, last))
        if row is not None and row[0] is not None:
            some_uids, some_flags, some_keywords, some_modseqs = row
            # What makes numbers of a text in the fewest steps.
            uids.extend(json.loads(f"[{some_uids}]"))
            modseqs.extend(json.loads(f"[{some_modseqs}]"))
            numbers += _numbers(some_flags.split(","), some_keywords, combinations)
        low = last + 1
    return FlagRows(uids, [(int(flags), keywords) for flags, keywords in combinations], numbers, modseqs)


def _numbers(flags: list[str], keywords: str, combinations: dict[tuple[str, str], int]) -> list[int]:
    """The number of each message's combination; new ones are added."""
    if len(keywords) == len(flags) - 1:
        # Nothing but separators.
        bare = {one: combinations.setdefault((one, ""), len(combinations)) for one in set(flags)}
        return list(map(bare.__getitem__, flags))
    pairs = list(zip(flags, keywords.split("\n"), strict=True))
    for pair in set(pairs):
        combinations.setdefault(pair, len(combinations))
    return list(map(combinations.__getitem__, pairs))
