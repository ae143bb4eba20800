"""What the commands of IMAP and POP3 cost: CPU time without a network, threads or a disk.

PYTHONPATH=. python benchmarks/imap_turn.py [--rounds 7] [--only fetch] [--profile NAME] [--wall]
                                            [--store-url postgresql://... | pgserver]

Protocols over a transport in memory, on a store of SQLite in memory in the same thread. To compare two trees, run it
with the PYTHONPATH of one and of the other in turn; each figure is the best of the rounds, since what else the machine
does can only add to it. With ``--wall`` it is the time by the clock, which counts the work of a database in a process
of its own too.
"""

from __future__ import annotations

import argparse
import atexit
import cProfile
import gc
import json
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.imap.conversation import PASSWORD, USER, Client, Server
from tests.imap.conversation import message as small_message
from tests.pop3.support import ALICE, PASSWORDS, World
from tests.support.postgres import PostgresServer
from tests.support.stores import append, use_postgres

MESSAGES = 5000
LINE = b"A line of a text that is as long as lines of mail are, more or less.\r\n"
MAILBOXES = 2000

Task = Callable[[], object]


def _letter(number: int) -> bytes:
    return small_message(number) + LINE * (3 + number % 9)


class _Imap:
    """A session with a mailbox of many messages."""

    def __init__(self) -> None:
        self.server = Server(failed_logins=1000)
        append(self.server.store, self.server.account, "INBOX", *map(_letter, range(1, MESSAGES + 1)))
        self.server.mail.create_mailbox("There", None)
        self.client = self.server.connect().login()
        self.say("SELECT INBOX")

    def say(self, *lines: str) -> bytes:
        """Commands that come together; all that is answered."""
        return self.send(b"".join(b"x %b\r\n" % line.encode("ascii") for line in lines), len(lines))

    def send(self, octets: bytes, commands: int = 1) -> bytes:
        """The same for octets."""
        client = self.client
        client.protocol.dataReceived(octets)
        answer = client.output()
        while (answered := answer.count(b"\r\nx OK") + answer.startswith(b"x OK")) < commands:
            before = len(answer)
            self.server.clock.advance(0)
            answer += client.output()
            assert len(answer) > before, (answered, answer[-300:])
        return answer

    def each(self, *lines: str) -> None:
        """Commands that come one after the other."""
        for line in lines:
            self.say(line)

    def append_messages(self, count: int) -> None:
        """APPEND of 4 KB, as a client does that waits for the continuation."""
        text = small_message(1) + LINE * 55
        for _ in range(count):
            self.client.protocol.dataReceived(b"x APPEND There {%d}\r\n" % len(text))
            self.client.output()
            self.send(text + b"\r\n")

    def log_in_and_out(self, count: int) -> None:
        """Connections that log in, select and leave."""
        for _ in range(count):
            client: Client = self.server.connect()
            client.output()
            for line in (f"LOGIN {USER} {PASSWORD}", "SELECT There", "LOGOUT"):
                client.protocol.dataReceived(f"x {line}\r\n".encode())
                assert b"x OK" in client.output()
            client.close()

    def hear(self, count: int) -> None:
        """Messages that come while the client waits in IDLE."""
        self.say("SELECT There")
        self.client.protocol.dataReceived(b"x IDLE\r\n")
        self.client.output()
        for number in range(count):
            self.server.deliver(number, mailbox="There")
            assert b"EXISTS" in self.client.output()
        self.send(b"DONE\r\n")
        self.say("SELECT INBOX")


def _imap_tasks(imap: _Imap) -> dict[str, Task]:
    some = 400
    return {
        "noop": lambda: imap.each(*["NOOP"] * 2000),
        "noop.pipelined": lambda: imap.say(*["NOOP"] * 2000),
        "select": lambda: imap.each(*["SELECT INBOX"] * 20),
        "status": lambda: imap.each(*["STATUS There (MESSAGES UIDNEXT UNSEEN)"] * some),
        "fetch.flags": lambda: imap.say("FETCH 1:* (UID FLAGS)"),
        "fetch.envelope": lambda: imap.say("FETCH 1:* (FLAGS ENVELOPE INTERNALDATE RFC822.SIZE)"),
        "fetch.bodystructure": lambda: imap.say("FETCH 1:* (UID BODYSTRUCTURE)"),
        "fetch.fields": lambda: imap.say("FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]"),
        "fetch.peek": lambda: imap.say("FETCH 1:* BODY.PEEK[]"),
        "fetch.body": lambda: imap.say("FETCH 1:* BODY[]"),
        "fetch.part": lambda: imap.say("FETCH 1:* BODY.PEEK[1]"),
        "fetch.single": lambda: imap.each(*[f"FETCH {number} BODY.PEEK[]" for number in range(1, 500)]),
        "fetch.single.uid": lambda: imap.each(*[f"UID FETCH {number} BODY[]" for number in range(1, 500)]),
        "fetch.single.envelope": lambda: imap.each(*[f"FETCH {n} (FLAGS ENVELOPE)" for n in range(1, 500)]),
        "search.unseen": lambda: imap.each(*["UID SEARCH UNSEEN"] * 20),
        "search.many": lambda: imap.each(*["UID SEARCH ALL"] * 5),
        "search.body": lambda: imap.say("UID SEARCH BODY nowhere"),
        "search.subject": lambda: imap.say("UID SEARCH SUBJECT 77"),
        "search.from": lambda: imap.say("UID SEARCH FROM bob"),
        "search.sentsince": lambda: imap.say("UID SEARCH SENTSINCE 1-Jan-2026"),
        "store": lambda: imap.each("STORE 1:* +FLAGS (\\Flagged)", "STORE 1:* -FLAGS (\\Flagged)"),
        "store.single": lambda: imap.each(*[f"STORE {n} +FLAGS (\\Flagged)" for n in range(1, 300)]),
        "copy": lambda: imap.say("COPY 1:1000 There"),
        "expunge": lambda: _expunge(imap),
        "append": lambda: imap.append_messages(200),
        "login": lambda: imap.log_in_and_out(200),
        "idle": lambda: imap.hear(200),
    }


def _expunge(imap: _Imap) -> None:
    imap.say("SELECT There")
    imap.each("STORE 1:1000 +FLAGS.SILENT (\\Deleted)", "EXPUNGE", "SELECT INBOX")


def _list_tasks() -> dict[str, Task]:
    imap = _Imap.__new__(_Imap)
    imap.server = Server()
    for number in range(MAILBOXES):
        imap.server.mail.create_mailbox(f"Box {number % 40}/Of {number}", None)
    imap.client = imap.server.connect().login()
    return {
        "list": lambda: imap.say('LIST "" *'),
        "list.pattern": lambda: imap.say('LIST "" "Box */Of 1%"'),
    }


def _pop3_tasks() -> dict[str, Task]:
    world = World(*map(_letter, range(1, MESSAGES + 1)))
    user, password = f"USER {ALICE}", f"PASS {PASSWORDS[ALICE]}"

    def say(conversation: Any, *lines: str) -> Any:
        conversation.protocol.dataReceived(b"".join(line.encode("ascii") + b"\r\n" for line in lines))
        return conversation.output()

    def log_in() -> None:
        for _ in range(5):
            assert say(world.connect(), user, password, "STAT", "QUIT").count(b"+OK") == 5

    def retrieve() -> None:
        conversation = world.connect()
        say(conversation, user, password)
        for number in range(1, 501):
            say(conversation, f"RETR {number}")
        say(conversation, "QUIT")

    def listing() -> None:
        conversation = world.connect()
        say(conversation, user, password)
        say(conversation, "LIST", "UIDL", "QUIT")
        world.clock.advance(0)  # a long reply ends a turn

    return {"pop3.login": log_in, "pop3.retr": retrieve, "pop3.list": listing}


@contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cost_ms(task: Task, clock: Callable[[], float]) -> float:
    """Milliseconds of a task."""
    with _undisturbed():
        began = clock()
        task()
        return (clock() - began) * 1000


def _use_store(url: str) -> None:
    if url == "pgserver":
        server = PostgresServer()
        atexit.register(server.remove)
        server.start()
        url = server.url()
    if url:
        atexit.register(use_postgres(url))


def main() -> None:
    """Print the best of the rounds as JSON, or a profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="tasks whose name begins so")
    parser.add_argument("--profile", metavar="NAME", help="show where the time of one goes instead")
    parser.add_argument("--wall", action="store_true", help="time by the clock, not CPU time")
    parser.add_argument("--store-url", default="", help="of a PostgreSQL, or pgserver to start one")
    arguments = parser.parse_args()
    _use_store(arguments.store_url)
    clock = time.perf_counter if arguments.wall else time.process_time
    tasks = {**_imap_tasks(_Imap()), **_list_tasks(), **_pop3_tasks()}
    if arguments.profile:
        task = tasks[arguments.profile]
        task()
        profile = cProfile.Profile()
        profile.runcall(task)
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    chosen = {name: task for name, task in tasks.items() if name.startswith(arguments.only)}
    costs: dict[str, float] = {}
    for _ in range(arguments.rounds + 1):
        for name, task in chosen.items():
            costs[name] = min(costs.get(name, 1e9), cost_ms(task, clock))
    print(json.dumps({name: round(cost, 2) for name, cost in costs.items()}))


if __name__ == "__main__":
    main()
