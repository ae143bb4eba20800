"""How fast the structure scan is beside ``email.message_from_bytes`` (policy compat32) and a walk over the parts.

    python benchmarks/scan.py [--count N] [--repeat N] [--profile KIND]

CPU time, the best of several runs. The scan also builds ENVELOPE, BODY, BODYSTRUCTURE and the table of parts.
"""

from __future__ import annotations

import argparse
import cProfile
import email
import email.policy
import pstats
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.corpus import alternative, corpus, mixed, plain
from pymailsuite.message.scan import StructureScanner, scan


def parse(octets: bytes) -> None:
    """What the scan is compared with."""
    for part in email.message_from_bytes(octets, policy=email.policy.compat32).walk():
        part.get_content_type()


def scan_in_chunks(octets: bytes) -> None:
    """The scan as the store runs it on a long message."""
    scanner = StructureScanner()
    for start in range(0, len(octets), 65536):
        scanner.feed(octets[start : start + 65536])
    scanner.finish()


def best(work: Callable[[bytes], object], messages: Sequence[bytes], repeat: int) -> float:
    """Seconds of CPU time for all ``messages``."""
    times: list[float] = []
    for _ in range(repeat):
        begin = time.process_time()
        for octets in messages:
            work(octets)
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Print one line for each kind of message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--profile", default="", help="profile the scan of one kind instead")
    options = parser.parse_args()
    rng = random.Random(7)
    kinds = {
        "plain 4 KB": [plain(rng, number, 4096) for number in range(options.count)],
        "alternative 12 KB": [alternative(rng, number, 12_000) for number in range(options.count)],
        "attachment 1 MB": [mixed(rng, number, 1_000_000) for number in range(5)],
        "corpus": list(corpus(options.count)),
    }
    if options.profile:
        with cProfile.Profile() as profile:
            for octets in kinds[options.profile] * 20:
                scan(octets)
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)
        return
    print(f"{'':20}{'scan':>12}{'in chunks':>12}{'email':>12}{'ratio':>8}{'MB/s':>8}")
    for name, messages in kinds.items():
        ours, chunks = (best(work, messages, options.repeat) for work in (scan, scan_in_chunks))
        theirs = best(parse, messages, 2)
        each = 1e6 / len(messages)
        rate = sum(map(len, messages)) / ours / 1e6
        columns = "".join(f"{seconds * each:9.1f} us" for seconds in (ours, chunks, theirs))
        print(f"{name:20}{columns}{theirs / ours:8.1f}{rate:8.0f}")


if __name__ == "__main__":
    main()
