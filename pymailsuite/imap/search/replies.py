"""The replies to SEARCH. Source: RFC 3501 §7.2.5, RFC 4466 §2.6.2 (ESEARCH), RFC 4731, RFC 7162 §3.1.10 (MODSEQ)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymailsuite.imap.values import PARTIAL
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
    tag: str,
    uid: bool,
    returns: Mapping[str, Any],
    numbers: Sequence[int],
    modseq: int | None = None,
    where: str = "",
    scores: Sequence[int] = (),
) -> Steps[list[bytes]]:
    """``* ESEARCH`` for the command ``tag``; ``numbers`` ascend, or are in the order of a SORT; ``returns`` are of RFC
    4731 and RFC 9394. ``where`` is what names the mailbox behind the tag (RFC 7377). ``scores`` are those of the
    messages, if RELEVANCY is asked for.

    If nothing was found, all but COUNT and PARTIAL is left out (RFC 4731 §3.1, RFC 9394 §3.1).
    """
    words = [f'* ESEARCH (TAG "{tag}"{where})']
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
    if PARTIAL in returns:
        start, stop = returns[PARTIAL].of(len(numbers))
        page = (yield from compact(numbers[start:stop])) if start < stop else "NIL"
        words.append(f"PARTIAL ({returns[PARTIAL]} {page})")
    if scores:
        # RFC 6203 §4: in the order of the numbers.
        page_only = PARTIAL in returns and "ALL" not in returns
        told = scores[slice(*returns[PARTIAL].of(len(numbers)))] if page_only else scores
        words.append(f"RELEVANCY ({' '.join(map(str, told))})")
    if modseq is not None and numbers:
        words.append(f"MODSEQ {modseq}")
    return [" ".join(words).encode("utf-8"), b"\r\n"]


def told_modseq(returns: Mapping[str, Any] | None, modseqs: Sequence[int]) -> int | None:
    """The mod-sequence in the reply to a search by MODSEQ, None if nothing was found.

    ``modseqs`` are those of the messages found, in order. Source: RFC 7162 §3.1.5; RFC 4731 §3.2: if only the first or
    the last message is returned, it is that message's.
    """
    return max(concerned(returns, modseqs), default=None)


def concerned(returns: Mapping[str, Any] | None, found: Sequence[int]) -> Sequence[int]:
    """Of what was found, ascending, what the reply is about: the first, the last, a page, if it tells of nothing else.

    Source: RFC 4731 §3.2, RFC 5182 §2.4, RFC 9394 §3.2.
    """
    if not returns or not found or not {"MIN", "MAX", PARTIAL}.issuperset(returns):
        return found
    ends = [found[place] for word, place in (("MIN", 0), ("MAX", -1)) if word in returns]
    if PARTIAL not in returns:
        return ends
    start, stop = returns[PARTIAL].of(len(found))
    return sorted({*ends, *found[start:stop]})


def compact(numbers: Sequence[int]) -> Steps[str]:
    """``numbers`` in their order as a sequence-set, ascending runs joined (RFC 5267 §3.2)."""
    ranges = []
    first = last = numbers[0]
    for place, number in enumerate(numbers[1:]):
        if place % _NUMBERS_A_STEP == _NUMBERS_A_STEP - 1:
            yield
        if number != last + 1:
            ranges.append(str(first) if first == last else f"{first}:{last}")
            first = number
        last = number
    ranges.append(str(first) if first == last else f"{first}:{last}")
    return ",".join(ranges)
