"""Threads as THREAD of IMAP tells them: trees of messages, in steps. Source: RFC 5256 §3.

Other than the threads of :mod:`pymailsuite.message.thread_links` they are made of the messages that a search finds, and
a reply belongs to what it refers to whatever its subject is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

from attrs import frozen

from pymailsuite.interfaces.mail import Steps, mapped_in_steps
from pymailsuite.message.sorting import ITEMS_A_STEP, sorted_in_steps
from pymailsuite.message.thread_links import LINKS_MAX, identifiers

_NONE: Final = -1


class ThreadEntry(NamedTuple):
    """What is known of a message to be put into a thread."""

    uid: int
    sent_at: float
    """The sent date (``sorting.sent_moment``)."""
    base_subject: str
    own_id: int | None = None
    """A hash of its identifier; None if it has none."""
    references: Sequence[int] = ()
    """Hashes of the identifiers of messages it refers to, the first message of the thread first."""
    is_reply: bool = False
    """Its subject is one of a reply or a forward."""


@frozen
class ThreadTrees:
    """Trees of the places of messages among those given. A place behind the last one stands for a message that is not
    there, whose children belong together."""

    roots: Sequence[int]
    children: Mapping[int, Sequence[int]]
    """Of those that have any."""


def thread_ids(found: Mapping[bytes, bytes]) -> tuple[int | None, Sequence[int]]:
    """``own_id`` and ``references`` of a message with these header fields (``fields.thread_fields``). They mean
    something in this process alone, whose hashes nobody outside can foresee.

    In-Reply-To counts where References names none, and of what that names the first.
    """
    own = identifiers(found.get(b"message-id", b""))[:1]
    named = identifiers(found.get(b"references", b"")) or identifiers(found.get(b"in-reply-to", b""))[:1]
    if len(named) > LINKS_MAX:
        named = [named[0], *named[1 - LINKS_MAX :]]
    return (hash(own[0]) if own else None), array("q", map(hash, named))


def by_ordered_subject(entries: Sequence[ThreadEntry]) -> Steps[ThreadTrees]:
    """ORDEREDSUBJECT: the first message of each base subject, with all others of it as its children."""
    # By the date of their first message, as they are met.
    roots: list[int] = []
    first: dict[str, int] = {}
    children: dict[int, list[int]] = {}
    for count, place in enumerate((yield from _by_date(entries, range(len(entries))))):
        if count % ITEMS_A_STEP == 0:
            yield
        root = first.setdefault(entries[place].base_subject, place)
        if root == place:
            roots.append(place)
        else:
            children.setdefault(root, []).append(place)
    return ThreadTrees(roots, children)


def by_references(entries: Sequence[ThreadEntry]) -> Steps[ThreadTrees]:
    """REFERENCES. ``entries`` are in the order of their sequence numbers."""
    parents = yield from _Links(entries).made()
    forest = _Forest(entries)
    yield from forest.prune(parents)
    yield from forest.sort()
    yield from forest.merge_subjects(len(parents))
    yield from forest.sort()
    return ThreadTrees(forest.roots, forest.children)


def by_refs(entries: Sequence[ThreadEntry]) -> Steps[ThreadTrees]:
    """REFS: as REFERENCES, but subjects put nothing together, and the thread with the newest message is the last one.

    Source: draft-ietf-morg-inthread. By the sent date, as Dovecot has it.
    """
    parents = yield from _Links(entries).made()
    forest = _Forest(entries)
    yield from forest.prune(parents)
    yield from forest.sort()
    yield from forest.sort_by_newest()
    return ThreadTrees(forest.roots, forest.children)


def _by_date(entries: Sequence[ThreadEntry], places: Sequence[int]) -> Steps[list[int]]:
    return sorted_in_steps(places, lambda place: (entries[place].sent_at, place))


class _Links:
    """Step 1: which message, there or not, is the parent of which."""

    def __init__(self, entries: Sequence[ThreadEntry]) -> None:
        self._entries = entries
        self._parents = [_NONE] * len(entries)
        self._child_counts = [0] * len(entries)
        self._places: dict[int, int] = {}

    def made(self) -> Steps[list[int]]:
        """The parent of each; those that are not there come behind those that are."""
        for place, entry in enumerate(self._entries):
            if place % ITEMS_A_STEP == 0:
                yield
            if entry.own_id is not None:
                # Of several with one identifier the first has it.
                self._places.setdefault(entry.own_id, place)
        parents = self._parents
        for place, entry in enumerate(self._entries):
            if place % ITEMS_A_STEP == 0:
                yield
            named = [self._place(one) for one in entry.references]
            for parent, child in pairwise(named):
                if parents[child] == _NONE:
                    yield from self._join(parent, child)
            if parents[place] != _NONE:
                # What others say of it came from a list that was cut, or is wrong.
                self._child_counts[parents[place]] -= 1
                parents[place] = _NONE
            if named:
                yield from self._join(named[-1], place)
        return parents

    def _place(self, identifier: int) -> int:
        place = self._places.setdefault(identifier, len(self._parents))
        if place == len(self._parents):
            self._parents.append(_NONE)
            self._child_counts.append(0)
        return place

    def _join(self, parent: int, child: int) -> Steps[None]:
        """Make one the parent of the other, unless it is among its descendants."""
        if parent == child:
            return
        if self._child_counts[child]:
            steps = 0
            ancestor = parent
            while ancestor != _NONE:
                if ancestor == child:
                    return
                ancestor = self._parents[ancestor]
                steps += 1
                if steps % ITEMS_A_STEP == 0:
                    yield
        self._parents[child] = parent
        self._child_counts[parent] += 1


class _Forest:
    """Steps 2 to 6. What is not there is a root, or nothing."""

    def __init__(self, entries: Sequence[ThreadEntry]) -> None:
        self._entries = entries
        self.roots: list[int] = []
        self.children: dict[int, list[int]] = {}

    def prune(self, parents: Sequence[int]) -> Steps[None]:
        """Steps 2 and 3: children of what is not there go to the next ancestor that is; or they stay together, if they
        are several."""
        present = len(self._entries)
        settled: dict[int, int] = {}
        for place in range(present):
            if place % ITEMS_A_STEP == 0:
                yield
            path = []
            ancestor = parents[place]
            while ancestor >= present and ancestor not in settled and parents[ancestor] != _NONE:
                path.append(ancestor)
                ancestor = parents[ancestor]
            ancestor = settled.get(ancestor, ancestor)
            if path:
                settled.update(dict.fromkeys(path, ancestor))
            if ancestor == _NONE:
                self.roots.append(place)
            else:
                self.children.setdefault(ancestor, []).append(place)
        for absent in [place for place in self.children if place >= present]:
            if len(self.children[absent]) == 1:
                self.roots += self.children.pop(absent)
            else:
                self.roots.append(absent)

    def sort(self) -> Steps[None]:
        """Steps 4 and 6: by sent date, each of those that are not there by its first child."""
        for count, (place, children) in enumerate(self.children.items()):
            if count % ITEMS_A_STEP == 0:
                yield
            if len(children) > 1:
                self.children[place] = yield from _by_date(self._entries, children)
        entries, first = self._entries, self._first
        self.roots = yield from sorted_in_steps(self.roots, lambda root: (entries[first(root)].sent_at, first(root)))

    def sort_by_newest(self) -> Steps[None]:
        """Threads by the sent date of the newest message in each."""
        entries, present, children = self._entries, len(self._entries), self.children
        newest: dict[int, tuple[float, int]] = {}
        looked_at = 0
        for root in self.roots:
            greatest = (-inf, 0)
            left = [root]
            while left:
                place = left.pop()
                if place < present:
                    greatest = max(greatest, (entries[place].sent_at, place))
                left += children.get(place, ())
                looked_at += 1
                if looked_at % ITEMS_A_STEP == 0:
                    yield
            newest[root] = greatest
        self.roots = yield from sorted_in_steps(self.roots, newest.__getitem__)

    def _first(self, root: int) -> int:
        return root if root < len(self._entries) else self.children[root][0]

    def merge_subjects(self, absent: int) -> Steps[None]:
        """Step 5: put threads of one subject together; ``absent`` is the first place that stands for nothing yet."""
        entries, present, children = self._entries, len(self._entries), self.children
        subjects = yield from mapped_in_steps(
            lambda root: entries[self._first(root)].base_subject, self.roots, ITEMS_A_STEP
        )
        chosen = yield from self._chosen(zip(self.roots, subjects, strict=True))
        gone = set()
        added = []
        for count, (root, subject) in enumerate(zip(self.roots, subjects, strict=True)):
            if count % ITEMS_A_STEP == 0:
                yield
            held = chosen.get(subject, root)
            if held == root or root in gone:
                continue
            gone.add(root)
            if root >= present:
                children[held] += children.pop(root)
            elif held >= present or (entries[root].is_reply and not entries[held].is_reply):
                children.setdefault(held, []).append(root)
            else:
                gone.add(held)
                children[absent] = [held, root]
                added.append(absent)
                chosen[subject] = absent
                absent += 1
        self.roots = [root for root in self.roots if root not in gone] + added

    def _chosen(self, subjects: Iterable[tuple[int, str]]) -> Steps[dict[str, int]]:
        """The root of each subject with which others are merged: best one that is not there, then one that is no
        reply."""
        entries, present = self._entries, len(self._entries)
        chosen: dict[str, int] = {}
        for count, (root, subject) in enumerate(subjects):
            if count % ITEMS_A_STEP == 0:
                yield
            if not subject:
                continue
            held = chosen.setdefault(subject, root)
            if held < present and (root >= present or (entries[held].is_reply and not entries[root].is_reply)):
                chosen[subject] = root
        return chosen
