"""SEARCH keys as conditions that pick from the rows of a batch. Source: RFC 3501 §6.4.4.

A condition takes places in a batch and returns those that fulfil it, in order: cheap conditions reduce the messages for
expensive ones, and each test of a column is one comprehension. ``cost`` orders conditions; its classes are also the
stages in which a plan reads. The batch holds the values derived from a message, computed once for all conditions; and
between two conditions other sessions may have their turn.
"""

from __future__ import annotations

import enum
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from pymailsuite.imap.search.batch import SearchBatch
from pymailsuite.imap.values import BodyHas, ConditionKey, HeaderHas, TextHas
from pymailsuite.interfaces import Column, Steps
from pymailsuite.message.search import Needle, fold_text
from pymailsuite.message.similar import SimilarNeedle


class Cost(enum.IntEnum):
    """The data that must be read before a condition can be evaluated."""

    VIEW = 0
    """None: a selected view has UID, flags and modseq of its messages."""
    ROW = 1
    KEYS = 2
    """Data derived from a header, where the header itself is read with the whole message."""
    HEADER = 3
    OCTETS = 4


class Condition(ConditionKey, ABC):
    """One node of a search program."""

    cost: Cost = Cost.VIEW
    columns: tuple[Column, ...] = ()

    size: int = 1
    """The number of conditions it consists of."""

    asks_modseq: bool = False
    """The reply then has the highest mod-sequence found (RFC 7162 §3.1.5)."""

    @abstractmethod
    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        """Those of ``places`` (ascending) whose message fulfils the condition."""

    def pick_in_steps(self, batch: SearchBatch, places: Sequence[int]) -> Steps[Sequence[int]]:
        """The same, a step for each condition."""
        yield
        return self.pick(batch, places)

    def decide(self, batch: SearchBatch, answers: Mapping[Condition, bool]) -> Steps[bool | None]:
        """Whether the one message of ``batch`` fulfils it; None if that depends on a text condition not in
        ``answers``."""
        yield
        return bool(self.pick(batch, (0,)))

    def text_conditions(self) -> list[TextCondition]:
        """Conditions in this one that need the octets of the message."""
        return []


# --- together -------------------------------------------------------------------------------------------------------


class All(Condition):
    """All of some conditions; of none: any message."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = sorted(conditions, key=lambda condition: condition.cost)
        self.cost = max((condition.cost for condition in conditions), default=Cost.VIEW)
        self.columns = tuple(dict.fromkeys(column for condition in conditions for column in condition.columns))
        self.size = sum(condition.size for condition in conditions)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        for condition in self.conditions:
            if not places:
                break
            places = condition.pick(batch, places)
        return places

    def pick_in_steps(self, batch: SearchBatch, places: Sequence[int]) -> Steps[Sequence[int]]:
        for condition in self.conditions:
            if not places:
                break
            places = yield from condition.pick_in_steps(batch, places)
        return places

    def decide(self, batch: SearchBatch, answers: Mapping[Condition, bool]) -> Steps[bool | None]:
        is_open = False
        for condition in self.conditions:
            decision = yield from condition.decide(batch, answers)
            if decision is False:
                return False
            is_open |= decision is None
        return None if is_open else True

    def text_conditions(self) -> list[TextCondition]:
        return [text for condition in self.conditions for text in condition.text_conditions()]


class Negation(Condition):
    """Not a condition."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.cost = condition.cost
        self.columns = condition.columns
        self.size = condition.size

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        return _without(places, self._condition.pick(batch, places))

    def pick_in_steps(self, batch: SearchBatch, places: Sequence[int]) -> Steps[Sequence[int]]:
        return _without(places, (yield from self._condition.pick_in_steps(batch, places)))

    def decide(self, batch: SearchBatch, answers: Mapping[Condition, bool]) -> Steps[bool | None]:
        decision = yield from self._condition.decide(batch, answers)
        return None if decision is None else not decision

    def text_conditions(self) -> list[TextCondition]:
        return self._condition.text_conditions()


def _without(places: Sequence[int], picked: Sequence[int]) -> Sequence[int]:
    gone = frozenset(picked)
    return [place for place in places if place not in gone]


# --- by the text

# A table of parts none of which hides ASCII text behind a transfer encoding or a charset that is no superset of it.
_PLAIN_PARTS = re.compile(
    rb"(?:[^ \n]*+ [^ \n]*+ [^ \n]*+ [^ \n]*+ [^ \n]*+ [^ \n]*+ (?:7bit|8bit|binary|) "
    rb"(?:us-ascii|utf-8|iso-8859-[0-9]++|windows-125[0-9]|)(?:\n|\Z))++",
    re.IGNORECASE,
).fullmatch


def raw_form(text: str) -> bytes | None:
    """A string, in lower case, in any plain ASCII text that contains ``text``; None if there is none.

    White space may be folded in the raw text, so it is one word of several.
    """
    folded = fold_text(text)
    return max(folded.split(), key=len).encode("ascii") if folded.isascii() and folded.strip() else None


def needle_of(key: BodyHas | TextHas | HeaderHas) -> Needle:
    """What finds the text of a key."""
    return SimilarNeedle(key.text) if key.fuzzy else Needle(key.text)


class TextCondition(Condition):
    """BODY and TEXT: by the text parts of the message, decoded, and for TEXT by its header and those of its parts."""

    cost = Cost.OCTETS

    def __init__(self, key: BodyHas | TextHas) -> None:
        self.needle = needle_of(key)
        self._raw = None if key.fuzzy else raw_form(key.text)
        self.with_header = isinstance(key, TextHas)
        """True if the header of the message and those of its parts are searched too."""
        self.columns = (Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE)
        if self.with_header:
            self.columns += (Column.HEADER,)

    def found_in_header(self, batch: SearchBatch, place: int) -> bool:
        """True if the header decides it already."""
        return self.with_header and self.needle.found_in_folded(batch.text(place).header)

    def _may_hold(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        """The places that a quick test does not exclude; it excludes most: messages without encoded text that lack this
        text."""
        raw = self._raw
        if raw is None:
            return places
        octets_of, parts_of, may_apply = batch[Column.OCTETS], batch[Column.PARTS], batch.context.extraction.may_apply
        return [
            place
            for place in places
            if not (octets := octets_of[place]).isascii()
            or raw in batch.lower_octets(place, octets)
            or not (b"=?" not in octets and _PLAIN_PARTS(parts_of[place]))
            or may_apply(parts_of[place])
        ]

    def _holds(self, batch: SearchBatch, place: int) -> bool:
        text = batch.text(place)
        if self.found_in_header(batch, place):
            return True
        if any(map(self.needle.found_in_folded, text.body)):
            return True
        return self.with_header and any(map(self.needle.found_in_folded, text.part_fields))

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        return [place for place in self._may_hold(batch, places) if self._holds(batch, place)]

    def decide(self, batch: SearchBatch, answers: Mapping[Condition, bool]) -> Steps[bool | None]:
        yield
        return answers.get(self)

    def text_conditions(self) -> list[TextCondition]:
        return [self]
