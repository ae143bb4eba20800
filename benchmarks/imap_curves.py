"""What commands of IMAP cost in mailboxes of 10 to 1,000,000 messages, as figures and as a picture.

PYTHONPATH=. python benchmarks/imap_curves.py [--largest 1000000] [--svg docs/imap-curves.svg] [--json FILE]
PYTHONPATH=. python benchmarks/imap_curves.py --from FILE --svg docs/imap-curves.svg

CPU time in milliseconds, without a network, threads or a disk, as in imap_turn.py: the least of some runs. Messages are
made a thousand at a time and multiplied by SQL, each with a content of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from pymailsuite.imap.snapshots import Snapshots
from pymailsuite.store.contents import KEY_COLUMNS
from pymailsuite.store.messages import MESSAGE_COLUMNS
from pymailsuite.store.transaction import Transaction
from pymailsuite.values import FlagChange, Flags, SystemFlag, Uid, UidSet
from tests.imap.conversation import Client, Server
from tests.support.stores import append, fired

ORIGINALS: Final = 1000
SHIFT: Final = 1 << 40
"""Between the content ids of an original and of its copies."""
LINE: Final = b"A line of a text that is as long as lines of mail are, more or less.\r\n"
MESSAGE: Final = (
    b"Date: %d Feb 2026 03:04:05 +0000\r\nFrom: Bob <bob%d@example.net>\r\nTo: ann@example.org\r\n"
    b"Subject: %bLetter %d on %b\r\nMessage-ID: <%d@example.net>\r\n%b\r\n%b"
)
TOPICS: Final = (b"tea", b"trains", b"the weather", b"a garden", b"the harvest")
CONTENT_COLUMNS: Final = (
    "size, header_size, created_at, digest, envelope, body, bodystructure, parts, extra_octets, fields, " + KEY_COLUMNS
)

Figures = dict[str, dict[int, float]]


def message(number: int) -> bytes:
    """A short message; two of three answer an earlier one."""
    refers = b"" if number % 3 == 0 else b"References: <%d@example.net>\r\n" % (number - number % 3)
    topic = TOPICS[number % 5]
    subject = (b"Re: " if refers else b"", number - number % 3, topic)
    return MESSAGE % (1 + number % 28, number % 50, *subject, number, refers, LINE * (3 + number % 9))


class Mailboxes:
    """A session, and mailboxes named by the number of their messages."""

    def __init__(self) -> None:
        self.server = Server(failed_logins=1000)
        append(self.server.store, self.server.account, "INBOX", *map(message, range(ORIGINALS)))
        self._copies = 0

    def connect(self) -> None:
        """Begin a new session."""
        self.client: Client = self.server.connect().login()

    def make(self, count: int) -> str:
        """A mailbox of so many messages, a third of them unseen."""
        name = f"Of {count}"
        account_id = self.server.account.account_id
        mailbox: Any = fired(self.server.mail.create_mailbox(name, None))
        for start in range(0, count, ORIGINALS):
            some = min(ORIGINALS, count - start)
            self._copies += 1
            self._multiply(account_id, mailbox.mailbox_id, start, some, self._copies * SHIFT)
        count_txn = partial(_count_txn, account_id=account_id, mailbox_id=mailbox.mailbox_id)
        fired(self.server.store.database.run("count", count_txn))
        return name

    def _multiply(self, account_id: int, mailbox_id: int, start: int, count: int, shift: int) -> None:
        originals = f"account_id = {account_id} AND mailbox_id = 1 AND uid <= {count}"
        mine = f"content_id IN (SELECT content_id FROM messages WHERE {originals})"
        changed = {"mailbox_id": str(mailbox_id), "uid": f"uid + {start}", "content_id": f"content_id + {shift}"}
        changed |= {"modseq": f"uid + {start}", "system_flags": "CASE uid % 3 WHEN 0 THEN 0 ELSE 1 END"}
        chosen = [changed.get(name.strip(), name.strip()) for name in MESSAGE_COLUMNS.split(",")]

        def multiply_txn(txn: Transaction) -> None:
            for table, columns in (
                ("contents", f"1, {CONTENT_COLUMNS}"),
                ("content_chunks", "position, octets"),
                ("content_headers", "octets"),
            ):
                named = columns.replace("1, ", "refs, ", 1) if table == "contents" else columns
                txn.execute(
                    f"INSERT INTO {table} (content_id, {named})"
                    f" SELECT content_id + {shift}, {columns} FROM {table} WHERE {mine}"
                )
            txn.execute(
                f"INSERT INTO messages ({MESSAGE_COLUMNS}) SELECT {', '.join(chosen)} FROM messages WHERE {originals}"
            )

        fired(self.server.store.database.run("multiply", multiply_txn))

    def say(self, line: str) -> bytes:
        """A command, and all that is answered."""
        return self.send(b"x %b\r\n" % line.encode("ascii"))

    def send(self, octets: bytes) -> bytes:
        """The same for octets."""
        client: Any = self.client
        client.protocol.dataReceived(octets)
        answers = [client.output()]
        while not (b"\r\nx OK" in b"".join(answers[-2:]) or answers[0].startswith(b"x OK")):
            self.server.clock.advance(0)
            answers.append(client.output())
            assert answers[-1] or answers[-2], b"".join(answers)[-300:]
        return b"".join(answers)


def cost_ms(task: Callable[[], object], before: Callable[[], object] = lambda: None, runs: int = 3) -> float:
    """The least CPU milliseconds of some runs; once if one takes seconds."""
    best = math.inf
    for _ in range(runs):
        before()
        gc.collect()
        gc.disable()
        began = time.process_time()
        task()
        best = min(best, (time.process_time() - began) * 1000)
        gc.enable()
        if best > 2000:
            break
    return best


def _count_txn(txn: Transaction, account_id: int, mailbox_id: int) -> None:
    """Note the messages of a mailbox in its row."""
    where = f"account_id = {account_id} AND mailbox_id = {mailbox_id}"
    (counts,) = txn.rows(f"SELECT COUNT(*), SUM(system_flags & 1 = 0), SUM(size) FROM messages WHERE {where}")
    messages, unseen, size = counts
    txn.execute(f"UPDATE account_state SET modseq = MAX(modseq, {messages}) + 1 WHERE account_id = {account_id}")
    txn.execute(
        f"UPDATE mailboxes SET messages = ?, unseen = ?, size = ?, uid_next = ?, first_recent = ?, highest_modseq ="
        f" (SELECT modseq FROM account_state WHERE account_id = {account_id}) WHERE {where}",
        (messages, unseen, size, messages + 1, messages + 1),
    )


def measured(boxes: Mailboxes, count: int) -> dict[str, float]:
    """The cost of each command in a mailbox of so many messages."""
    name = boxes.make(count)
    boxes.connect()
    say, server = boxes.say, boxes.server
    text = message(count)
    append_line = b'x APPEND "%b" {%d+}\r\n%b\r\n' % (name.encode("ascii"), len(text), text)
    answer = b""
    mailbox: Any = fired(server.mail.mailbox(name))
    mailbox_id = mailbox.mailbox_id
    changes = cycle([FlagChange.ADD, FlagChange.REMOVE])

    def forget() -> None:
        say("UNSELECT")
        server.factory.shared.snapshots = Snapshots(server.clock, server.settings.remembered_messages)

    def change_one() -> None:
        """Another session changes a message while this one is away."""
        nonlocal answer
        answer = say(f'SELECT "{name}"')
        say("UNSELECT")
        change = next(changes)
        fired(server.mail.store_flags(mailbox_id, UidSet.of([Uid(1)]), change, Flags(SystemFlag.FLAGGED), None))

    def come_back() -> None:
        validity, modseq = (
            int(answer.partition(word)[2].split(b"]")[0]) for word in (b"UIDVALIDITY ", b"HIGHESTMODSEQ ")
        )
        say(f'SELECT "{name}" (QRESYNC ({validity} {modseq}))')

    say(f'SELECT "{name}"')
    figures = {
        "SELECT, first": cost_ms(lambda: say(f'SELECT "{name}"'), forget),
        "SELECT, again": cost_ms(lambda: say(f'SELECT "{name}"')),
        "FETCH 1:* (UID FLAGS)": cost_ms(lambda: say("FETCH 1:* (UID FLAGS)")),
        "FETCH of the last 50, envelopes": cost_ms(lambda: say(f"FETCH {max(1, count - 49)}:* (FLAGS ENVELOPE)")),
        "NOOP": cost_ms(lambda: say("NOOP"), runs=20),
        "STORE of one": cost_ms(lambda: say("STORE 1 FLAGS (\\Answered)"), lambda: say("STORE 1 FLAGS ()"), runs=20),
        "SEARCH UNSEEN": cost_ms(lambda: say("UID SEARCH UNSEEN")),
        "SEARCH SUBJECT": cost_ms(lambda: say("UID SEARCH SUBJECT harvest")),
        "SORT (DATE)": cost_ms(lambda: say("UID SORT (DATE) UTF-8 ALL")),
        "THREAD REFERENCES": cost_ms(lambda: say("UID THREAD REFERENCES UTF-8 ALL")),
        "APPEND of one": cost_ms(lambda: boxes.send(append_line), runs=20),
    }
    say("UNSELECT")
    boxes.connect()
    say("ENABLE QRESYNC")
    figures["QRESYNC after one change"] = cost_ms(come_back, change_one)
    return figures


# --- the picture

WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 960, 600, 70, 20, 600, 520
COLOURS: Final = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"),
    *("#e377c2", "#555555", "#bcbd22", "#17becf", "#003f5c", "#ffa600"),
)
LABEL_HEIGHT: Final = 17


def picture(figures: Mapping[str, Mapping[int, float]]) -> str:
    """An SVG with a line for each command, both axes logarithmic."""
    counts = sorted({count for line in figures.values() for count in line})
    costs = [cost for line in figures.values() for cost in line.values()]
    decades = range(math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs))) + 1)

    def x_of(count: float) -> float:
        span = math.log10(counts[-1] / counts[0]) or 1
        return LEFT + PLOT_WIDTH * math.log10(count / counts[0]) / span

    def y_of(cost: float) -> float:
        return TOP + PLOT_HEIGHT * (decades[-1] - math.log10(cost)) / (decades[-1] - decades[0])

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for count in counts:
        parts.append(_line(x_of(count), TOP, x_of(count), TOP + PLOT_HEIGHT))
        parts.append(_text(x_of(count), TOP + PLOT_HEIGHT + 18, f"{count:,}", "middle"))
    for decade in decades:
        parts.append(_line(LEFT, y_of(10**decade), LEFT + PLOT_WIDTH, y_of(10**decade)))
        parts.append(_text(LEFT - 6, y_of(10**decade) + 4, f"{10**decade:,.{max(0, -decade)}f}", "end"))
    parts.append(_text(LEFT + PLOT_WIDTH / 2, HEIGHT - 16, "messages in the mailbox", "middle"))
    parts.append(_text(8, TOP - 6, "milliseconds of CPU time", "start"))
    for place, label_y, colour in _labels(figures, y_of):
        line = figures[place]
        points = " ".join(f"{x_of(count):.1f},{y_of(cost):.1f}" for count, cost in sorted(line.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last = max(line)
        begin = f'x1="{x_of(last):.1f}" y1="{y_of(line[last]):.1f}"'
        end = f'x2="{LEFT + PLOT_WIDTH + 22}" y2="{label_y - 4:.1f}"'
        parts.append(f'<line {begin} {end} stroke="{colour}" stroke-dasharray="2 2"/>')
        parts.append(_text(LEFT + PLOT_WIDTH + 26, label_y, f"{place}: {_said(line[last])}", "start", colour))
    return "\n".join([*parts, "</svg>", ""])


def _labels(figures: Mapping[str, Mapping[int, float]], y_of: Callable[[float], float]) -> list[tuple[str, float, str]]:
    """Each line's name, the height of its label so that none covers another, and its colour; the highest first."""
    ends = sorted((y_of(line[max(line)]), name) for name, line in figures.items())
    colour_of = dict(zip(figures, COLOURS, strict=False))
    found = []
    lowest = TOP + PLOT_HEIGHT - LABEL_HEIGHT * len(ends)
    label_y = -math.inf
    for place, (y, name) in enumerate(ends):
        label_y = max(label_y + LABEL_HEIGHT, min(y + 4, lowest + LABEL_HEIGHT * (place + 1)))
        found.append((name, label_y, colour_of[name]))
    return found


def _said(cost: float) -> str:
    return f"{cost:,.0f} ms" if cost >= 10 else f"{cost:.2g} ms"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222222") -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escaped}</text>'


def main() -> None:
    """Measure, or take figures from a file; print them, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--from", dest="source", type=Path, help="figures of an earlier run")
    arguments = parser.parse_args()
    figures: Figures = {}
    if arguments.source:
        read = json.loads(arguments.source.read_text("utf-8"))
        figures = {name: {int(count): cost for count, cost in line.items()} for name, line in read.items()}
    else:
        boxes = Mailboxes()
        count = 10
        while count <= arguments.largest:
            for name, cost in measured(boxes, count).items():
                figures.setdefault(name, {})[count] = round(cost, 4)
            count *= 10
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text, "utf-8")
    if arguments.svg:
        arguments.svg.write_text(picture(figures), "utf-8")


if __name__ == "__main__":
    main()
