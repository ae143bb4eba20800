"""What a client of IMAP knows of its mailbox, from nothing but what it is told: a model without a network.

It believes every response, in the order they come, and fails where one contradicts those before it: EXPUNGE while
numbers must not change, a number without a message, a UID that changes its number, a modseq that goes back, flags that
differ at one modseq, a search kept up to date that loses what it does not have. ``Broken`` says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define, field

_COUNT = re.compile(r"\* ([0-9]+) (EXISTS|EXPUNGE|RECENT)\Z")
_FETCH = re.compile(r"\* ([0-9]+) (FETCH|UIDFETCH) \((.*)\)\Z", re.DOTALL)
_VANISHED = re.compile(r"\* VANISHED (\(EARLIER\) )?([0-9:,]+)\Z")
_ESEARCH = re.compile(r'\* ESEARCH \(TAG "([^"]+)"\)( UID)?(.*)\Z')
_PAIRS = re.compile(r"(ADDTO|REMOVEFROM) \(([^)]*)\)")
_HIGHEST = re.compile(r"\[HIGHESTMODSEQ ([0-9]+)\]")
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")


class Broken(AssertionError):
    """The server has contradicted itself, or the protocol."""


def expect(holds: object, what: object) -> None:
    """Broken, if something does not hold."""
    if not holds:
        raise Broken(what)


def numbers_of(text: str) -> Iterator[int]:
    """The numbers in a sequence set, in its order."""
    for item in text.split(","):
        low, _, high = item.partition(":")
        yield from range(min(int(low), int(high or low)), max(int(low), int(high or low)) + 1)


def responses(octets: bytes) -> tuple[list[str], bytes]:
    """Whole responses, with literals in them, and what is left behind the last one."""
    found = []
    start = at = 0
    while (end := octets.find(b"\r\n", at)) >= 0:
        literal = _LITERAL.search(octets, max(at, end - 12), end + 2)
        if literal is not None and literal.end() == end + 2:
            at = end + 2 + int(literal[1])
            if at > len(octets):
                break
            continue
        found.append(octets[start:end].decode("utf-8", "backslashreplace"))
        start = at = end + 2
    return found, octets[start:]


@define(eq=False)
class Message:
    """One message; None is what the client has not been told yet."""

    uid: int | None = None
    flags: frozenset[str] | None = None
    modseq: int | None = None
    """That of ``flags``."""
    least_modseq: int = 0
    """The greatest that was told."""


@define
class Search:
    """A search that is kept up to date, and ``command``, which finds the same anew. ``found`` are UIDs, or the messages
    that sequence numbers meant when they were told; their order counts only ``in_order``."""

    command: str
    uid: bool
    in_order: bool
    found: list[int | Message] = field(factory=list)


@define
class Cache:
    """What the client keeps of a mailbox that it has left, for QRESYNC."""

    uid_validity: int
    modseq: int
    flags: dict[int, tuple[frozenset[str] | None, int | None]]


@define
class ClientModel:
    """The selected mailbox of one client, and what it enabled."""

    qresync: bool = False
    uid_only: bool = False
    mailbox: str = ""
    """Empty: none is selected."""
    read_only: bool = False
    uid_validity: int = 0
    highest_modseq: int = 0
    """All changes up to this are known."""
    messages: list[Message] = field(factory=list)
    keywords: set[str] = field(factory=set)
    searches: dict[str, Search] = field(factory=dict)
    caches: dict[str, Cache] = field(factory=dict)
    vanished_earlier: set[int] = field(factory=set)
    selecting: bool = False
    _begun: dict[str, Search] = field(factory=dict)
    _cancelled: set[str] = field(factory=set)
    _opening: tuple[str, bool, Cache | None] | None = None
    """SELECT was sent, and the mailbox before is not closed yet."""
    _resyncing: Cache | None = None
    _is_counted: bool = False
    """EXISTS was told with SELECT."""

    # --- what the client does

    def begin_select(self, mailbox: str, *, read_only: bool, resync: bool) -> Cache | None:
        """SELECT or EXAMINE is sent. What is told is about the mailbox before until that is CLOSED (RFC 7162 §3.2.11).
        Returns what is to be told by QRESYNC, if it is to ``resync`` and there is something."""
        self._keep()
        cache = self.caches.get(mailbox) if resync else None
        self._opening = (mailbox, read_only, cache)
        if not self.mailbox:
            self._open()
        return cache

    def _open(self) -> None:
        expect(self._opening is not None, "CLOSED, and no other mailbox is to be opened")
        assert self._opening is not None
        self.messages.clear()
        self.searches.clear()
        self.vanished_earlier.clear()
        self.mailbox, self.read_only, self._resyncing = self._opening
        self._opening, self.selecting, self._is_counted = None, True, False

    def end_select(self) -> None:
        """It was answered."""
        expect(self._opening is None, "the mailbox before was not CLOSED")
        self._take_cache()
        self.selecting = False

    def _keep(self) -> None:
        """What is known of the mailbox goes to the cache."""
        if self.mailbox and not self.selecting:
            flags = {one.uid: (one.flags, one.modseq) for one in self.messages if one.uid is not None}
            if len(flags) == len(self.messages):
                self.caches[self.mailbox] = Cache(self.uid_validity, self.highest_modseq, flags)

    def leave(self) -> None:
        """The mailbox is closed; what is known of it is kept."""
        self._keep()
        self.mailbox = ""
        self.messages.clear()
        self.searches.clear()

    def _take_cache(self) -> None:
        """After all that SELECT tells by QRESYNC: numbers follow from the cache and what has vanished."""
        cache, self._resyncing = self._resyncing, None
        if cache is None:
            return
        told = {one.uid: one for one in self.messages if one.uid is not None}
        uids = sorted({*cache.flags, *told} - self.vanished_earlier)
        expect(len(uids) == len(self.messages), f"QRESYNC: {len(self.messages)} EXISTS, but there are {uids}")
        for uid, one in zip(uids, self.messages, strict=True):
            expect(self.uid_only or one.uid in (None, uid), f"QRESYNC: {one.uid} stands where {uid} must be")
        self.messages = [told.get(uid) or Message(uid, *cache.flags[uid]) for uid in uids]

    def begin_search(self, tag: str, command: str, *, uid: bool, in_order: bool) -> None:
        """A search is sent whose results are to be kept up to date."""
        self._begun[tag] = Search(command, uid, in_order)

    def cancel(self, tag: str) -> None:
        """CANCELUPDATE is sent: until it is answered updates may still come."""
        del self.searches[tag]
        self._cancelled.add(tag)

    # --- what the client is told

    def take(self, line: str, *, expunges: bool) -> None:
        """An untagged response; ``expunges``: sequence numbers may change while the present command is answered."""
        if match := _COUNT.match(line):
            if self._is_counted and match[2] == "EXISTS":
                # What follows has happened since.
                self._take_cache()
            self._is_counted = True
            self._take_count(int(match[1]), match[2], expunges)
        elif match := _VANISHED.match(line):
            if not match[1]:
                self._take_cache()
            self._take_vanished(bool(match[1]), list(numbers_of(match[2])), expunges)
        elif match := _FETCH.match(line):
            self._take_fetch(int(match[1]), match[2], match[3])
        elif match := _ESEARCH.match(line):
            tag, rest = match[1], match[3]
            if tag in self._begun:
                self.searches[tag] = search = self._begun.pop(tag)
                all_found = re.search(r" ALL ([0-9:,]+)", rest)
                search.found += self._named(all_found[1], search) if all_found else []
            for item, pairs in _PAIRS.findall(rest):
                self._take_update(tag, item, pairs.split())
        elif match := re.match(r'\* NO \[NOUPDATE "([^"]+)"\]', line):
            del self.searches[match[1]]
        elif line.startswith("* FLAGS ("):
            self.keywords = {word for word in line[9:-1].split() if word[0] != "\\"}
        elif match := re.match(r"\* OK \[UIDVALIDITY ([0-9]+)\]", line):
            self.uid_validity = int(match[1])
        elif line.startswith("* OK [CLOSED]"):
            self._open()
        elif line.startswith("* BYE"):
            raise Broken(line)
        self.take_modseq(line)

    def take_modseq(self, line: str) -> None:
        """HIGHESTMODSEQ in any response, tagged or not."""
        if match := _HIGHEST.search(line):
            modseq = int(match[1])
            expect(self.selecting or modseq >= self.highest_modseq, f"{line}, after {self.highest_modseq}")
            self.highest_modseq = modseq

    def _take_count(self, number: int, word: str, expunges: bool) -> None:
        if word == "EXISTS":
            expect(number >= len(self.messages), f"{number} EXISTS after {len(self.messages)} without EXPUNGE")
            self.messages += [Message() for _ in range(number - len(self.messages))]
        elif word == "RECENT":
            expect(number <= len(self.messages), f"{number} RECENT of {len(self.messages)}")
        else:
            expect(expunges, "EXPUNGE while sequence numbers must not change")
            expect(not self.qresync and not self.uid_only, "EXPUNGE in place of VANISHED")
            expect(1 <= number <= len(self.messages), f"{number} EXPUNGE of {len(self.messages)}")
            self._expunged(self.messages.pop(number - 1))

    def _take_vanished(self, earlier: bool, uids: list[int], expunges: bool) -> None:
        if earlier:
            known = {one.uid for one in self.messages}
            expect(known.isdisjoint(uids), f"VANISHED (EARLIER) of messages that are there: {uids}")
            self.vanished_earlier.update(uids)
            return
        expect(self.qresync or self.uid_only, "VANISHED without QRESYNC")
        expect(expunges, "VANISHED while sequence numbers must not change")
        for uid in uids:
            self._expunged(self.messages.pop(self._place_of(uid)))

    def _place_of(self, uid: int) -> int:
        """Where the message is; of those whose UIDs were not told, one that stands between lower and higher UIDs: they
        are all alike."""
        unknown = None
        for place, one in enumerate(self.messages):
            if one.uid == uid:
                return place
            if one.uid is None:
                unknown = place
            elif self.uid_only:
                # Where those are that have no UID yet is not known.
                continue
            elif one.uid > uid:
                break
            else:
                unknown = None
        if unknown is None:
            raise Broken(f"{uid} is not there")
        for one in self.messages:
            if one.uid is None:
                # Which of them it was is not known, so neither is what was told of the others by number.
                one.flags, one.modseq, one.least_modseq = None, None, 0
        return unknown

    def _expunged(self, message: Message) -> None:
        for tag, search in self.searches.items():
            # RFC 5267 §4.3.4: told before.
            one = message.uid if search.uid else message
            expect(one not in search.found, f"expunged, and still in what {tag} has found: {message}")

    def _take_fetch(self, number: int, word: str, items: str) -> None:
        expect((word == "UIDFETCH") == self.uid_only, f"{word} with UIDONLY {self.uid_only}")
        uid = int(match[1]) if (match := re.search(r"\bUID ([0-9]+)", items)) else None
        if self.uid_only:
            expect(uid in (None, number), f"UIDFETCH of {number} tells UID {uid}")
            one = self._by_uid(number)
        else:
            expect(1 <= number <= len(self.messages), f"{number} FETCH of {len(self.messages)}")
            one = self.messages[number - 1]
            if uid is not None:
                expect(one.uid in (None, uid), f"number {number} was {one.uid} and is {uid}")
                one.uid = uid
        flags = frozenset(match[1].split()) - {"\\Recent"} if (match := re.search(r"FLAGS \((.*?)\)", items)) else None
        modseq = int(match[1]) if (match := re.search(r"MODSEQ \(([0-9]+)\)", items)) else None
        if flags is not None:
            expect({word for word in flags if word[0] != "\\"} <= self.keywords, f"{flags} beyond {self.keywords}")
        if modseq is not None:
            expect(modseq >= one.least_modseq, f"modseq of {one} goes back to {modseq}")
            one.least_modseq = modseq
            if flags is not None and one.flags is not None and modseq == one.modseq:
                expect(flags == one.flags, f"other flags at one modseq: {one}, {flags}")
        if flags is not None:
            one.flags, one.modseq = flags, modseq

    def _by_uid(self, uid: int) -> Message:
        for one in self.messages:
            if one.uid == uid:
                return one
        for one in self.messages:
            if one.uid is None:
                # Nothing counts by places here.
                one.uid = uid
                self.messages.sort(key=lambda one: one.uid or 2**32)
                return one
        raise Broken(f"UIDFETCH of {uid}, which is not there")

    def _named(self, text: str, search: Search) -> list[int | Message]:
        numbers = list(numbers_of(text))
        if search.uid:
            return [*numbers]
        expect(numbers and max(numbers) <= len(self.messages), f"{text} of {len(self.messages)} messages")
        return [self.messages[number - 1] for number in numbers]

    def _take_update(self, tag: str, item: str, words: list[str]) -> None:
        search = self.searches.get(tag)
        if tag in self._cancelled:
            return
        if search is None:
            raise Broken(f"{item} of {tag}, which is not kept up to date")
        for position, text in zip(map(int, words[::2]), words[1::2], strict=True):
            told = self._named(text, search)
            expect(bool(position) == search.in_order, f"position {position} of {tag}")
            if item == "ADDTO":
                expect(not any(one in search.found for one in told), f"{tag} has some of {told} already")
                at = position - 1 if search.in_order else len(search.found)
                expect(at <= len(search.found), f"position {position} of {tag}, behind the last")
                search.found[at:at] = told
                continue
            if search.in_order:
                there = search.found[position - 1 : position - 1 + len(told)]
                expect(there == told, f"{tag} has {there} at {position}, not {told}")
            for one in told:
                expect(one in search.found, f"{tag} does not have {one}")
                search.found.remove(one)
