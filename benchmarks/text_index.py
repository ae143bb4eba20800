"""What the text index costs and saves: CPU time without a network, threads or a disk.

PYTHONPATH=. python benchmarks/text_index.py [--messages 10000] [--kind mixed|plain]

``plain`` are short texts of many different words (4 KB); ``mixed`` are those of the load clients' corpus, ``load`` what
``smtp_in.py`` sends. It tells what
indexing takes for a message and how large the index is, and what searches of the mailbox take without it and with it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

from pymailsuite.config.sections.search import SearchSettings
from pymailsuite.imap.commands import searching
from pymailsuite.message.extraction import NO_EXTRACTION
from tests.imap.conversation import Server
from tests.support.stores import append, fired

SEARCHES = (
    "BODY zebrafish",
    "TEXT nosuchwordatall",
    "BODY the",
    "SUBJECT quarterly",
    'FROM "sender17@"',
    'OR BODY zebrafish SUBJECT "quarterly report"',
    "HEADER Message-ID nosuchid",
)


def _plain() -> Iterator[bytes]:
    """Words by Zipf's law: as in texts that people write, most are rare."""
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(3, 10))) for _ in range(40_000)]
    weights = list(accumulate(1 / place for place in range(1, len(words) + 1)))
    number = 0
    while True:
        number += 1
        lines = [" ".join(rng.choices(words, cum_weights=weights, k=11)) for _ in range(50)]
        if number % 100 == 0:
            lines.append("a zebrafish")
        yield (
            f"Message-ID: <{rng.getrandbits(96):x}@example.net>\r\nFrom: sender{number % 50}@example.net\r\n"
            f"To: ann@example.org\r\nSubject: {rng.choice(words)} {'Quarterly' * (number % 20 == 0)}\r\n\r\n"
        ).encode() + "\r\n".join(lines).encode()


def _mixed() -> Iterator[bytes]:
    from benchmarks.load.corpus import message

    number = 0
    while True:
        yield message(number)
        number += 1


def _load() -> Iterator[bytes]:
    from benchmarks.load.corpus import sized

    number = 0
    while True:
        yield sized(number, 4096)
        number += 1


def _best(task: Any, rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        started = time.process_time()
        task()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kind", choices=("mixed", "plain", "load"), default="mixed")
    arguments = parser.parse_args()
    server = Server()
    messages = list(islice({"mixed": _mixed, "plain": _plain, "load": _load}[arguments.kind](), arguments.messages))
    for start in range(0, len(messages), 100):
        append(server.store, server.account, "INBOX", *messages[start : start + 100])
    client = server.connect().login()
    client.command("SELECT INBOX")

    def search(program: str) -> str:
        answer = client.send(f"x UID SEARCH {program}\r\n".encode())
        while b"x OK" not in answer:
            server.clock.advance(0)
            answer += client.output()
        return answer.decode().partition("\r\n")[0]

    few, searching._FEW = searching._FEW, 1 << 40
    without = {program: (_best(lambda program=program: search(program)), search(program)) for program in SEARCHES}
    searching._FEW = few
    bounds, started = SearchSettings().bounds(NO_EXTRACTION), time.process_time()
    while fired(server.store.text_index.index_some(bounds)) is not None:
        pass
    spent = time.process_time() - started
    status: Any = fired(server.store.text_index.status())
    octets = sum(map(len, messages)) / len(messages)
    print(f"{len(messages)} messages of {octets:.0f} octets, {status.indexed} indexed")
    each = len(messages)
    print(f"indexing {spent / each * 1e6:.0f} us a message, {status.octets / each:.0f} octets of index")
    for program, (seconds, found) in without.items():
        indexed = _best(lambda program=program: search(program))
        assert search(program) == found, program
        print(
            f"{program:48} {len(found.split()) - 2:6} found {seconds * 1e3:9.1f} ms {indexed * 1e3:9.1f} ms"
            f" {seconds / indexed:6.1f} times"
        )


if __name__ == "__main__":
    main()
