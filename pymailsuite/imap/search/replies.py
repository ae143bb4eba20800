"""What SEARCH answers. Source: RFC 3501 §7.2.5, RFC 4466 §2.6.2 (ESEARCH), RFC 4731, RFC 7162 §3.1.10 (MODSEQ)."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def render_search(numbers: Sequence[int], modseq: int | None = None) -> bytes:
    """``* SEARCH`` with ``numbers``; ``modseq``, if MODSEQ was a key, is told only if something was found."""
    end = f" (MODSEQ {modseq})\r\n" if modseq is not None and numbers else "\r\n"
    return " ".join(["* SEARCH", *map(str, numbers)]).encode("ascii") + end.encode("ascii")


def render_esearch(
    tag: str, uid: bool, returns: Collection[str], numbers: Sequence[int], modseq: int | None = None
) -> bytes:
    """``* ESEARCH`` for the command ``tag``; ``numbers`` ascend, ``returns`` are among MIN, MAX, COUNT and ALL.

    Nothing found is told by what is left out, COUNT apart (RFC 4731 §3.1).
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
        words.append(f"ALL {compact(numbers)}")
    if modseq is not None and numbers:
        words.append(f"MODSEQ {modseq}")
    return " ".join(words).encode("ascii") + b"\r\n"


def told_modseq(returns: Collection[str] | None, modseqs: Sequence[int]) -> int | None:
    """The mod-sequence that the reply to a search by MODSEQ tells, None if nothing was found.

    ``modseqs`` are those of the messages found, in order. Source: RFC 7162 §3.1.5; RFC 4731 §3.2: if only the first or
    the last message is told, it is theirs.
    """
    if returns is not None and modseqs and {"MIN", "MAX"}.issuperset(returns):
        modseqs = [modseqs[place] for word, place in (("MIN", 0), ("MAX", -1)) if word in returns]
    return max(modseqs, default=None)


def compact(numbers: Sequence[int]) -> str:
    """Ascending ``numbers`` as a sequence-set, runs joined."""
    ranges = []
    first = last = numbers[0]
    for number in numbers:
        if number > last + 1:
            ranges.append(str(first) if first == last else f"{first}:{last}")
            first = number
        last = number
    ranges.append(str(first) if first == last else f"{first}:{last}")
    return ",".join(ranges)
