"""The client's view of its selected mailbox, and the replies that follow from its difference to the present state.

A client counts messages by their place among those it knows of, so a session's numbers change only by the session's
EXPUNGE and EXISTS (RFC 3501 §7.3, §7.4.1). The view holds one entry for each reported message, in three parallel
columns: UID, flags, modseq, some 20 octets a message. Places are counted from 0, sequence numbers from 1. An expunge by
another session waits here until a command during which it may be reported.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import lt
from typing import Any, Final, overload

from pymailsuite.errors import PeerError
from pymailsuite.imap.flags import FlagState, flag_state, flag_states
from pymailsuite.imap.snapshots import Snapshot
from pymailsuite.imap.values import SequenceSet
from pymailsuite.interfaces import Mailbox, MailboxChanges, StoreResult
from pymailsuite.interfaces.flag_rows import FlagRows
from pymailsuite.interfaces.rights import Right
from pymailsuite.values import UID_MAX, AccountId, NumberSet, SystemFlag, UidSet

Row = tuple[int, int, str, int]
"""A message as the store returns it: uid, system flags, keywords, modseq."""

Spans = list[tuple[int, int]]
"""Places of messages: ascending, disjoint, half-open ranges."""


_BLOCK: Final = 1024
"""Messages that are looked at together."""


def joined(places: Iterable[int]) -> Spans:
    """Ascending places as spans."""
    if isinstance(places, Sequence) and places and places[-1] - places[0] == len(places) - 1:
        return [(places[0], places[-1] + 1)]
    spans: Spans = []
    for place in places:
        if spans and spans[-1][1] == place:
            spans[-1] = (spans[-1][0], place + 1)
        else:
            spans.append((place, place + 1))
    return spans


def count_of(spans: Spans) -> int:
    """How many places these are."""
    return sum(stop - start for start, stop in spans)


class Cut:
    """Spans, taken off piece by piece."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans[::-1]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self._spans

    def take(self, count: int) -> Spans:
        """The next ``count`` places."""
        taken: Spans = []
        while count and self._spans:
            start, stop = self._spans.pop()
            if stop - start > count:
                self._spans.append((start + count, stop))
                stop = start + count
            taken.append((start, stop))
            count -= stop - start
        return taken

    def put_back(self, taken: Spans, first: int) -> None:
        """Put back the places from ``first`` on, of those taken last."""
        self._spans += [(max(start, first), stop) for start, stop in reversed(taken) if stop > first]


class Rows(Sequence[Row]):
    """Messages as rows, made on access: for a thread that goes through very many."""

    def __init__(self, uids: array[int], states: list[FlagState], modseqs: array[int]) -> None:
        self._uids = uids
        self._states = states
        self._modseqs = modseqs

    def __len__(self) -> int:
        return len(self._uids)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, int):
            state = self._states[place]
            return self._uids[place], state.system, state.keywords, self._modseqs[place]
        states = self._states[place]
        return list(
            zip(
                self._uids[place],
                [state.system for state in states],
                [state.keywords for state in states],
                self._modseqs[place],
                strict=True,
            )
        )


class View:
    """The selected mailbox as the client knows it. Only its session changes it, and only between commands' reads."""

    __slots__ = (
        "_gone",
        "keywords",
        "mail",
        "mailbox_id",
        "modseq",
        "modseqs",
        "name",
        "read_only",
        "recent",
        "rights",
        "saved",
        "states",
        "tells_recent",
        "uid_next",
        "uid_only",
        "uid_validity",
        "uids",
        "updated",
    )

    def __init__(self, mail: Any, mailbox: Mailbox, read_only: bool, rows: Sequence[Row] | Snapshot) -> None:
        """``mail`` is the IAccountMail that the mailbox belongs to, which may be another account's."""
        self.mail = mail
        self.mailbox_id = mailbox.mailbox_id
        self.name = mailbox.name
        """As the store has it."""
        self.uid_validity = mailbox.uid_validity
        self.uid_next = mailbox.uid_next
        """When the mailbox was opened: a UID below it is in the view, or was expunged by then."""
        self.read_only = read_only
        self.uid_only = False
        """The client is told UIDs, and no sequence numbers. Source: RFC 9586."""
        self.rights = mailbox.rights
        """The user's, when the mailbox was opened; the store knows those of the moment."""
        if isinstance(rows, Snapshot):
            self.uids = rows.uids[:]
            self.states = rows.states[:]
            self.modseqs = rows.modseqs[:]
            self.keywords = rows.keywords
            self.modseq = rows.modseq
        else:
            columns = FlagRows.of(rows)
            states = [flag_state(*combination) for combination in columns.combinations]
            self.uids = columns.uids[:]
            self.states = list(map(states.__getitem__, columns.numbers))
            self.modseqs = columns.modseqs[:]
            self.keywords = frozenset()
            """Keywords that were sent to the client in FLAGS."""
            self.modseq = mailbox.highest_modseq
            """All changes up to this modseq are in the view, or wait in it. Rows of the session's own commands may be
            newer."""
            self.note_keywords(states)
        # RFC 3501 §6.3.2: EXAMINE shows recent messages, and does not claim them.
        self.recent = UidSet(((mailbox.first_recent, UID_MAX),)) if read_only else UidSet()
        self.tells_recent = True
        """False if the client is told nothing about ``\\Recent``."""
        self.saved = UidSet()
        """What ``$`` means; messages that are gone by now may be in it. Source: RFC 5182."""
        self.updated: list[Any] = []
        """Searches whose results are kept up to date: ``updates.SearchUpdates``, which import views."""
        self._gone: set[int] | None = None

    def forget_recent(self) -> None:
        """``\\Recent`` is not spoken of: IMAP4rev2 has none (RFC 9051 Appendix E)."""
        self.recent = UidSet()
        self.tells_recent = False

    def allows(self, right: Right) -> bool:
        """Whether the client may change what this right is for, as far as the view knows."""
        return not self.read_only and right in self.rights

    def snapshot(self) -> Snapshot | None:
        """The snapshot from which the next session may start; None if changes are still to be reported. The view must
        not be used afterwards."""
        if self._gone is not None:
            return None
        return Snapshot(
            self.mailbox_id,
            self.uid_validity,
            self.modseq,
            self.uids,
            self.states,
            self.modseqs,
            self.keywords,
        )

    def is_at(self, account_id: AccountId, name: str) -> bool:
        """True if it is of the mailbox that this account has under this name."""
        return self.name == name and self.mail.account_id == account_id

    def is_of(self, mailbox: Mailbox) -> bool:
        """True if it is of this mailbox."""
        return self.mailbox_id == mailbox.mailbox_id and self.mail.account_id == mailbox.account_id

    # --- numbers

    def __len__(self) -> int:
        """Messages the client knows of: EXISTS."""
        return len(self.uids)

    def number_of(self, uid: int) -> int:
        """The sequence number of a UID, 0 if the client knows of no such message."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else 0

    def places(self, numbers: SequenceSet) -> Spans:
        """The places of the messages of a set.

        PeerError for an unused sequence number; an unused UID is ignored (RFC 3501 §6.4.8), in ``$`` too.
        """
        if numbers.is_saved:
            return self.places_of(self.saved)
        uids = self.uids
        count = len(uids)
        if numbers.uid:
            return self.places_of(numbers.resolve(uids[-1] if count else 0))
        ranges = numbers.resolve(count).ranges
        if not ranges or ranges[-1][1] > count:
            raise PeerError("Invalid message sequence number")
        return [(low - 1, high) for low, high in ranges]

    def places_of(self, uids: NumberSet) -> Spans:
        """The places of the messages with these UIDs; an unused UID is ignored."""
        own = self.uids
        spans = []
        for low, high in uids.ranges:
            start, stop = bisect_left(own, low), bisect_right(own, high)
            if start < stop:
                spans.append((start, stop))
        return spans

    def uids_of(self, spans: Spans) -> UidSet:
        """Their UIDs. Between the first and the last of a span no UID is in use that the client does not know of."""
        uids = self.uids
        return UidSet((uids[start], uids[stop - 1]) for start, stop in spans)

    def unknown(self, uids: UidSet) -> UidSet:
        """The subset of these UIDs for which the view has no message."""
        gaps: list[tuple[int, int]] = []
        for low, high in uids.ranges:
            start, stop = bisect_left(self.uids, low), bisect_right(self.uids, high)
            known = self.uids[start:stop]
            pairs = zip((low - 1, *known), (*known, high + 1), strict=True)
            gaps += [(before + 1, after - 1) for before, after in pairs if after - before > 1]
        return UidSet(gaps)

    def rows(self) -> Rows:
        """All messages as rows; as they are now, independent of later changes to the view."""
        return Rows(self.uids[:], self.states[:], self.modseqs[:])

    def rows_of(self, uids: Sequence[int]) -> list[Row]:
        """The rows of these messages, of which the client knows all."""
        rows = Rows(self.uids, self.states, self.modseqs)
        return [rows[self.number_of(uid) - 1] for uid in uids]

    def recent_count(self) -> int:
        """Messages of this view that are recent: RECENT."""
        uids = self.uids
        return sum(bisect_right(uids, high) - bisect_left(uids, low) for low, high in self.recent.ranges)

    def runs(self, spans: Spans) -> Iterator[tuple[int, int, bool]]:
        """The same places as (start, stop, whether these messages are recent)."""
        if not self.recent:
            for start, stop in spans:
                yield start, stop, False
            return
        uids = self.uids
        recent = [(bisect_left(uids, low), bisect_right(uids, high)) for low, high in self.recent.ranges]
        for start, stop in spans:
            at = start
            for low, high in recent[max(bisect_right(recent, (start, len(uids) + 1)) - 1, 0) :]:
                if low >= stop:
                    break
                if low > at:
                    yield at, low, False
                if high > at:
                    yield max(at, low), min(high, stop), True
                    at = min(high, stop)
            if at < stop:
                yield at, stop, False

    # --- flags

    def first_unseen(self) -> int:
        """The sequence number of the first message without ``\\Seen``, 0 if there is none."""
        seen, states = SystemFlag.SEEN.value, self.states
        # Looked for by combinations of flags, which are few.
        return min((states.index(state) + 1 for state in set(states) if not state.system & seen), default=0)

    def lacking(self, spans: Spans, flag: SystemFlag) -> Spans:
        """Those of the places whose message lacks a flag."""
        bit, states = flag.value, self.states
        return joined(place for span in spans for place in range(*span) if not states[place].system & bit)

    def having(self, spans: Spans, flag: SystemFlag) -> Spans:
        """Those of the places whose message has a flag."""
        bit, states = flag.value, self.states
        return joined(place for span in spans for place in range(*span) if states[place].system & bit)

    def has_any(self, flag: SystemFlag) -> bool:
        """True if the client knows of a message with this flag."""
        bit = flag.value
        return any(state.system & bit for state in set(self.states))

    def changed_since(self, spans: Spans, modseq: int) -> Spans:
        """Those of the places that changed after ``modseq`` (CHANGEDSINCE, RFC 7162 §3.1.4.1)."""
        modseqs = self.modseqs
        # Most blocks hold no change, which takes no step of Python for each of their messages.
        blocks = [
            (at, min(at + _BLOCK, stop))
            for start, stop in spans
            for at in range(start, stop, _BLOCK)
            if max(modseqs[at : min(at + _BLOCK, stop)]) > modseq
        ]
        return joined(place for block in blocks for place in range(*block) if modseqs[place] > modseq)

    def note_keywords(self, states: Iterable[FlagState]) -> bool:
        """Note the keywords of these; True if one is new, so that FLAGS must be sent before they are (S114)."""
        return self.note_words({state.keywords for state in states if state.keywords})

    def note_words(self, combinations: Iterable[str]) -> bool:
        """The same for keywords as the store gives them."""
        seen = {word for words in combinations for word in words.split()}
        if seen <= self.keywords:
            return False
        self.keywords |= seen
        return True

    def take_rows(self, rows: Sequence[Row]) -> tuple[list[int], list[int], bool]:
        """Rows as they are now, by ascending UID: the places of those the client knows of, those of them that changed,
        and if a keyword is new.

        A row that is not newer than the view's is no change: the session's own command reported it already.
        """
        places, known = self._known(FlagRows.of(rows))
        combinations = [flag_state(*combination) for combination in known.combinations]
        states, modseqs = self.states, self.modseqs
        is_newer = list(map(lt, map(modseqs.__getitem__, places), known.modseqs))
        changed = list(compress(places, is_newer))
        newer = known.only(is_newer)
        new_states = list(map(combinations.__getitem__, newer.numbers))
        if changed and changed[-1] - changed[0] == len(changed) - 1:
            states[changed[0] : changed[-1] + 1] = new_states
            modseqs[changed[0] : changed[-1] + 1] = newer.modseqs
        else:
            for place, state, modseq in zip(changed, new_states, newer.modseqs, strict=True):
                states[place] = state
                modseqs[place] = modseq
        for search in self.updated:
            search.note_changed([self.uids[place] for place in changed])
        return places, changed, self.note_keywords(set(new_states))

    def _known(self, rows: FlagRows) -> tuple[list[int], FlagRows]:
        """The places of those of the rows that the client knows of, and these rows."""
        own, uids = self.uids, rows.uids
        place = bisect_left(own, uids[0]) if uids else 0
        # Mostly they are consecutive messages.
        if own[place : place + len(uids)] == uids:
            return list(range(place, place + len(uids))), rows
        places = [bisect_left(own, uid) for uid in uids]
        there = [place < len(own) and own[place] == uid for place, uid in zip(places, uids, strict=True)]
        return list(compress(places, there)), rows.only(there)

    def take_result(self, result: StoreResult) -> tuple[list[int], bool]:
        """Take the changes of an own command; returns their places, and whether a keyword is new.

        The view's modseq advances only if the view had all changes before the command. Otherwise the next query of the
        store returns the changes of others, and the own rows are not reported twice (:meth:`take_rows`).
        """
        places, _, new_keyword = self.take_rows(result.changed)
        if result.before <= self.modseq < result.modseq:
            self.modseq = result.modseq
        return places, new_keyword

    # --- changes of the mailbox

    def take_changes(self, changes: MailboxChanges) -> tuple[list[int], int, bool]:
        """Take changes since :attr:`modseq`; returns places that changed, the number of new messages, and whether a
        keyword is new.

        Expunged messages wait for :meth:`tell_expunged`. The result is returned once only: it must be sent before
        anything can fail.
        """
        self.name = changes.name
        if changes.expunged:
            known = [self.uids[p] for span in self.places_of(changes.expunged) for p in range(*span)]
            if known:
                self._gone = (self._gone or set()).union(known)
        if not changes.changed:
            self.modseq = changes.modseq
            return [], 0, False
        last = self.uids[-1] if self.uids else 0
        fresh = [row for row in changes.changed if row[0] > last]
        _, places, new_keyword = self.take_rows(changes.changed[: len(changes.changed) - len(fresh)])
        if fresh:
            self.uids.extend(row[0] for row in fresh)
            states = flag_states(fresh)
            self.states += states
            self.modseqs.extend(row[3] for row in fresh)
            new_keyword |= self.note_keywords(set(states))
            for search in self.updated:
                search.note_arrived([row[0] for row in fresh])
        self.modseq = changes.modseq
        return places, len(fresh), new_keyword

    def has_arrivals(self, changes: MailboxChanges) -> bool:
        """True if there are messages among them that are new to the client."""
        return bool(changes.changed) and changes.changed[-1][0] > (self.uids[-1] if self.uids else 0)

    def note_expunged(self, uids: Iterable[int]) -> None:
        """These are expunged; the client gets EXPUNGE at the next permitted moment."""
        known = {uid for uid in uids if self.number_of(uid)}
        if known:
            self._gone = known | (self._gone or set())

    @property
    def owes_expunges(self) -> bool:
        """True if expunges are still to be reported."""
        return self._gone is not None

    @property
    def owes_searches(self) -> bool:
        """True if messages have changed that searches kept up to date have not looked at yet."""
        return any(search.owes_search for search in self.updated)

    def gone_places(self) -> set[int]:
        """The places of expunged messages."""
        return {self.number_of(uid) - 1 for uid in self._gone or ()}

    def gone_uids(self) -> UidSet:
        """The UIDs of expunged messages that are still in the view."""
        return UidSet.of(self._gone or ())

    def tell_expunged(self) -> list[int]:
        """Remove expunged messages from the view; returns the numbers for EXPUNGE, in order, each counted after the
        last."""
        if self._gone is None:
            return []
        places = sorted(self.number_of(uid) - 1 for uid in self._gone)
        self._gone = None
        self._remove(places)
        return [place + 1 - earlier for earlier, place in enumerate(places)]

    def _remove(self, places: Sequence[int]) -> None:
        uids, states, modseqs = array("I"), [], array("Q")
        kept = 0
        for place in places:
            uids += self.uids[kept:place]
            states += self.states[kept:place]
            modseqs += self.modseqs[kept:place]
            kept = place + 1
        uids += self.uids[kept:]
        states += self.states[kept:]
        modseqs += self.modseqs[kept:]
        self.uids, self.states, self.modseqs = uids, states, modseqs
