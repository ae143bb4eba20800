"""The text index: pieces of words, made in the background, and asked by searches.

A piece (:mod:`pymailsuite.message.words`) is about some dozens of messages of a mailbox, in the order of their UIDs.
What a UID stands for never changes, so a piece stays right: flags do not concern it, copies and moved messages have
new UIDs, and an expunged message is only one that no search asks for any more. When its octets are released, the words
of its piece are removed in the same transaction, and the piece is made again from the messages that are left. The
messages after the last piece of a mailbox are read by searches as they are, until there are enough for another piece.
So a message is indexed once, with its neighbours, and delivery writes nothing for the index.
"""

# ruff: noqa: S608
# Statements are put together from constants of this room; values always travel beside them.

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Final

from attrs import define, evolve, frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pymailsuite.interfaces.mail import Steps
from pymailsuite.interfaces.text_index import (
    IndexBounds,
    ITextIndex,
    TextField,
    TextIndexStatus,
    TextQuery,
)
from pymailsuite.message.word_pieces import (
    MESSAGES_MAX,
    PieceMaker,
    WordPiece,
    fields_of,
    pack_uids,
    those_of,
    unpack_uids,
)
from pymailsuite.message.words import FORM
from pymailsuite.store.clock import StoreClock
from pymailsuite.store.database import Database
from pymailsuite.store.indexed_texts import words_of_messages_txn
from pymailsuite.store.locks import lock_accounts_txn
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import UID_MAX, AccountId, MailboxId

_PIECES_AT_ONCE: Final = 32
"""Pieces that a search reads at once: a few MB of words."""
_PIECES_A_STEP: Final = 4
_MESSAGES_AT_ONCE: Final = 16
_ACCOUNTS_AT_ONCE: Final = 50
_DROPPED_AT_ONCE: Final = 50
_CLAIM_S: Final = 120.0
"""How long an account is another process's after it did something for it."""
_LOOK_AGAIN: Final = "CASE WHEN checked_modseq < 0 THEN checked_modseq - 1 ELSE -1 END"
"""No modseq, and another value whenever something has been removed."""
_PIECE_KEY: Final = "account_id = ? AND mailbox_id = ? AND first_uid = ?"

# --- asking


@frozen
class StoredPiece:
    """A piece as a search reads it. ``words`` are those of the fields that were asked for."""

    first_uid: int
    last_uid: int
    uids: Sequence[int]
    words: dict[TextField, bytes]


async def narrowed(
    database: Database,
    owner: AccountId,
    read_pieces_txn: Callable[[Transaction, int, Sequence[TextField]], Sequence[StoredPiece]],
    uids: Sequence[int],
    query: TextQuery,
) -> Sequence[int]:
    """Those of ``uids`` (ascending) that the index does not exclude. ``read_pieces_txn`` is :func:`pieces_txn` of the
    mailbox; the reads are for ``owner``."""
    fields = sorted(fields_of(query))
    # A view may go on while this waits.
    uids = list(uids)
    found: list[int] = []
    done = 0
    while done < len(uids):

        def narrow_txn(txn: Transaction, done: int = done) -> Steps[tuple[list[int], int]]:
            return _narrowed(read_pieces_txn(txn, uids[done], fields), uids, done, query)

        some, done = await database.read_in_steps("text index", narrow_txn, owner)
        found += some
    return found


def pieces_txn(
    txn: Transaction, account_id: AccountId, mailbox_id: MailboxId, form: str, first: int, fields: Sequence[TextField]
) -> list[StoredPiece]:
    """The next pieces that are about a UID or later ones, with the words of some fields, in one snapshot. ``form`` is
    that of the text of attachments."""
    key = (account_id, mailbox_id)
    # The last one that begins before may reach further.
    start = txn.value(
        "SELECT COALESCE(MAX(first_uid), 0) FROM text_pieces"
        " WHERE account_id = ? AND mailbox_id = ? AND first_uid <= ?",
        (*key, first),
    )
    rows = txn.rows(
        "SELECT first_uid, last_uid, form, uids FROM text_pieces WHERE account_id = ? AND mailbox_id = ?"
        f" AND first_uid >= ? ORDER BY first_uid LIMIT {_PIECES_AT_ONCE}",
        (*key, start),
    )
    pieces: dict[int, StoredPiece] = {}
    for first_uid, last_uid, its_form, uids in rows:
        # One of another form is about no message.
        is_current = its_form == FORM + form
        pieces[first_uid] = StoredPiece(first_uid, last_uid, unpack_uids(bytes(uids)) if is_current else (), {})
    if pieces:
        for first_uid, field, words in txn.rows(
            "SELECT first_uid, field, words FROM text_words WHERE account_id = ? AND mailbox_id = ?"
            f" AND first_uid BETWEEN ? AND ? AND field IN ({', '.join('?' * len(fields))})",
            (*key, min(pieces), max(pieces), *fields),
        ):
            pieces[first_uid].words[TextField(field)] = bytes(words)
    return list(pieces.values())


def _narrowed(
    pieces: Sequence[StoredPiece], uids: Sequence[int], done: int, query: TextQuery
) -> Steps[tuple[list[int], int]]:
    """What is left of ``uids`` from ``done`` on, and up to which place this was found out."""
    found: list[int] = []
    for number, piece in enumerate(pieces):
        if number % _PIECES_A_STEP == 0:
            yield
        start, stop = bisect_left(uids, piece.first_uid, done), bisect_right(uids, piece.last_uid, done)
        found += uids[done:start]
        asked = uids[start:stop]
        done = stop
        if not asked:
            continue
        indexed = piece.uids
        holding = WordPiece(piece.words, len(indexed)).holding(query)
        if not holding and len(asked) == len(indexed) and asked == list(indexed):
            continue
        excluded = frozenset(indexed).difference(those_of(indexed, holding))
        found += [uid for uid in asked if uid not in excluded]
    if len(pieces) < _PIECES_AT_ONCE:
        found += uids[done:]
        done = len(uids)
    return found, done


# --- what is to be indexed


@define
class _Range:
    """Messages to be indexed: of a mailbox, from one UID to another. ``is_new``: they came after its last piece, and
    what does not fill a piece is left."""

    mailbox_id: MailboxId
    first: int
    last: int
    is_new: bool


@frozen
class _Work:
    """What is to be done for an account, as it stood at a modseq. ``gone`` are mailboxes whose pieces are to go."""

    account_id: AccountId
    modseq: int
    checked_modseq: int
    """What was noted when this was found out: by another value something has been removed since."""
    ranges: deque[_Range]
    gone: Sequence[MailboxId]

    @property
    def is_done(self) -> bool:
        return not self.ranges and not self.gone


def _next_work_txn(txn: Transaction, after: int, now: float, piece_messages: int, form: str) -> list[_Work]:
    """The next accounts to which something has happened, after an id."""
    rows = txn.rows(
        "SELECT s.account_id, s.modseq, COALESCE(t.checked_modseq, -1) FROM account_state s"
        " LEFT JOIN text_accounts t ON t.account_id = s.account_id"
        " WHERE s.account_id > ? AND s.removed_at IS NULL AND (t.account_id IS NULL OR (t.dropped = 0"
        " AND t.checked_modseq <> s.modseq AND t.claimed_until <= ?))"
        f" ORDER BY s.account_id LIMIT {_ACCOUNTS_AT_ONCE}",
        (after, now),
    )
    return [_work_txn(txn, account_id, modseq, checked, piece_messages, form) for account_id, modseq, checked in rows]


def _work_txn(
    txn: Transaction, account_id: AccountId, modseq: int, checked_modseq: int, piece_messages: int, form: str
) -> _Work:
    ranges: deque[_Range] = deque()
    mailboxes = txn.rows("SELECT mailbox_id, uid_next, messages FROM mailboxes WHERE account_id = ?", (account_id,))
    pieces = txn.rows(
        "SELECT mailbox_id, first_uid, last_uid, form FROM text_pieces WHERE account_id = ?"
        " ORDER BY mailbox_id, first_uid",
        (account_id,),
    )
    pieces_of = {mailbox_id: list(group) for mailbox_id, group in groupby(pieces, itemgetter(0))}
    for mailbox_id, uid_next, messages in mailboxes:
        there = pieces_of.pop(mailbox_id, [])
        # Neighbours are made again together, as there are fewer messages than there were.
        for is_current, group in groupby(there, lambda row: row[3] == form):
            if not is_current:
                stale = list(group)
                ranges.append(_Range(mailbox_id, stale[0][1], stale[-1][2], is_new=False))
        last = there[-1][2] if there else 0
        if min(messages, uid_next - 1 - last) < piece_messages:
            continue
        if len(_uids_txn(txn, (account_id, mailbox_id), last + 1, UID_MAX, piece_messages)) == piece_messages:
            ranges.append(_Range(mailbox_id, last + 1, UID_MAX, is_new=True))
    return _Work(account_id, modseq, checked_modseq, ranges, sorted(pieces_of))


def _uids_txn(txn: Transaction, key: Row, first: int, last: int, count: int) -> list[int]:
    """The next UIDs of a mailbox, by account and number."""
    rows = txn.rows(
        "SELECT uid FROM messages WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid LIMIT ?",
        (*key, first, last, count),
    )
    return [uid for (uid,) in rows]


def _checked_txn(txn: Transaction, works: Sequence[_Work]) -> None:
    """Note that accounts have been looked through, and are no process's any more."""
    txn.execute_many(
        "INSERT INTO text_accounts (account_id, checked_modseq, dropped, claimed_until) VALUES (?, -1, 0, 0)"
        " ON CONFLICT (account_id) DO UPDATE SET claimed_until = 0",
        [(work.account_id,) for work in works],
    )
    txn.execute_many(
        "UPDATE text_accounts SET checked_modseq = ? WHERE account_id = ? AND checked_modseq = ?",
        [(work.modseq, work.account_id, work.checked_modseq) for work in works],
    )


def _claim_txn(txn: Transaction, account_id: AccountId, now: float) -> bool:
    """Take an account, unless another process has it, or its index is not wanted."""
    claimed = txn.row(
        "INSERT INTO text_accounts (account_id, checked_modseq, dropped, claimed_until) VALUES (?, -1, 0, ?)"
        " ON CONFLICT (account_id) DO UPDATE SET claimed_until = excluded.claimed_until"
        " WHERE text_accounts.claimed_until <= ? AND text_accounts.dropped = 0 RETURNING account_id",
        (account_id, now + _CLAIM_S, now),
    )
    return claimed is not None


# --- making


def _store_txn(
    txn: Transaction,
    account_id: AccountId,
    mailbox_id: MailboxId,
    covered: tuple[int, int],
    messages: int,
    uids: Sequence[int],
    fields: Sequence[tuple[TextField, bytes]],
    form: str,
    claimed_until: float,
) -> bool:
    """Store a piece that covers UIDs from and up to, among which there were so many messages, in place of those of
    other forms; it is about ``uids``. False if others were faster: messages have gone, or the piece is there."""
    lock_accounts_txn(txn, (account_id,))
    first, last = covered
    where, key = "account_id = ? AND mailbox_id = ?", (account_id, mailbox_id)
    wanted = txn.execute(
        "UPDATE text_accounts SET claimed_until = ? WHERE account_id = ? AND dropped = 0", (claimed_until, account_id)
    )
    there = txn.value(f"SELECT COUNT(*) FROM messages WHERE {where} AND uid BETWEEN ? AND ?", (*key, first, last))
    overlapping = txn.rows(
        f"SELECT first_uid, form FROM text_pieces WHERE {where} AND first_uid <= ? AND last_uid >= ?",
        (*key, last, first),
    )
    if not wanted or there != messages or any(other == form for _, other in overlapping):
        return False
    _remove_txn(txn, [(*key, first_uid) for first_uid, _ in overlapping])
    if not uids:
        return True
    octets = sum(len(words) for _, words in fields)
    txn.insert(
        "text_pieces",
        "account_id, mailbox_id, first_uid, last_uid, messages, octets, form, uids",
        [(*key, first, last, len(uids), octets, form, pack_uids(uids))],
    )
    txn.insert(
        "text_words",
        "account_id, mailbox_id, first_uid, field, words",
        [(*key, first, int(field), words) for field, words in fields],
    )
    return True


def _remove_txn(txn: Transaction, keys: Sequence[Row]) -> None:
    for table in ("text_words", "text_pieces"):
        txn.execute_many(f"DELETE FROM {table} WHERE {_PIECE_KEY}", keys)


# --- removing


def forget_texts_txn(txn: Transaction, gone: Sequence[Row]) -> None:
    """Remove the words of messages whose octets are released: rows of account, mailbox, UID. The accounts are locked.

    Their pieces are made again from what is left."""
    stale: list[Row] = []
    for key, rows in groupby(sorted({row[:3] for row in gone}), itemgetter(0, 1)):
        reached = 0
        for _, _, uid in rows:
            if uid <= reached:
                continue
            piece = txn.row(
                "SELECT first_uid, last_uid FROM text_pieces WHERE account_id = ? AND mailbox_id = ?"
                " AND first_uid <= ? ORDER BY first_uid DESC LIMIT 1",
                (*key, uid),
            )
            if piece is not None and piece[1] >= uid:
                stale.append((*key, piece[0]))
                reached = piece[1]
    txn.execute_many(f"DELETE FROM text_words WHERE {_PIECE_KEY}", stale)
    txn.execute_many(
        f"UPDATE text_pieces SET form = '', messages = 0, octets = 0, uids = ? WHERE {_PIECE_KEY}",
        [(b"", *key) for key in stale],
    )
    txn.execute_many(
        f"UPDATE text_accounts SET checked_modseq = {_LOOK_AGAIN} WHERE account_id = ?",
        sorted({(key[0],) for key in stale}),
    )


def index_anew_txn(txn: Transaction) -> None:
    """Have all pieces made again, and believe none of them until then: the structure of messages has changed."""
    txn.execute("UPDATE text_pieces SET form = ''")
    txn.execute(f"UPDATE text_accounts SET checked_modseq = {_LOOK_AGAIN}")


def drop_pieces_txn(txn: Transaction, where: str = "1 = 1", values: Sequence[object] = ()) -> int:
    """Remove some pieces that meet a condition; how many, 0 if there are none left."""
    keys = txn.rows(
        f"SELECT account_id, mailbox_id, first_uid FROM text_pieces WHERE {where} LIMIT {_DROPPED_AT_ONCE}", values
    )
    _remove_txn(txn, keys)
    return len(keys)


# --- the ability


@implementer(ITextIndex)
class TextIndex:
    """The text index of the store. ``lease_clock`` is common to all processes."""

    def __init__(self, database: Database, lease_clock: StoreClock) -> None:
        self._database = database
        self._lease_clock = lease_clock
        self._waiting: deque[_Work] = deque()
        self._under_way: _Work | None = None
        self._after = 0

    def index_some(self, bounds: IndexBounds) -> Deferred[int | None]:
        return Deferred.fromCoroutine(self._index_some(bounds))

    async def _index_some(self, bounds: IndexBounds) -> int | None:
        if self._under_way is None:
            return await self._begin(bounds)
        work = self._under_way
        if work.gone:
            await self._drop_mailbox(work)
            return 0
        if not work.ranges:
            self._under_way = None
            await self._database.run("text index checked", lambda txn: _checked_txn(txn, [work]), lasting=False)
            return 0
        try:
            made = await self._make(work.account_id, work.ranges[0], bounds)
        except BaseException:
            # Whatever was wrong with it, the others are not to wait for it: it is looked at again in another round.
            self._under_way = None
            raise
        if made is None:
            work.ranges.popleft()
            return 0
        return made

    async def _begin(self, bounds: IndexBounds) -> int | None:
        """Go on to the next account; None after the last one, and if there is no room."""
        now = self._lease_clock.seconds()
        if not self._waiting:
            after, messages = self._after, min(bounds.piece_messages, MESSAGES_MAX)
            form = FORM + bounds.extraction.form
            works = await self._database.read(
                "text to index", lambda txn: _next_work_txn(txn, after, now, messages, form)
            )
            if not works:
                # Something may have happened to those before.
                self._after = 0
                return 0 if after else None
            self._after = works[-1].account_id
            done = [work for work in works if work.is_done]
            if done:
                await self._database.run("text index checked", lambda txn: _checked_txn(txn, done), lasting=False)
            self._waiting += [work for work in works if not work.is_done]
            return 0
        octets = await self._database.read("size of text index", _size_txn)
        if octets >= bounds.octets_max:
            self._waiting.clear()
            self._after = 0
            return None
        work = self._waiting.popleft()
        account_id = work.account_id
        if await self._database.run("claim text index", lambda txn: _claim_txn(txn, account_id, now), lasting=False):
            self._under_way = work
        return 0

    async def _drop_mailbox(self, work: _Work) -> None:
        for mailbox_id in work.gone:
            where = "account_id = ? AND mailbox_id = ?"
            await self._drop_all(where, (work.account_id, mailbox_id))
        self._under_way = evolve(work, gone=())

    async def _make(self, account_id: AccountId, wanted: _Range, bounds: IndexBounds) -> int | None:
        """Make the next piece of a range; how many messages it took, None at the end of the range."""
        key, size = (account_id, wanted.mailbox_id), min(bounds.piece_messages, MESSAGES_MAX)
        uids = await self._database.read(
            "text to index", lambda txn: _uids_txn(txn, key, wanted.first, wanted.last, size)
        )
        is_last = len(uids) < size
        if is_last and wanted.is_new:
            return None
        last = uids[-1] if uids else wanted.last
        maker, taken = PieceMaker(), 0
        while uids:
            some, read_to = await self._database.read_in_steps(
                "text to index",
                partial(
                    words_of_messages_txn,
                    account_id=account_id,
                    mailbox_id=wanted.mailbox_id,
                    uids=uids[:_MESSAGES_AT_ONCE],
                    bounds=bounds,
                ),
            )
            for uid, words in some:
                if words is not None:
                    maker.add(uid, *words)
            taken += len(some)
            uids = uids[bisect_right(uids, read_to) if read_to is not None else _MESSAGES_AT_ONCE :]
        fields = await self._database.read_in_steps("make text index", lambda _: maker.fields())
        upto = wanted.last if is_last else last
        storing = partial(
            _store_txn,
            account_id=account_id,
            mailbox_id=wanted.mailbox_id,
            covered=(wanted.first, upto),
            messages=taken,
            uids=maker.uids,
            fields=fields,
            form=FORM + bounds.extraction.form,
            claimed_until=self._lease_clock.seconds() + _CLAIM_S,
        )
        stored = await self._database.run("store text index", storing, (account_id,), lasting=False)
        if not stored:
            # The next round sees what has become of it.
            return None
        wanted.first = upto + 1
        return None if is_last else taken

    def status(self, account_id: AccountId | None = None) -> Deferred[TextIndexStatus]:
        def status_txn(txn: Transaction) -> TextIndexStatus:
            where, values = ("", ()) if account_id is None else (" WHERE account_id = ?", (account_id,))
            messages, accounts = txn.row(
                f"SELECT COALESCE(SUM(messages), 0), COUNT(DISTINCT account_id) FROM mailboxes{where}", values
            ) or (0, 0)
            indexed, pieces, octets = txn.row(
                f"SELECT COALESCE(SUM(messages), 0), COUNT(*), COALESCE(SUM(octets), 0) FROM text_pieces{where}", values
            ) or (0, 0, 0)
            dropped = txn.value(f"SELECT COALESCE(SUM(dropped), 0) FROM text_accounts{where}", values)
            return TextIndexStatus(int(accounts), int(dropped), int(messages), int(indexed), int(pieces), int(octets))

        return self._database.read("status of text index", status_txn)

    def drop(self, account_id: AccountId | None = None) -> Deferred[int]:
        return Deferred.fromCoroutine(self._anew(account_id, dropped=1))

    def rebuild(self, account_id: AccountId | None = None) -> Deferred[int]:
        return Deferred.fromCoroutine(self._anew(account_id, dropped=0))

    async def _anew(self, account_id: AccountId | None, dropped: int) -> int:
        where, values = ("1 = 1", ()) if account_id is None else ("account_id = ?", (account_id,))

        def mark_txn(txn: Transaction) -> None:
            txn.execute(
                "INSERT INTO text_accounts (account_id, checked_modseq, dropped, claimed_until)"
                f" SELECT account_id, -1, {dropped}, 0 FROM account_state WHERE {where}"
                f" ON CONFLICT (account_id) DO UPDATE SET"
                f" checked_modseq = {_LOOK_AGAIN.replace('checked', 'text_accounts.checked')}, dropped = {dropped}",
                values,
            )

        await self._database.run("mark text index", mark_txn)
        return await self._drop_all(where, values)

    async def _drop_all(self, where: str, values: Sequence[object]) -> int:
        number = 0
        while some := await self._database.run("drop text index", lambda txn: drop_pieces_txn(txn, where, values)):
            number += some
        return number


def _size_txn(txn: Transaction) -> int:
    return int(txn.value("SELECT COALESCE(SUM(octets), 0) FROM text_pieces"))
