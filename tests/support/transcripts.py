"""Dialogues as plain text, run three ways: core whole, core octet by octet, and through the protocol.

    # acceptance: S028
    # RFC 5321 §4.1.4: RCPT before MAIL is out of order
    @setting max_recipients = 2
    S: 220 mail.example ESMTP
    C: RCPT TO:<a@mail.example>
    S: /503 5\\.5\\.1 .*/

The first line may name rows of the acceptance list; other ``#`` lines and empty lines are comments. What stands in
front of a step:

``@NAME ARGUMENT``
    before the first step: something the room's own set-up understands (``Transcript.setup``).
``C:``
    the client sends this line and CRLF. Lines that follow each other are sent as one piece (pipelined). A line that
    ends in ``\\c`` is sent without CRLF.
``S:``
    the server sends exactly this line. ``S: /REGEX/`` must match the whole line, ``S: ...`` stands for any lines up to
    the one that comes next. After the ``S:`` lines nothing more may have been sent.
``E:``
    the server ends the connection.
``X: NAME ARGUMENT``
    something from outside happens, which the room's conversation understands (``advance 300``, ``deliver``).

Both directions know ``\\r \\n \\t \\0 \\\\ \\xHH`` and ``${name}``, which stands for what the group ``(?P<name>)`` of
an earlier regex matched. Text is UTF-8.

A test class takes a folder of them with the decorator :func:`transcripts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance import acceptance

FOLDER = Path(__file__).parents[1] / "transcripts"

_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[rnt0\\])")
_ESCAPED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
_CAPTURE = re.compile(r"\$\{(\w+)\}")
_ANY_LINES = "..."


class Conversation(Protocol):
    """One connection to the server under test."""

    def receive(self, octets: bytes) -> None:
        """The server receives octets."""

    def output(self) -> bytes:
        """What the server has sent since the last call."""

    def ended(self) -> bool:
        """True once the server has ended the connection."""

    def act(self, name: str, argument: str) -> None:
        """Do what an ``X:`` step asks for."""


@frozen
class Step:
    """One line of a transcript: its kind (``C``, ``S``, ``E``, ``X``), its text and where it stands."""

    kind: str
    text: str
    line_number: int


@frozen
class Transcript:
    """A dialogue, the rows it shows, and the ``@`` lines its set-up needs."""

    name: str
    rows: tuple[str, ...]
    setup: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    def arguments(self, name: str) -> list[str]:
        """The arguments of all ``@name`` lines."""
        return [argument for known, argument in self.setup if known == name]


def parse(name: str, text: str) -> Transcript:
    """Read one transcript. ValueError names the line that is not understood."""
    rows: tuple[str, ...] = ()
    setup: list[tuple[str, str]] = []
    steps: list[Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# acceptance:"):
            rows = tuple(line.partition(":")[2].split())
        elif not line.strip() or line.startswith("#"):
            continue
        elif line.startswith("@") and not steps:
            word, _, argument = line[1:].partition(" ")
            setup.append((word, argument.strip()))
        elif line[:2] in {"C:", "S:", "E:", "X:"}:
            steps.append(Step(line[0], line[3:] if line[2:3] == " " else line[2:], number))
        else:
            raise ValueError(f"{name}:{number}: not understood: {line!r}")
    return Transcript(name, rows, tuple(setup), tuple(steps))


def load(folder: Path, rewrite: Callable[[str], str] = str) -> Iterator[Transcript]:
    """All transcripts (``*.txt``) of a folder, by name, each as ``rewrite`` makes it of the text."""
    for path in sorted(folder.glob("*.txt")):
        yield parse(path.stem, rewrite(path.read_text("utf-8")))


def _unescape(octets: bytes) -> bytes:
    return _ESCAPE.sub(
        lambda match: bytes.fromhex(match[1][1:].decode()) if match[1][:1] == b"x" else _ESCAPED[match[1]], octets
    )


def whole(octets: bytes) -> Iterable[bytes]:
    """Everything in one piece; nothing at all is no piece."""
    return (octets,) if octets else ()


def octet_by_octet(octets: bytes) -> Iterable[bytes]:
    """Every octet alone."""
    return (octets[at : at + 1] for at in range(len(octets)))


def spoken(step: Step, captured: Mapping[str, str]) -> bytes:
    """What the client sends at a ``C`` step."""
    text, end = (step.text[:-2], b"") if step.text.endswith("\\c") else (step.text, b"\r\n")
    return _unescape(_CAPTURE.sub(lambda match: captured[match[1]], text).encode()) + end


def run(
    transcript: Transcript, conversation: Conversation, cut: Callable[[bytes], Iterable[bytes]] = whole
) -> dict[str, str]:
    """Play the client's part and compare. AssertionError names the line where the server said something else.

    The captured groups are the answer.
    """
    captured: dict[str, str] = {}
    unread = b""
    outgoing = b""
    expecting = False
    heard: list[str] = []

    def where(step: Step | None) -> str:
        line = f":{step.line_number}" if step is not None else " (end)"
        return f"{transcript.name}{line}: "

    def fill(text: str) -> str:
        return _CAPTURE.sub(lambda match: captured[match[1]], text)

    def speak() -> None:
        nonlocal outgoing, unread
        for piece in cut(outgoing):
            conversation.receive(piece)
        outgoing = b""
        unread += conversation.output()

    def next_line(step: Step) -> str:
        nonlocal unread
        line, end, rest = unread.partition(b"\r\n")
        so_far = "\n    ".join(heard[-8:])
        assert end, f"{where(step)}expected {step.text!r}, but nothing more was sent after\n    {so_far}\n    {line!r}"
        unread = rest
        heard.append(line.decode("utf-8", "backslashreplace"))
        return heard[-1]

    def matches(text: str, line: str) -> bool:
        if len(text) > 1 and text.startswith("/") and text.endswith("/"):
            match = re.fullmatch(_CAPTURE.sub(lambda found: re.escape(captured[found[1]]), text[1:-1]), line, re.DOTALL)
            if match is not None:
                captured.update({name: value for name, value in match.groupdict().items() if value is not None})
            return match is not None
        return _unescape(fill(text).encode()).decode("utf-8", "backslashreplace") == line

    skipping = False
    for step in transcript.steps:
        if step.kind == "C":
            if expecting:
                assert skipping or not unread, f"{where(step)}the server also sent {unread!r}"
                unread = b""
                expecting = skipping = False
            outgoing += spoken(step, captured)
            continue
        speak()
        if step.kind == "S":
            expecting = True
            if step.text == _ANY_LINES:
                skipping = True
                continue
            line = next_line(step)
            while skipping and not matches(step.text, line):
                line = next_line(step)
            skipping = False
            assert matches(step.text, line), f"{where(step)}expected {step.text!r}\n    but got {line!r}"
        elif step.kind == "E":
            assert conversation.ended(), f"{where(step)}the server did not end the connection"
        else:
            name, _, argument = fill(step.text).partition(" ")
            conversation.act(name, argument.strip())
            unread += conversation.output()
    speak()
    assert skipping or not unread, f"{where(None)}the server also sent {unread!r}"
    return captured


Case = TypeVar("Case", bound=type[SynchronousTestCase])


def transcripts(
    room: str,
    *,
    core: Callable[[Any, Transcript], Conversation] | None = None,
    protocol: Callable[[Any, Transcript], Conversation],
    rewrite: Callable[[str], str] = str,
) -> Callable[[Case], Case]:
    """Give a test class a test for each transcript of ``tests/transcripts/ROOM`` and each way of running it.

    ``core`` and ``protocol`` make the conversation; they are called with the test case and the transcript.
    """

    def decorate(case: Case) -> Case:
        ways: list[tuple[str, Callable[[Any, Transcript], Conversation], Callable[[bytes], Iterable[bytes]]]] = []
        if core is not None:
            ways += [("core_whole", core, whole), ("core_octet_by_octet", core, octet_by_octet)]
        ways += [("protocol", protocol, whole)]
        for transcript in load(FOLDER / room, rewrite):
            for way, make, cut in ways:
                _add_test(case, transcript, way, make, cut)
        return case

    return decorate


def _add_test(
    case: type[SynchronousTestCase],
    transcript: Transcript,
    way: str,
    make: Callable[[Any, Transcript], Conversation],
    cut: Callable[[bytes], Iterable[bytes]],
) -> None:
    def test(self: SynchronousTestCase) -> None:
        run(transcript, make(self, transcript), cut)

    test.__name__ = f"test_{transcript.name}_{way}"
    test.__qualname__ = f"{case.__qualname__}.{test.__name__}"
    test.__doc__ = f"The dialogue of {transcript.name}.txt."
    setattr(case, test.__name__, acceptance(*transcript.rows)(test) if transcript.rows else test)
