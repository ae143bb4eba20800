"""How fast the store is, without any protocol in front: accepting, FETCH's rows, SELECT, flags, copies.

    python -m benchmarks.store [--clients 10] [--seconds 3] [--accounts 10] [--messages 10000] [--page-size 4096]
                               [--store-url postgresql://... | pgserver]

Clients are closed loops in one reactor: each sends its next message when the last one is on the disk.
"""

from __future__ import annotations

import argparse
import atexit
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from pymailsuite.config.sections.store import StoreSection
from pymailsuite.interfaces import Acceptance, Account, Column, Delivery
from pymailsuite.store import MailStore, mail_store
from pymailsuite.store.engines.base import Connection
from pymailsuite.store.mail_store import open_engine
from pymailsuite.values import ALL_UIDS, FlagChange, Flags, SystemFlag, UidSet

MESSAGE = (
    b"Received: from client.example.org ([192.0.2.1]) by mail.example.org with ESMTP id 0123456789AB;"
    b" Sun, 22 Nov 2026 03:00:00 +0000\r\n"
    b"From: Ann Example <ann@example.org>\r\nTo: Bob Example <bob@example.org>\r\n"
    b"Date: Sun, 22 Nov 2026 03:00:00 +0000\r\nSubject: The quick brown fox\r\n"
    b"Message-ID: <20261122030000.0123456789@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
) + b"The quick brown fox jumps over the lazy dog, and then does it again.\r\n" * 55
PREFIX = b"Return-Path: <ann@example.org>\r\nDelivered-To: bob@example.org\r\n"

commits = 0


def _count_commits(settings: StoreSection) -> None:
    connection = open_engine(settings.url, settings).connect()
    connection.close()
    kind: Any = type(connection)
    plain = kind.commit

    def commit(self: Connection) -> None:
        global commits  # noqa: PLW0603
        commits += 1
        plain(self)

    kind.commit = commit


async def accept_once(store: MailStore, account: Account) -> None:
    writer = store.new_content()
    writer.write(MESSAGE)
    content = await writer.finish()
    delivery = Delivery(account.account_id, PREFIX)
    await store.queue.accept(Acceptance(content, (delivery,)))


async def timed(name: str, times: int, function: Callable[[], Awaitable[Any]]) -> None:
    started = time.perf_counter()
    for _ in range(times):
        await function()
    print(f"{name:<46} {(time.perf_counter() - started) / times * 1000:8.2f} ms", flush=True)


async def accepting(store: MailStore, accounts: list[Account], clients: int, seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    accepted = 0

    async def client(number: int) -> None:
        nonlocal accepted
        while time.perf_counter() < deadline:
            await accept_once(store, accounts[(number + accepted) % len(accounts)])
            accepted += 1

    commits_before, started, cpu = commits, time.perf_counter(), time.process_time()
    await gatherResults([Deferred.fromCoroutine(client(number)) for number in range(clients)])
    duration, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(
        f"accept, {clients:>3} clients {accepted / duration:10.0f} /s  {cpu / accepted * 1e6:6.0f} us CPU"
        f"  {(commits - commits_before) / accepted:6.3f} commits a message",
        flush=True,
    )


async def main(_: Any, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        url = arguments.store_url or f"sqlite:///{folder}/store.sqlite"
        settings = StoreSection(url=url, sqlite_page_size=arguments.page_size)
        _count_commits(settings)
        store = mail_store(settings, reactor)
        await store.open()
        await store.directory.add_domain("example.org")
        accounts = [
            await store.directory.add_account(f"user{number}@example.org", "", "")
            for number in range(arguments.accounts)
        ]
        for clients in (1, arguments.clients, 5 * arguments.clients):
            await accepting(store, accounts, clients, arguments.seconds)
        reader = await store.directory.add_account("reader@example.org", "", "")
        for _ in range(arguments.messages // 100):
            await gatherResults([Deferred.fromCoroutine(accept_once(store, reader)) for _ in range(100)])
        mail = store.account_mail(reader.account_id)
        inbox = (await mail.select("INBOX", False)).mailbox.mailbox_id
        fetch = (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.ENVELOPE, Column.INTERNAL_DATE, Column.SIZE)
        count = arguments.messages
        await timed(f"select, {count} messages", 5, lambda: mail.select("INBOX", False))
        await timed(
            f"rows of {count}: flags, envelope, date, size", 5, lambda: mail.read_messages(inbox, ALL_UIDS, fetch, len)
        )
        await timed(
            f"rows of {count}: uid, flags",
            5,
            lambda: mail.read_messages(inbox, ALL_UIDS, (Column.UID, Column.SYSTEM_FLAGS), len),
        )
        await timed(
            f"octets of {count}", 3, lambda: mail.read_messages(inbox, ALL_UIDS, (Column.UID, Column.OCTETS), len)
        )
        scattered = UidSet.of(range(1, count, 20))
        await timed(f"rows of {count // 20} scattered", 5, lambda: mail.read_messages(inbox, scattered, fetch, len))
        await timed("a row", 200, lambda: mail.read_messages(inbox, UidSet.of([count // 2]), fetch, len))
        box = await mail.mailbox("INBOX")
        await timed("changes, none", 200, lambda: mail.mailbox_changes(inbox, box.highest_modseq))
        await accept_once(store, reader)
        await timed("changes, an arrival", 200, lambda: mail.mailbox_changes(inbox, box.highest_modseq))
        box = await mail.mailbox("INBOX")
        flagged = Flags(SystemFlag.FLAGGED)
        await mail.store_flags(inbox, UidSet.of([count // 2]), FlagChange.ADD, flagged, None)
        await timed("changes, a flag", 200, lambda: mail.mailbox_changes(inbox, box.highest_modseq))
        seen = Flags(SystemFlag.SEEN)
        await timed(
            f"store +FLAGS \\Seen 1:{count}",
            1,
            lambda: mail.store_flags(inbox, ALL_UIDS, FlagChange.ADD, seen, None),
        )
        await timed("changes, all flags", 1, lambda: mail.mailbox_changes(inbox, box.highest_modseq))
        await timed(f"copy 1:{count}", 1, lambda: mail.copy(inbox, ALL_UIDS, "Trash"))
        await timed(f"move 1:{count}", 1, lambda: mail.move(inbox, ALL_UIDS, "Archive"))
        if not arguments.store_url:
            size = os.path.getsize(f"{folder}/store.sqlite") + os.path.getsize(f"{folder}/store.sqlite-wal")
            print(f"{'octets of the files':<46} {size / 1e6:8.1f} MB")
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--accounts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--page-size", type=int, default=4096)
    parser.add_argument("--dir", default=None)
    parser.add_argument("--store-url", default="")
    parsed = parser.parse_args()
    if parsed.store_url == "pgserver":
        from tests.support.postgres import PostgresServer

        server = PostgresServer(durable=True)
        atexit.register(server.remove)
        server.start()
        parsed.store_url = server.url()
    react(main, (parsed,))
