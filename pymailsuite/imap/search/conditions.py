"""SEARCH keys as conditions that pick from the rows of a batch. Source: RFC 3501 §6.4.4.

A condition is given places in a batch and answers those that fulfil it, in order: what costs little narrows the field
for what costs much, and each look at a column is one comprehension. ``cost`` orders conditions; its classes are also
the stages in which a plan reads. What conditions derive from a message they find in the batch, made once however many
they are; and from one condition to the next others may have their turn.
"""

from __future__ import annotations

import datetime
import enum
import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from attrs import frozen

from pymailsuite.imap.batch import Batch
from pymailsuite.imap.values import (
    AllOf,
    AnyOf,
    BodyHas,
    DateKind,
    DateRelation,
    HasDate,
    HasFlag,
    HasKeyword,
    HasModSeq,
    HeaderHas,
    InNumbers,
    IsLarger,
    IsRecent,
    IsSmaller,
    IsYounger,
    KnowsSaveDate,
    Not,
    SearchKey,
    TextHas,
)
from pymailsuite.interfaces import Column, MessageRow, Steps
from pymailsuite.message.envelope import date_and_subject
from pymailsuite.message.headers import decode_text, parse_date
from pymailsuite.message.search import Needle, body_texts, fold_text, header_text

_DAY: Final = 86400


class Cost(enum.IntEnum):
    """What has to be read before a condition can be looked at."""

    VIEW = 0
    """Nothing: a selected view knows UID, flags and modseq of its messages."""
    ROW = 1
    ENVELOPE = 2
    """A few hundred octets, where a header is read with all that follows it."""
    HEADER = 3
    OCTETS = 4


@frozen
class SearchContext:
    """What the session knows: sequence numbers by UID, the largest in use of both kinds (0: no message), who is recent.

    ``now`` is in POSIX seconds.
    """

    numbers: Callable[[int], int]
    largest_number: int
    largest_uid: int
    recent: Container[int]
    now: float


class SearchBatch(Batch):
    """Rows to search among."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[MessageRow], context: SearchContext) -> None:
        super().__init__(columns, rows, context.numbers, context.recent)
        self.context = context
        self._texts: dict[int, MessageText] = {}
        self._lower: tuple[int, bytes] = (-1, b"")

    @cached_property
    def sequence_numbers(self) -> Sequence[int]:
        """Of all rows."""
        return list(map(self.numbers, self.uids))

    @cached_property
    def keyword_sets(self) -> Mapping[str, frozenset[str]]:
        """The combinations of keywords in use, in lower case: a mailbox has a few of them and many messages."""
        return {text: frozenset(text.lower().split(" ")) for text in set(self[Column.KEYWORDS])}

    @cached_property
    def lower_headers(self) -> Sequence[bytes]:
        """Behind a line feed, in lower case."""
        return [b"\n" + header.lower() for header in self[Column.HEADER]]

    @cached_property
    def _dates_and_subjects(self) -> Sequence[tuple[bytes | None, bytes | None]]:
        return list(map(date_and_subject, self[Column.ENVELOPE]))

    @cached_property
    def written_dates(self) -> Sequence[datetime.date | None]:
        """What the Date fields say."""
        return [_written_date(body) for body, _ in self._dates_and_subjects]

    @cached_property
    def subjects(self) -> Sequence[tuple[bytes, bytes] | None]:
        """The bodies of the Subject fields, as they stand and in lower case."""
        return [None if body is None else (body, body.lower()) for _, body in self._dates_and_subjects]

    def lower_octets(self, place: int, octets: bytes) -> bytes:
        """All ``octets`` of one message in lower case; of the message that was asked for last they are kept."""
        if self._lower[0] != place:
            self._lower = place, octets.lower()
        return self._lower[1]

    def text(self, place: int) -> MessageText:
        """The text of one message."""
        text = self._texts.get(place)
        if text is None:
            text = self._texts[place] = MessageText(self, place)
        return text


class Condition(ABC):
    """One node of a search program."""

    cost: Cost = Cost.VIEW
    columns: tuple[Column, ...] = ()

    size: int = 1
    """How many conditions it is made of."""

    @abstractmethod
    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        """Those of ``places`` (ascending) whose message fulfils the condition."""

    def pick_in_steps(self, batch: SearchBatch, places: Sequence[int]) -> Steps[Sequence[int]]:
        """The same, a step for each condition."""
        yield
        return self.pick(batch, places)

    def decide(self, batch: SearchBatch, answers: Mapping[Condition, bool]) -> Steps[bool | None]:
        """If the one message of ``batch`` fulfils it; None if that hangs on a text condition not in ``answers``."""
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


# --- by what the view knows -----------------------------------------------------------------------------------------


class _ByNumber(Condition):
    def __init__(self, key: InNumbers) -> None:
        self._numbers = key.numbers
        self._meant: tuple[Sequence[int], Sequence[int]] | None = None

    def _ranges(self, context: SearchContext) -> tuple[Sequence[int], Sequence[int]]:
        """Where the ranges begin and end; they are looked up anew for each batch, and made once."""
        if self._meant is None:
            largest = context.largest_uid if self._numbers.uid else context.largest_number
            ranges = self._numbers.resolve(largest).ranges
            self._meant = [low for low, _ in ranges], [high for _, high in ranges]
        return self._meant

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        # Both kinds of numbers ascend with the rows. One that no message has matches nothing.
        ours = batch.uids if self._numbers.uid else batch.sequence_numbers
        lows, highs = self._ranges(batch.context)
        reached = range(bisect_left(highs, ours[0]), bisect_right(lows, ours[-1]))
        spans = [(bisect_left(ours, lows[at]), bisect_right(ours, highs[at])) for at in reached]
        if not spans or spans == [(0, len(ours))]:
            return places if spans else ()
        picked = frozenset(place for start, stop in spans for place in range(start, stop))
        return [place for place in places if place in picked]


class _ByFlag(Condition):
    columns = (Column.SYSTEM_FLAGS,)

    def __init__(self, key: HasFlag) -> None:
        self._bit = key.flag.value

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        system, bit = batch[Column.SYSTEM_FLAGS], self._bit
        return [place for place in places if system[place] & bit]


class _ByKeyword(Condition):
    columns = (Column.KEYWORDS,)

    def __init__(self, key: HasKeyword) -> None:
        self._keyword = key.keyword.lower()

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        keywords: Sequence[str] = batch[Column.KEYWORDS]
        combinations = {text for text, words in batch.keyword_sets.items() if self._keyword in words}
        if not combinations:
            return ()
        return [place for place in places if keywords[place] in combinations]


class _ByRecent(Condition):
    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        uids, recent = batch.uids, batch.recent_uids
        return [place for place in places if uids[place] in recent]


class _ByModSeq(Condition):
    columns = (Column.MODSEQ,)

    def __init__(self, key: HasModSeq) -> None:
        self._modseq = key.modseq

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        modseqs, least = batch[Column.MODSEQ], self._modseq
        return [place for place in places if modseqs[place] >= least]


# --- by other small columns -----------------------------------------------------------------------------------------


class _BySize(Condition):
    cost = Cost.ROW
    columns = (Column.SIZE,)

    def __init__(self, key: IsLarger | IsSmaller) -> None:
        self._octets = key.octets
        self._is_larger = isinstance(key, IsLarger)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        sizes, octets = batch[Column.SIZE], self._octets
        if self._is_larger:
            return [place for place in places if sizes[place] > octets]
        return [place for place in places if sizes[place] < octets]


class _ByStoredDate(Condition):
    """By a date the store keeps. It keeps moments, so their day is that of UTC."""

    cost = Cost.ROW

    def __init__(self, key: HasDate) -> None:
        self._column = Column.SAVE_DATE if key.kind is DateKind.SAVED else Column.INTERNAL_DATE
        self.columns = (self._column,)
        start = float(_DAY * (key.date.toordinal() - datetime.date(1970, 1, 1).toordinal()))
        self._from = float("-inf") if key.relation is DateRelation.BEFORE else start
        self._until = {
            DateRelation.BEFORE: start,
            DateRelation.ON: start + _DAY,
            DateRelation.SINCE: float("inf"),
        }[key.relation]

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        dates, start, stop = batch[self._column], self._from, self._until
        return [place for place in places if (date := dates[place]) is not None and start <= date < stop]


class _ByAge(Condition):
    cost = Cost.ROW
    columns = (Column.INTERNAL_DATE,)

    def __init__(self, key: IsYounger) -> None:
        self._seconds = key.seconds

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        dates, since = batch[Column.INTERNAL_DATE], batch.context.now - self._seconds
        return [place for place in places if dates[place] >= since]


# --- by the header --------------------------------------------------------------------------------------------------

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
# date = day month year   ; RFC 5322 §3.3; §4.3 allows two digits, and comments between
_WRITTEN_DAY = re.compile(rb"([0-9]{1,2})[ \t\r\n-]+([a-z]{3})[a-z]*+[ \t\r\n-]+([0-9]{2,4})(?![0-9])")


def _field_pattern(name: bytes) -> re.Pattern[bytes]:
    """Finds the bodies of the fields of that name (lower case) in LF and a header in lower case."""
    return re.compile(rb"\n" + re.escape(name) + rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)")


def _written_date(body: bytes | None) -> datetime.date | None:
    """The day that a Date field says, its time and zone disregarded (RFC 3501 §6.4.4)."""
    if body is None:
        return None
    body = body.lower()
    match = _WRITTEN_DAY.search(body[:200])
    if match is not None and match[2] in _MONTHS:
        year = int(match[3])
        if len(match[3]) < 4:
            # RFC 5322 §4.3: 00 to 49 are 2000 to 2049, other short years are counted from 1900.
            year += 2000 if len(match[3]) == 2 and year < 50 else 1900
        try:
            return datetime.date(year, _MONTHS[match[2]], int(match[1]))
        except ValueError:
            return None
    moment = parse_date(body)
    if moment is None:
        return None
    try:
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=moment // _DAY)
    except OverflowError:
        return None


class _BySentDate(Condition):
    cost = Cost.ENVELOPE
    columns = (Column.ENVELOPE,)

    def __init__(self, key: HasDate) -> None:
        self._date = key.date
        self._relation = key.relation

    def _holds(self, date: datetime.date | None) -> bool:
        if date is None:
            return False
        if self._relation is DateRelation.BEFORE:
            return date < self._date
        return date == self._date or (date > self._date and self._relation is DateRelation.SINCE)

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        dates = batch.written_dates
        return [place for place in places if self._holds(dates[place])]


def _raw_form(text: str) -> bytes | None:
    """What must stand in any plain ASCII text that contains ``text``, lower case; None if nothing must.

    White space may be folded in the raw text, so it is one word of several.
    """
    folded = fold_text(text)
    return max(folded.split(), key=len).encode("ascii") if folded.isascii() and folded.strip() else None


class _BySubject(Condition):
    """By the subject of the envelope, as RFC 3501 §6.4.4 has it."""

    cost = Cost.ENVELOPE
    columns = (Column.ENVELOPE,)

    def __init__(self, key: HeaderHas) -> None:
        self._needle = Needle(key.text)
        self._raw = _raw_form(key.text)
        folded = fold_text(key.text)
        self._raw_decides = self._raw is not None and len(self._raw) == len(folded)
        # Also sought in what is not decoded: clients look for encoded words too.
        self._undecoded = folded.encode("ascii") if folded.isascii() else None

    def _body_holds(self, body: bytes, lower: bytes) -> bool:
        if self._raw is not None and lower.isascii() and b"=?" not in lower:
            # Nothing to decode: most fields of most messages.
            if self._raw not in lower:
                return False
            if self._raw_decides:
                return True
        return (self._undecoded is not None and self._undecoded in lower) or self._needle.found_in(decode_text(body))

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        subjects = batch.subjects
        return [place for place in places if (subject := subjects[place]) is not None and self._body_holds(*subject)]


class _ByHeader(_BySubject):
    """By any field, each time it stands in the header."""

    cost = Cost.HEADER
    columns = (Column.HEADER,)

    def __init__(self, key: HeaderHas) -> None:
        super().__init__(key)
        self._bodies = _field_pattern(key.name.encode("utf-8")).finditer

    def _holds(self, header: bytes, lower: bytes) -> bool:
        for match in self._bodies(lower):
            if self._body_holds(header[match.start(1) - 1 : match.end(1) - 1], match[1]):
                return True
        return False

    def pick(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        headers, lower = batch[Column.HEADER], batch.lower_headers
        return [place for place in places if self._holds(headers[place], lower[place])]


# --- by the text ----------------------------------------------------------------------------------------------------

# A table of parts none of which hides ASCII text behind a transfer encoding or a charset that is no superset of it.
_PLAIN_PARTS = re.compile(
    rb"(?:[^ \n]*+ [^ \n]*+ [^ \n]*+ [^ \n]*+ [^ \n]*+ [^ \n]*+ (?:7bit|8bit|binary|) "
    rb"(?:us-ascii|utf-8|iso-8859-[0-9]++|windows-125[0-9]|)(?:\n|\Z))++",
    re.IGNORECASE,
).fullmatch


class MessageText:
    """The text of the message at a place of a batch, folded as it is compared; each part made when it is asked for."""

    def __init__(self, batch: SearchBatch, place: int) -> None:
        self._batch = batch
        self._place = place

    @property
    def _octets(self) -> bytes:
        octets: bytes = self._batch[Column.OCTETS][self._place]
        return octets

    @cached_property
    def header(self) -> str:
        """All fields of the header."""
        return fold_text(header_text(self._batch[Column.HEADER][self._place]))

    @cached_property
    def _content(self) -> bytes:
        return self._octets[self._batch.prefix_sizes[self._place] :]

    @cached_property
    def body(self) -> Sequence[str]:
        """Each text part."""
        return [fold_text(text) for text in body_texts(self._content, self._batch.table(self._place))]

    @cached_property
    def part_fields(self) -> Sequence[str]:
        """The header of each part."""
        root, content = self._batch.table(self._place).root, self._content
        return [
            fold_text(header_text(content[part.header_start : part.body_start]))
            for part in root.walk()
            if part is not root
        ]


class TextCondition(Condition):
    """BODY and TEXT: by the text parts of the message, decoded, and for TEXT by its header and those of its parts."""

    cost = Cost.OCTETS

    def __init__(self, key: BodyHas | TextHas) -> None:
        self.needle = Needle(key.text)
        self._raw = _raw_form(key.text)
        self.with_header = isinstance(key, TextHas)
        """True if the header of the message and those of its parts are looked at too."""
        self.columns = (Column.OCTETS, Column.PARTS, Column.PREFIX_SIZE)
        if self.with_header:
            self.columns += (Column.HEADER,)

    def found_in_header(self, batch: SearchBatch, place: int) -> bool:
        """True if the header decides it already."""
        return self.with_header and self.needle.found_in_folded(batch.text(place).header)

    def _may_hold(self, batch: SearchBatch, places: Sequence[int]) -> Sequence[int]:
        """Those that cannot be told from afar not to match, as most can: nothing to decode, and not this text."""
        raw = self._raw
        if raw is None:
            return places
        octets_of, parts_of = batch[Column.OCTETS], batch[Column.PARTS]
        return [
            place
            for place in places
            if not (octets := octets_of[place]).isascii()
            or raw in batch.lower_octets(place, octets)
            or not (b"=?" not in octets and _PLAIN_PARTS(parts_of[place]))
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


# --- from keys ------------------------------------------------------------------------------------------------------


def _header_condition(key: HeaderHas) -> Condition:
    return _BySubject(key) if key.name == "subject" else _ByHeader(key)


def _date_condition(key: HasDate) -> Condition:
    return _BySentDate(key) if key.kind is DateKind.SENT else _ByStoredDate(key)


_SIMPLE: Final[dict[type[Any], Callable[[Any], Condition]]] = {
    BodyHas: TextCondition,
    HasDate: _date_condition,
    HasFlag: _ByFlag,
    HasKeyword: _ByKeyword,
    HasModSeq: _ByModSeq,
    HeaderHas: _header_condition,
    InNumbers: _ByNumber,
    IsLarger: _BySize,
    IsRecent: lambda _: _ByRecent(),
    IsSmaller: _BySize,
    IsYounger: _ByAge,
    KnowsSaveDate: lambda _: All(()),
    TextHas: TextCondition,
}


def condition_of(key: SearchKey) -> Condition:
    """The condition that a key asks for."""
    if isinstance(key, AllOf):
        return All([condition_of(inner) for inner in key.keys])
    if isinstance(key, AnyOf):
        # a or b is not (not a and not b): the second is asked only of those that the first left over.
        return Negation(All([Negation(condition_of(inner)) for inner in key.keys]))
    if isinstance(key, Not):
        return Negation(condition_of(key.key))
    return _SIMPLE[type(key)](key)
