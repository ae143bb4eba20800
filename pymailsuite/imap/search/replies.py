"""The replies to SEARCH. Source: RFC 3501 §7.2.5, RFC 4466 §2.6.2 (ESEARCH), RFC 4731, RFC 7162 §3.1.10 (MODSEQ)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from pymailsuite.interfaces import Steps

_NUMBERS_A_STEP: Final = 5_000


def render_search(numbers: Sequence[int], modseq: int | None = None, name: bytes = b"SEARCH") -> Steps[list[bytes]]:
    """``* SEARCH``, or ``* SORT``, with ``numbers``, in pieces; ``modseq``, if MODSEQ was a key, is told if something
    was found."""
    pieces = [b"* " + name]
    for start in range(0, len(numbers), _NUMBERS_A_STEP):
        pieces.append(" ".join(["", *map(str, numbers[start : start + _NUMBERS_A_STEP])]).encode("ascii"))
        yield
    pieces.append(b" (MODSEQ %d)\r\n" % modseq if modseq is not None and numbers else b"\r\n")
    return pieces


def render_esearch(
    tag: str, uid: bool, returns: Collection[str], numbers: Sequence[int], modseq: int | None = None
) -> Steps[list[bytes]]:
    """``* ESEARCH`` for the command ``tag``; ``numbers`` ascend, ``returns`` are among MIN, MAX, COUNT and ALL.

    If nothing was found, all but COUNT is left out (RFC 4731 §3.1).
    """
    words = [f'* ESEARCH (TAG "{tag}")']
    if uid:
        words.append("UID")
    if "MIN" in returns and numbers:
        words.append(f"MIN {numbers[0]}")
    if "MAX" in returns and numbers:
        words.append(f"MAX {numbers[-1]}")
    if "COUNT" in returns:
        words.append(f"COUNT {len(numbers)}")
    if "ALL" in returns and numbers:
        words.append(f"ALL {yield from compact(numbers)}")
    if modseq is not None and numbers:
        words.append(f"MODSEQ {modseq}")
    return [" ".join(words).encode("ascii"), b"\r\n"]


def told_modseq(returns: Collection[str] | None, modseqs: Sequence[int]) -> int | None:
    """The mod-sequence in the reply to a search by MODSEQ, None if nothing was found.

    ``modseqs`` are those of the messages found, in order. Source: RFC 7162 §3.1.5; RFC 4731 §3.2: if only the first or
    the last message is returned, it is that message's.
    """
    return max(concerned(returns, modseqs), default=None)


def concerned(returns: Collection[str] | None, found: Sequence[int]) -> Sequence[int]:
    """Of what was found, ascending, what the reply is about: the first and the last if it tells of nothing else.

    Source: RFC 4731 §3.2, RFC 5182 §2.4.
    """
    if returns and found and {"MIN", "MAX"}.issuperset(returns):
        return [found[place] for word, place in (("MIN", 0), ("MAX", -1)) if word in returns]
    return found


def compact(numbers: Sequence[int]) -> Steps[str]:
    """Ascending ``numbers`` as a sequence-set, runs joined."""
    ranges = []
    first = last = numbers[0]
    for place, number in enumerate(numbers):
        if place % _NUMBERS_A_STEP == _NUMBERS_A_STEP - 1:
            yield
        if number > last + 1:
            ranges.append(str(first) if first == last else f"{first}:{last}")
            first = number
        last = number
    ranges.append(str(first) if first == last else f"{first}:{last}")
    return ",".join(ranges)
