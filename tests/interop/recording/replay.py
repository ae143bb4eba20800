"""Plays the client's part of a recording to a server, and compares what the server says with what it said then.

Compared are whole responses, without what differs from day to day: times, UIDVALIDITY, modseqs, identifiers, the text
for people, and octets of messages that have come in by SMTP. Where the client repeats such a number, it is given the
one of today. What a server says unasked may come at another moment than then, but it must come.
"""

from __future__ import annotations

import re
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tests.interop.recording.text import CLIENT, CLOSED, EVENT, OPENED, Step
from tests.support.patience import PATIENCE_S

_MOST_OCTETS = 65536
_LITERAL: Final = re.compile(rb"\{(\d+)\}\r\n\Z")
_LITERALS: Final = re.compile(rb"\{(\d+)\}\r\n")
_COMPLETION: Final = re.compile(rb"(?:\+(?: |\r)|\* BYE |[^*+ ]+ (?:OK|NO|BAD)\b|\d{3} )")
_CAPABILITIES: Final = re.compile(rb"(?:\* CAPABILITY|\[CAPABILITY)((?: [^\]\r ]+)+)")
_STATUS: Final = re.compile(rb"((?:\*|\S+) (?:OK|NO|BAD|BYE)(?: \[[^\]]*\])?).*\r\n\Z", re.DOTALL)
_SMTP: Final = re.compile(rb"\d{3}[ -]")
_NUMBER: Final = re.compile(rb"(UIDVALIDITY|HIGHESTMODSEQ|APPENDUID|COPYUID|MODSEQ) \(?(\d+)")
_SPOKEN: Final = re.compile(rb"(?:CHANGEDSINCE|QRESYNC) (\(?\d+(?: \d+)?)", re.IGNORECASE)
_FREE: Final = (
    (_CAPABILITIES, b"CAPABILITY"),
    (re.compile(rb"(UIDVALIDITY|APPENDUID|COPYUID) \d+"), rb"\1"),
    (re.compile(rb"((?:HIGHEST)?MODSEQ \(?)\d+"), rb"\1?"),
    (re.compile(rb"(MAILBOXID|EMAILID|THREADID) \([^)]*\)"), rb"\1"),
    (re.compile(rb'(INTERNALDATE|SAVEDATE) "[^"]*"'), rb"\1"),
    (re.compile(rb"RFC822\.SIZE \d+"), b"RFC822.SIZE"),
    # Which of several sessions was told first that a message is recent is a matter of moments.
    (re.compile(rb"(?<=\* )\d+ RECENT|(?<=RECENT )\d+"), b"RECENT"),
    (re.compile(rb"(?<=\()\\Recent ?| \\Recent"), b""),
)
_UNASKED: Final = re.compile(
    rb"\* (?:(\d+) (EXISTS|EXPUNGE|FETCH \((?:(?:UID \d+|FLAGS \([^)]*\)|MODSEQ \(\?\)) ?)+\))"
    rb"|RECENT|FLAGS|VANISHED|OK \[PERMANENTFLAGS|OK\r)"
)
_VANISHED: Final = re.compile(rb"\* VANISHED ([\d,:]+)\r\n\Z")
_NOTIFIED: Final = re.compile(rb"\* (?:LIST|STATUS|\d+ FETCH) ")


def responses(octets: bytes) -> tuple[list[bytes], bytes]:
    """The whole responses at the beginning of ``octets``, literals included, and the octets behind them."""
    found: list[bytes] = []
    begin = at = 0
    while (end := octets.find(b"\r\n", at)) >= 0:
        at = end + 2
        literal = _LITERAL.search(octets, begin, at)
        if literal is not None:
            at += int(literal[1])
        elif at <= len(octets):
            found.append(octets[begin:at])
            begin = at
    return found, octets[begin:]


def comparable(response: bytes) -> bytes:
    """A response without what differs from day to day."""
    if _SMTP.match(response):
        return response[:4]
    pieces, at = [], 0
    while (literal := _LITERALS.search(response, at)) is not None:
        end = literal.end() + int(literal[1])
        content = response[literal.end() : end]
        pieces += [
            _without_free(response[at : literal.start()]),
            b"{",
            b"" if b"Received:" in content else content,
            b"}",
        ]
        at = end
    rest = _without_free(response[at:])
    status = _STATUS.match(rest) if not pieces else None
    return b"".join(pieces) + (rest if status is None else status[1] + b"\r\n")


def _without_free(octets: bytes) -> bytes:
    for pattern, instead in _FREE:
        octets = pattern.sub(instead, octets)
    return octets


class Numbers:
    """Numbers that a server chooses: those of the recording, and those of today."""

    def __init__(self) -> None:
        self._today: dict[bytes, bytes] = {}

    def learn(self, recorded: bytes, heard: bytes) -> None:
        """Two responses that are the same but for such numbers."""
        for then, now in zip(_NUMBER.finditer(recorded), _NUMBER.finditer(heard), strict=True):
            self._today[then[2]] = now[2]

    def of_today(self, octets: bytes) -> bytes:
        """What the client says, with the numbers of today."""

        def renewed(spoken: re.Match[bytes]) -> bytes:
            return re.sub(rb"\d+", lambda number: self._today.get(number[0], number[0]), spoken[0])

        return _SPOKEN.sub(renewed, octets)


def _count(span: bytes) -> int:
    """The numbers in ``4`` or ``4:9``."""
    first, _, last = span.partition(b":")
    return int(last or first) - int(first) + 1


class Unasked:
    """What a server says unasked: the newest about each message, and how many messages it has said to be gone."""

    def __init__(self) -> None:
        self._newest: dict[bytes, bytes] = {}
        self._gone = 0

    def take(self, response: bytes) -> None:
        """One more, as :func:`comparable` makes it."""
        found = _UNASKED.match(response)
        vanished = _VANISHED.match(response)
        if vanished is not None:
            self._gone += sum(_count(span) for span in vanished[1].split(b","))
        elif found is None or found[2] is None or b"\\Deleted" in response:
            # What is marked as deleted may be gone before that is told.
            return
        elif found[2] == b"EXPUNGE":
            self._gone += 1
        else:
            self._newest[b"EXISTS" if found[2] == b"EXISTS" else found[1]] = response

    def covers(self, other: Unasked) -> bool:
        """Whether the client knows here all that it knows there."""
        return self._gone >= other._gone and other._newest.items() <= self._newest.items()


class _Connection:
    """One connection of the client to the server of today."""

    def __init__(self, port: int, numbers: Numbers, where: Callable[[], str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._numbers = numbers
        self._where = where
        self._received = b""
        self._heard: deque[bytes] = deque()
        self._recorded_rest = b""
        self._recorded: list[bytes] = []
        self._answered: list[bytes] = []
        self._is_asked = True
        """A response is due: the greeting, or that to a command."""
        self._greeted = False
        self._then, self._now = Unasked(), Unasked()
        self._notifies = False
        """The client has asked by NOTIFY (RFC 5465) for what else is told unasked."""
        self._early: Counter[bytes] = Counter()
        self._owed: Counter[bytes] = Counter()

    def say(self, octets: bytes) -> None:
        """The client says something."""
        self._is_asked = True
        self._notifies |= b" NOTIFY SET " in octets
        self._socket.sendall(self._numbers.of_today(octets))

    def expect(self, octets: bytes) -> None:
        """What the server said then; read what it says today, and compare."""
        found, self._recorded_rest = responses(self._recorded_rest + octets)
        for response in found:
            self._recorded.append(response)
            if not self._greeted:
                self._greeted = True
                self._answered.append(self._next())
                self._compare()
            elif _COMPLETION.match(response):
                while not self._answered or not _COMPLETION.match(self._answered[-1]):
                    self._answered.append(self._next())
                self._compare()
        if self._recorded and not self._is_asked:
            self._wait_for_unasked()

    def end(self) -> None:
        """The client goes away, and has been told all that it was told then."""
        self.close()
        owed = self._owed - self._early
        assert not owed, f"{self._where()}never said: {sorted(owed)}"

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _next(self) -> bytes:
        while not self._heard:
            try:
                octets = self._socket.recv(_MOST_OCTETS)
            except TimeoutError:
                octets = b""
            assert octets, f"{self._where()}nothing more came after {self._answered!r}; then it was {self._recorded!r}"
            found, self._received = responses(self._received + octets)
            self._heard.extend(found)
        return self._heard.popleft()

    def _compare(self) -> None:
        then = [(comparable(response), response) for response in self._recorded]
        now = [(comparable(response), response) for response in self._answered]
        for known, answer in zip(sorted(then), sorted(now), strict=False):
            if known[0] == answer[0]:
                self._numbers.learn(known[1], answer[1])
                self._compare_capabilities(known[1], answer[1])
        missing = Counter(known for known, _ in then) - Counter(answer for answer, _ in now)
        surplus = Counter(answer for answer, _ in now) - Counter(known for known, _ in then)
        notified = [one for one in (*missing, *surplus) if self._notifies and _NOTIFIED.match(one)]
        asked = [one for one in (*missing, *surplus) if not _UNASKED.match(one) and one not in notified]
        assert not asked, f"{self._where()}\n  then {sorted(missing)}\n  now  {sorted(surplus)}"
        self._owed.update(one for one in notified if one in missing)
        self._early.update(one for one in notified if one in surplus)
        for one in missing:
            self._then.take(one)
        for one in surplus:
            self._now.take(one)
        self._recorded, self._answered = [], []
        self._is_asked = False

    def _compare_capabilities(self, recorded: bytes, answer: bytes) -> None:
        then, now = _CAPABILITIES.search(recorded), _CAPABILITIES.search(answer)
        if then is not None and now is not None:
            lost = set(then[1].split()) - set(now[1].split())
            assert not lost, f"{self._where()}capabilities that are no more: {lost}"

    def _wait_for_unasked(self) -> None:
        for response in self._recorded:
            self._then.take(comparable(response))
        self._recorded = []
        while not self._now.covers(self._then):
            self._now.take(comparable(self._next()))


def play(name: str, steps: Iterable[Step], ports: Mapping[str, int], act: Callable[[str], None]) -> None:
    """Play a recording to a server that listens on ``ports``; ``act`` does what happened from outside.

    AssertionError names the line where the server said something else.
    """
    connections: dict[int, _Connection] = {}
    numbers = Numbers()
    line = 0

    def where() -> str:
        return f"{name}.txt:{line}: "

    try:
        for step in steps:
            line = step.line
            if step.kind == OPENED:
                connections[step.connection] = _Connection(ports[step.text], numbers, where)
            elif step.kind == CLOSED:
                connections.pop(step.connection).end()
            elif step.kind == EVENT:
                act(step.text)
            elif step.kind == CLIENT:
                connections[step.connection].say(step.octets)
            else:
                connections[step.connection].expect(step.octets)
    finally:
        for connection in connections.values():
            connection.close()
