"""A recorded dialogue as text: what each side sent on each connection, in the order in which it was sent.

    # Thunderbird 153.8.0
    1 imap
    1S: * OK IMAP4 ready
    1C: 1 capability
    X: deliver Fresh
    1 closed

A number names a connection: with the name of a protocol it is opened, with ``closed`` the client has closed it. ``C``
is a line of the client and ``S`` one of the server; CRLF follows it, unless it ends in ``\\c``. ``X`` is what happened
from outside (:func:`tests.interop.recording.content.act`). Octets that are no text are written ``\\xHH``, and so is a
backslash that would be read as one of these. Lines with ``#`` say what the person before the program was about to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from tests.interop.recording.proxy import Said

FOLDER: Final = Path(__file__).parents[2] / "transcripts" / "clients"
CLIENT: Final = "C"
SERVER: Final = "S"
OPENED: Final = "opened"
CLOSED: Final = "closed"
EVENT: Final = "X"

_LINE: Final = re.compile(r"(\d+)([CS]):(?: (.*))?\Z")
_CONNECTION: Final = re.compile(r"(\d+) (\w+)\Z")
_ESCAPED: Final = re.compile(rb"\\x([0-9a-f]{2})")
_MARKED: Final = re.compile(rb"\\(?=x[0-9a-f]{2}|c\Z)")
_ODD: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff]| \Z")


@frozen
class Step:
    """One line or several: of the client (``C``) or the server (``S``) on a connection, or one of the other kinds."""

    kind: str
    connection: int = 0
    octets: bytes = b""
    text: str = ""
    """The protocol of an opened connection, or what happened."""
    line: int = 0


def _written(octets: bytes) -> str:
    text = _MARKED.sub(rb"\\x5c", octets).decode("utf-8", "surrogateescape")
    return _ODD.sub(lambda odd: "".join(f"\\x{octet:02x}" for octet in odd[0].encode("utf-8", "surrogateescape")), text)


def _read(text: str) -> bytes:
    line = text.encode()
    whole = not line.endswith(b"\\c")
    octets = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), line if whole else line[:-2])
    return octets + b"\r\n" if whole else octets


def lines_of(said: Iterable[Said | str], protocols: Mapping[int, str]) -> Iterator[str]:
    """The lines of a recording. Pieces that came in the middle of a line are put together first."""
    groups: list[list[Said] | str] = []
    last: dict[int, list[Said]] = {}
    for one in said:
        if isinstance(one, str):
            groups.append(one)
            continue
        group = last.get(one.connection)
        if group is None:
            groups.append(f"{one.connection} {protocols[one.connection]}")
        if one.octets is None:
            if group is None or group[-1].octets is not None:
                groups.append(f"{one.connection} {CLOSED}")
                last[one.connection] = [one]
            continue
        before = b"".join(piece.octets or b"" for piece in group or ())
        if group and group[0].by_client == one.by_client and (group is groups[-1] or not before.endswith(b"\r\n")):
            group.append(one)
        else:
            last[one.connection] = [one]
            groups.append(last[one.connection])
    for group in groups:
        if isinstance(group, str):
            yield group
            continue
        who = f"{group[0].connection}{CLIENT if group[0].by_client else SERVER}:"
        *whole, rest = b"".join(piece.octets or b"" for piece in group).split(b"\r\n")
        yield from (f"{who} {_written(line)}".rstrip() for line in whole)
        if rest:
            yield f"{who} {_written(rest)}\\c"


def steps_of(text: str) -> Iterator[Step]:
    """Read a recording. Lines of one side that follow each other are one step; ValueError for a line that is none."""
    collected: Step | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        spoken, connection = _LINE.match(line), _CONNECTION.match(line)
        if spoken is not None:
            step = Step(spoken[2], int(spoken[1]), _read(spoken[3] or ""), line=number)
            if collected is not None and (collected.kind, collected.connection) == (step.kind, step.connection):
                collected = Step(step.kind, step.connection, collected.octets + step.octets, line=collected.line)
                continue
        elif connection is not None:
            kind = CLOSED if connection[2] == CLOSED else OPENED
            step = Step(kind, int(connection[1]), text=connection[2], line=number)
        elif line.startswith("X: "):
            step = Step(EVENT, text=line[3:], line=number)
        else:
            raise ValueError(f"line {number} is not understood: {line!r}")
        if collected is not None:
            yield collected
        collected = step
    if collected is not None:
        yield collected
