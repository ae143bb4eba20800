"""Restores messages of a set to a store in use: an account's, or a mailbox's. Nothing is removed or duplicated.

A message exists already if its mailbox has one with the same octets and the same internal date. Others come back as new
messages, with new UIDs; octets that the store still has are not stored again.

Files are read where this is called: it is for commands, not for a server.
"""

# ruff: noqa: S608
# Statements are put together from the schema's own names; values always travel beside them.

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from attrs import define, frozen

from pymailsuite.errors import NoSuchAccount, NoSuchMailbox, StoreUnavailable
from pymailsuite.interfaces.directory import Account, IDirectoryStore
from pymailsuite.interfaces.overrides import RecipientOverrides
from pymailsuite.interfaces.store import RestoredMail
from pymailsuite.store.database import Database
from pymailsuite.store.mailboxes import (
    advance_txn,
    arrive_txn,
    canonical,
    create_mailbox_txn,
    find_mailbox_txn,
    subscribe_txn,
)
from pymailsuite.store.message_keys import fill_anew_txn
from pymailsuite.store.messages import MESSAGE_COLUMNS
from pymailsuite.store.moving.backup_set import BackupSet
from pymailsuite.store.moving.pack_file import BackupFault, Place
from pymailsuite.store.moving.source import CHUNKS, CONTENTS, GROUP_OCTETS
from pymailsuite.store.quota import quota_in
from pymailsuite.store.tables import Table
from pymailsuite.store.transaction import Row, Transaction
from pymailsuite.values import MAX_CHUNK, AccountId, ContentId, MailboxId, ModSeq, SystemFlag

_ROWS_AT_ONCE = 1000
_MESSAGES_AT_ONCE = 100


@frozen
class _Lost:
    """A message of the set that the store lacks."""

    mailbox: str
    flags: int
    keywords: str
    content_id: int
    size: int
    internal_date: float
    prefix: bytes
    extra_octets: int | None


class MailRestore:
    """Brings messages of ``backup`` into a store. ``next_id`` makes content ids, ``now`` tells the time."""

    def __init__(
        self,
        database: Database,
        directory: IDirectoryStore,
        backup: BackupSet,
        next_id: Callable[[], ContentId],
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._directory = directory
        self._backup = backup
        self._tables = backup.tables()
        self._next_id = next_id
        self._now = now

    async def restore(self, login_name: str, mailbox: str | None, to: str | None, dry_run: bool) -> RestoredMail:
        """An account's mail, or one mailbox's, into that account or into another that is there (``to``).

        NoSuchAccount if the set has no such account or the store none to take the mail; NoSuchMailbox. An account that
        has been removed is made again, with the password it had.
        """
        login_name = login_name.lower()
        account = self._row("accounts", "login_name", login_name)
        if account is None:
            raise NoSuchAccount(f"No account {login_name} in {self._backup.path}")
        names = self._mailboxes(account["account_id"], mailbox)
        messages = self._messages(account["account_id"], names)
        digests = self._digests({message.content_id for message in messages})
        target: Account | None = await self._directory.account((to or login_name).lower())
        returned = RestoredMail((to or login_name).lower())
        if target is None and to is not None:
            raise NoSuchAccount(f"No account {to}")
        if target is None:
            returned.account_made = True
            if dry_run:
                returned.messages = dict(Counter(message.mailbox for message in messages))
                return returned
            target = await self._make_account(account)
        lost = await self._lost(target.account_id, names.values(), messages, digests, returned)
        if not dry_run:
            for name in sorted(set(names.values())):
                await self._make_mailbox(target.account_id, name)
            await self._store(target.account_id, lost, digests, returned)
        return returned

    # --- messages of the set

    def _rows(self, table: Table) -> Iterator[dict[str, Any]]:
        names = table.column_names
        return (dict(zip(names, row, strict=True)) for row in self._backup.rows(table))

    def _row(self, table: str, column: str, value: object) -> Mapping[str, Any] | None:
        return next((row for row in self._rows(self._tables[table]) if row[column] == value), None)

    def _mailboxes(self, account_id: object, wanted: str | None) -> dict[int, str]:
        """Names by id of those that hold messages."""
        found = {
            row["mailbox_id"]: row["name"]
            for row in self._rows(self._tables["mailboxes"])
            if row["account_id"] == account_id and row["selectable"]
        }
        names = {mailbox_id: name for mailbox_id, name in found.items() if wanted is None or name == canonical(wanted)}
        if not names:
            raise NoSuchMailbox(f"No mailbox {wanted} in {self._backup.path}")
        return names

    def _messages(self, account_id: object, names: Mapping[int, str]) -> list[_Lost]:
        found = []
        for row in self._rows(self._tables["messages"]):
            if row["account_id"] == account_id and row["mailbox_id"] in names:
                found.append(
                    _Lost(
                        names[row["mailbox_id"]],
                        # Otherwise the next expunge would remove it again.
                        row["system_flags"] & ~int(SystemFlag.DELETED),
                        row["keywords"],
                        row["content_id"],
                        row["size"],
                        row["internal_date"],
                        row["prefix"],
                        # A backup may be older than the column.
                        row.get("extra_octets"),
                    )
                )
        return found

    def _digests(self, content_ids: set[int]) -> dict[int, bytes]:
        table = self._tables[CONTENTS]
        place, digest = table.column_names.index("content_id"), table.column_names.index("digest")
        return {row[place]: row[digest] for row in self._backup.rows(table) if row[place] in content_ids}

    # --- messages of the store

    async def _lost(
        self,
        account_id: AccountId,
        names: Collection[str],
        messages: Sequence[_Lost],
        digests: Mapping[int, bytes],
        returned: RestoredMail,
    ) -> list[_Lost]:
        """The messages that are not in their former mailbox any more."""
        there = {name: await self._there(account_id, name) for name in set(names)}
        lost = []
        for message in messages:
            if message.content_id not in digests:
                raise BackupFault(f"{self._backup.path}: content {message.content_id} is not in it")
            like = likeness(digests[message.content_id], message.internal_date, message.prefix)
            if there[message.mailbox][like]:
                there[message.mailbox][like] -= 1
                returned.there += 1
            else:
                lost.append(message)
                returned.messages[message.mailbox] = returned.messages.get(message.mailbox, 0) + 1
                returned.octets += message.size
        return lost

    async def _there(self, account_id: AccountId, name: str) -> Counter[bytes]:
        """The number of messages of each likeness in a mailbox."""
        found: Counter[bytes] = Counter()
        after = 0

        def read_txn(txn: Transaction) -> list[Row]:
            mailbox = find_mailbox_txn(txn, account_id, name)
            if mailbox is None:
                return []
            return txn.rows(
                "SELECT m.uid, c.digest, m.internal_date, m.prefix FROM messages m"
                " JOIN contents c ON c.content_id = m.content_id WHERE m.account_id = ? AND m.mailbox_id = ?"
                f" AND m.uid > ? ORDER BY m.uid LIMIT {_ROWS_AT_ONCE}",
                (account_id, mailbox.mailbox_id, after),
            )

        while rows := await self._database.read("read messages", read_txn):
            found.update(likeness(bytes(digest), date, bytes(prefix)) for _, digest, date, prefix in rows)
            after = rows[-1][0]
        return found

    # --- restoring

    async def _make_account(self, row: Mapping[str, Any]) -> Account:
        if await self._directory.domain(row["domain"]) is None:
            await self._directory.add_domain(row["domain"])
        name = row["login_name"]
        account: Account = await self._directory.add_account(
            name, row["password_hash"], row["full_name"], bool(row.get("shared"))
        )
        # A backup may be older than the columns.
        if scram_keys := row.get("scram_keys"):
            await self._directory.keep_scram_keys(account.account_id, row["password_hash"], scram_keys)
        if overrides := row.get("overrides"):
            wanted = RecipientOverrides.model_validate_json(overrides)
            account = await self._directory.change_account_overrides(name, lambda none: wanted)
        if quota := row.get("quota"):
            account = await self._directory.change_account_quota(name, lambda none: quota_in(quota))
        return account

    async def _make_mailbox(self, account_id: AccountId, name: str) -> None:
        now = self._now()

        def make_txn(txn: Transaction) -> None:
            mailbox = find_mailbox_txn(txn, account_id, name)
            if mailbox is None or not mailbox.selectable:
                create_mailbox_txn(txn, account_id, name, (), now)
                subscribe_txn(txn, account_id, [name], advance_txn(txn, account_id), now)

        await self._database.run("make mailbox", make_txn)

    async def _store(
        self, account_id: AccountId, lost: Sequence[_Lost], digests: Mapping[int, bytes], returned: RestoredMail
    ) -> None:
        """In the order of content ids, which is that in which messages came and that of the set's files."""
        by_content: dict[int, list[_Lost]] = {}
        for message in lost:
            by_content.setdefault(message.content_id, []).append(message)
        batch: list[_Content] = []
        for content in self._contents(by_content):
            batch.append(content)
            if len(batch) >= _MESSAGES_AT_ONCE or sum(one.place.size for one in batch) >= GROUP_OCTETS:
                await self._store_batch(account_id, batch)
                batch = []
        if batch:
            await self._store_batch(account_id, batch)
        # The set may be older than the data now derived from octets.
        await self._database.run("fill anew", fill_anew_txn)

    def _contents(self, by_content: Mapping[int, list[_Lost]]) -> Iterator[_Content]:
        """Rows and places of the contents wanted: both files are in the order of ids."""
        table = self._tables[CONTENTS]
        number = table.column_names.index("content_id")
        places = self._backup.places()
        for row in self._backup.rows(table):
            if row[number] in by_content:
                place = next((place for place in places if place.content_id >= row[number]), None)
                if place is None or place.content_id != row[number]:
                    raise BackupFault(f"{self._backup.path}: the octets of content {row[number]} are not in it")
                yield _Content(dict(zip(table.column_names, row, strict=True)), place, by_content[row[number]])

    async def _store_batch(self, account_id: AccountId, batch: Sequence[_Content]) -> None:
        octets = []
        for content in batch:
            text = b""
            if not await self._database.read("look for content", content.is_there_txn):
                if content.place.size > MAX_CHUNK:
                    await self._stage(content)
                else:
                    text = b"".join(self._backup.octets(content.place))
            octets.append(text)
        now = self._now()
        spare = [self._next_id() for _ in batch]

        def store_txn(txn: Transaction) -> None:
            modseq = advance_txn(txn, account_id)
            arriving: dict[str, list[tuple[_Lost, int]]] = {}
            for content, new_id, text in zip(batch, spare, octets, strict=True):
                content_id = content.refer_txn(txn, new_id, text)
                for message in content.messages:
                    arriving.setdefault(message.mailbox, []).append((message, content_id))
            for name, messages in arriving.items():
                mailbox = find_mailbox_txn(txn, account_id, name)
                if mailbox is None:
                    raise NoSuchMailbox(f"Mailbox {name} went away")
                _insert_messages_txn(txn, account_id, mailbox.mailbox_id, modseq, messages, now)
            txn.announce(account_id, modseq)

        await self._database.run("bring messages back", store_txn)

    async def _stage(self, content: _Content) -> None:
        """Store the octets of a long message chunk by chunk, so that no other writer waits long; if this is
        interrupted, a sweep drops the chunks."""
        content.staged_as = staged_as = self._next_id()
        now = self._now()

        def begin_txn(txn: Transaction) -> None:
            txn.execute("INSERT INTO staged_contents (content_id, created_at) VALUES (?, ?)", (staged_as, now))

        await self._database.run("stage", begin_txn)
        for number, piece in enumerate(self._backup.octets(content.place)):
            chunk = (staged_as, number * MAX_CHUNK, piece)

            def chunk_txn(txn: Transaction, chunk: tuple[int, int, bytes] = chunk) -> None:
                txn.insert(CHUNKS, "content_id, position, octets", [chunk])

            await self._database.run("stage chunk", chunk_txn)


@define
class _Content:
    """Octets of the set, and the messages that need them."""

    row: dict[str, Any]
    place: Place
    messages: list[_Lost]
    staged_as: ContentId | None = None

    def is_there_txn(self, txn: Transaction) -> bool:
        """Whether the store still has it."""
        sql = f"SELECT 1 FROM {CONTENTS} WHERE content_id = ? AND digest = ? AND refs > 0"
        return txn.row(sql, (self.place.content_id, self.row["digest"])) is not None

    def refer_txn(self, txn: Transaction, new_id: ContentId, octets: bytes) -> int:
        """Count the references to it, and store it first if it is not there; the id it is there by."""
        known = self.place.content_id
        if self.staged_as is not None:
            txn.execute("DELETE FROM staged_contents WHERE content_id = ?", (self.staged_as,))
            return self._insert_txn(txn, self.staged_as)
        if txn.execute(
            f"UPDATE {CONTENTS} SET refs = refs + ? WHERE content_id = ? AND digest = ? AND refs > 0",
            (len(self.messages), known, self.row["digest"]),
        ):
            return known
        if len(octets) < self.place.size:
            raise StoreUnavailable(f"Content {known} was dropped meanwhile; run the command again")
        # A content that a sweep is about to drop, or, from a backup of another store, an unrelated one.
        is_taken = txn.row(f"SELECT 1 FROM {CONTENTS} WHERE content_id = ?", (known,)) is not None
        content_id = self._insert_txn(txn, new_id if is_taken else known)
        if octets:
            txn.insert(CHUNKS, "content_id, position, octets", [(content_id, 0, octets)])
        return content_id

    def _insert_txn(self, txn: Transaction, content_id: int) -> int:
        row = {**self.row, "content_id": content_id, "refs": len(self.messages)}
        txn.insert(CONTENTS, ", ".join(row), [tuple(row.values())])
        return content_id


def likeness(digest: bytes, internal_date: float, prefix: bytes) -> bytes:
    """The value that two messages share if they are the same."""
    return blake2b(digest + repr(float(internal_date)).encode() + b"\0" + prefix, digest_size=16).digest()


def _insert_messages_txn(
    txn: Transaction,
    account_id: AccountId,
    mailbox_id: MailboxId,
    modseq: ModSeq,
    messages: Sequence[tuple[_Lost, int]],
    now: float,
) -> None:
    sizes = [(message.flags, message.size) for message, _ in messages]
    arrivals = arrive_txn(txn, account_id, mailbox_id, modseq, sizes)
    if arrivals is None:
        raise NoSuchMailbox(f"Mailbox {mailbox_id} went away")
    txn.insert(
        "messages",
        MESSAGE_COLUMNS,
        [
            (
                *(account_id, mailbox_id, uid, message.flags, message.keywords, modseq, content_id, message.size),
                *(message.internal_date, now, message.prefix, message.extra_octets),
            )
            for uid, (message, content_id) in enumerate(messages, arrivals.first_uid)
        ],
    )
