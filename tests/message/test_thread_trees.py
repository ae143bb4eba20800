"""Messages in trees. Source: RFC 5256 §3."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from pymailsuite.interfaces import drained
from pymailsuite.message.base_subject import base_subject, is_reply
from pymailsuite.message.fields import first_fields, thread_fields
from pymailsuite.message.thread_links import LINKS_MAX
from pymailsuite.message.thread_trees import (
    ThreadEntry,
    ThreadTrees,
    by_ordered_subject,
    by_references,
    by_refs,
    thread_ids,
)

Told = tuple[str, str, str, float]
"""A message: its identifier, those it refers to, its subject, its sent date."""


def entry(uid: int, told: Told) -> ThreadEntry:
    name, references, subject, sent_at = told
    header = (f"Message-ID: <{name}>\r\n" if name else "") + "References: "
    header += " ".join(f"<{one}>" for one in references.split()) + "\r\n\r\n"
    own_id, named = thread_ids(thread_fields(header.encode()))
    subject = subject.lower()
    base = base_subject(subject)
    return ThreadEntry(uid, sent_at, base, own_id, named, is_reply(subject, base))


def entries(*told: Told) -> list[ThreadEntry]:
    return [entry(uid, one) for uid, one in enumerate(told, 1)]


def nested(trees: ThreadTrees, count: int) -> str:
    """The trees as text: the number of a message, or ``-``, with its children in parentheses behind it."""

    def tree(place: int) -> str:
        children = trees.children.get(place, ())
        own = str(place + 1) if place < count else "-"
        return own + (f"({' '.join(map(tree, children))})" if children else "")

    return " ".join(map(tree, trees.roots))


def references(*told: Told) -> str:
    return nested(drained(by_references(entries(*told))), len(told))


def test_by_refs_threads_come_by_their_newest_message_whatever_their_subjects() -> None:
    # The order is what Dovecot 2.3.19 answers for these messages.
    told = entries(
        *[("a", "", "A", 1), ("b", "", "B", 2), ("c", "", "C", 3), ("a2", "a", "other", 9), ("c2", "c", "C", 4)],
        *[("x1", "gone", "X", 5), ("x2", "gone", "X", 6), ("d", "", "A", 20), ("e", "", "E", 7)],
    )
    assert nested(drained(by_refs(told)), len(told)) == "2 3(5) -(6 7) 9 1(4) 8"
    assert nested(drained(by_refs([])), 0) == ""


BY_SUBJECT: list[tuple[Sequence[Told], str]] = [
    ([], ""),
    ([("", "", "Tea", 3)], "1"),
    ([("", "", "Tea", 3), ("", "", "Re: tea", 5), ("", "", "milk", 4), ("", "", "[x] TEA (fwd)", 4)], "1(4 2) 3"),
    # The first by date is the root, whatever it is; threads are sorted by their roots.
    ([("", "", "b", 3), ("", "", "Re: a", 2), ("", "", "a", 4), ("", "", "c", 1)], "4 2(3) 1"),
    # Of one date: by number.
    ([("", "", "x", 1), ("", "", "x", 1), ("", "", "x", 1)], "1(2 3)"),
]


@pytest.mark.parametrize(("told", "expected"), BY_SUBJECT)
def test_by_ordered_subject(told: Sequence[Told], expected: str) -> None:
    assert nested(drained(by_ordered_subject(entries(*told))), len(told)) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], ""),
        ([("a", "", "s", 1)], "1"),
        # Step 1: a chain, whatever comes first, and whatever the subjects are.
        ([("a", "", "s", 1), ("b", "a", "Re: s", 2), ("c", "a b", "other", 3)], "1(2(3))"),
        ([("c", "a b", "x", 3), ("b", "a", "y", 2), ("a", "", "z", 1)], "3(2(1))"),
        # What is not there between two that are is left out.
        ([("a", "", "s", 1), ("c", "a b", "Re: s", 3)], "1(2)"),
        ([("d", "a b c", "Re: s", 3), ("a", "", "s", 1)], "2(1)"),
        # Several children of what is not there stay together, and one alone is a root.
        ([("b", "a", "x", 2), ("c", "a", "y", 1)], "-(2 1)"),
        ([("b", "a", "x", 2)], "1"),
        ([("c", "x a b", "p", 2), ("d", "x a b", "q", 1), ("e", "x y", "r", 0)], "-(3 2 1)"),
        # The last reference is the parent, whatever others said before.
        ([("c", "a b", "r", 3), ("d", "b c", "r", 4), ("b", "z", "r", 2), ("z", "", "r", 1)], "4(3(1(2)))"),
        # No loops.
        ([("a", "a", "x", 1)], "1"),
        ([("a", "b", "x", 1), ("b", "a", "y", 2)], "2(1)"),
        ([("a", "b c a", "x", 1), ("b", "c a", "y", 2), ("c", "a b", "z", 3)], "2(3(1))"),
        # Of two with one identifier the first has the children; without any there are none.
        ([("a", "", "x", 1), ("a", "", "y", 2), ("b", "a", "Re: x", 3)], "1(3) 2"),
        ([("", "", "x", 1), ("", "", "y", 2)], "1 2"),
        # Step 4 and 6: by date, then by number; a root that is not there by its first child.
        ([("a", "", "p", 9), ("", "", "", 9), ("c", "m", "r", 8), ("d", "m", "s", 3), ("", "", "", 5)], "-(4 3) 5 1 2"),
        ([("a", "", "s", 1), ("b", "a", "s", 5), ("c", "a", "s", 3), ("d", "a", "s", 5)], "1(3 2 4)"),
        # Step 5: a reply to the subject alone belongs to the message that is none.
        ([("a", "", "Tea", 1), ("b", "", "Re: tea", 2), ("c", "", "Fwd: Tea", 3)], "1(2 3)"),
        ([("b", "", "Re: tea", 1), ("a", "", "Tea", 2)], "2(1)"),
        # Two that are no replies are siblings; so are two replies.
        ([("a", "", "Tea", 1), ("b", "", "tea", 2)], "-(1 2)"),
        ([("a", "", "Re: Tea", 1), ("b", "", "Re: tea", 2), ("c", "", "Re: tea", 0)], "-(3 1 2)"),
        # Empty base subjects have nothing in common.
        ([("a", "", "", 1), ("b", "", "Re:", 2)], "1 2"),
        # What is not there takes in others of its subject, and the children of others that are not there.
        ([("b", "a", "Re: tea", 2), ("c", "a", "Re: tea", 3), ("d", "", "Tea", 1)], "-(3 1 2)"),
        ([("b", "a", "tea", 2), ("c", "a", "tea", 3), ("e", "d", "tea", 1), ("f", "d", "tea", 4)], "-(3 1 2 4)"),
        # The name of a list in brackets makes no reply.
        ([("a", "", "[l] Tea", 1), ("b", "", "Tea", 2)], "-(1 2)"),
        # A child keeps its children when threads are merged.
        ([("a", "", "Tea", 1), ("b", "", "Re: tea", 2), ("c", "b", "Re: tea", 3)], "1(2(3))"),
    ],
)  # fmt: skip
def test_by_references(told: Sequence[Told], expected: str) -> None:
    assert references(*told) == expected


def test_in_reply_to_counts_where_there_are_no_references() -> None:
    def named(header: bytes) -> int:
        return len(thread_ids(thread_fields(header))[1])

    assert named(b"In-Reply-To: your mail <a@x> of <b@x>\r\n\r\n") == 1
    assert named(b"References: none\r\nIn-Reply-To: <a@x>\r\n\r\n") == 1
    assert named(b"In-Reply-To: <a@x>\r\nReferences: <b@x>\r\n <c@x>\r\n\r\n") == 2
    assert named(b"\r\n") == 0
    many = b" ".join(b"<%d@x>" % number for number in range(500))
    assert named(b"References: " + many + b"\r\n\r\n") == LINKS_MAX
    own, links = thread_ids(thread_fields(b"Message-ID: <1@x>\r\nReferences: <0@x> <1@x>\r\n\r\n"))
    assert links[1] == own


def test_every_message_is_told_once_whatever_they_refer_to() -> None:
    rng = random.Random(5)
    for _ in range(300):
        names = [f"n{number}" for number in range(8)]
        told = [
            (
                rng.choice([*names, ""]),
                " ".join(rng.choices(names, k=rng.randrange(5))),
                rng.choice(["", "tea", "Re: tea", "Fwd: milk", "milk"]),
                float(rng.randrange(4)),
            )
            for _ in range(rng.randrange(12))
        ]
        trees = drained(by_references(entries(*told)))
        left, seen = list(trees.roots), []
        while left:
            place = left.pop()
            seen.append(place)
            left += trees.children.get(place, ())
        assert sorted(place for place in seen if place < len(told)) == list(range(len(told))), told
        assert len(seen) == len(set(seen)), told


def test_a_thread_of_any_depth() -> None:
    count = 5_000
    for order in (1, -1):
        numbers = range(count)[::order]
        told = [(f"{number}", f"{number - 1}" if number else "", "Re: x", float(number)) for number in numbers]
        trees = drained(by_references(entries(*told)))
        assert len(trees.roots) == 1
        assert len(trees.children) == count - 1


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"MESSAGE-ID : <1@x>\r\nReferences:\r\n <0@x>\r\n\t<9@x>\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <0@x>\r\n\r\n",
        b"X-References: <0@x>\nreferences: " + b"<0@x> " * 200_000 + b"\nTo: a@x\n\n",
    ],
)
def test_fields_that_link_messages_are_those_that_a_scan_finds(header: bytes) -> None:
    wanted = ("message-id", "references", "in-reply-to")
    found = {name: body for name, body in first_fields(header).items() if name.decode() in wanted}
    assert thread_ids(thread_fields(header)) == thread_ids(found)
