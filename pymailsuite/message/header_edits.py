"""Fields added to a header, replaced in it and taken out of it, all others left as they stand."""

from __future__ import annotations

from collections.abc import Iterable

from pymailsuite.interfaces.edits import AddField, HeaderEdit, RemoveField, ReplaceField
from pymailsuite.message.headers import raw_lines


def edited_header(header: bytes, edits: Iterable[HeaderEdit]) -> bytes:
    """The header after all of ``edits``, in their order. It goes up to its empty line, and may be empty; what comes out
    has its empty line."""
    lines = raw_lines(header)
    if lines and lines[-1] in (b"\r\n", b"\n"):
        lines.pop()
    # The line an mbox separates messages with stays the first.
    front = int(bool(lines) and lines[0].lstrip(b">").startswith(b"From "))
    for edit in edits:
        if isinstance(edit, AddField):
            lines.insert(len(lines) if edit.at_end else front, edit.octets)
        elif isinstance(edit, RemoveField):
            places = _places(lines, edit.name)
            for place in reversed(places if edit.index is None else _nth(places, edit.index)):
                del lines[place]
        else:
            _replace(lines, edit, front)
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\r\n"
    return b"".join((*lines, b"\r\n"))


def _replace(lines: list[bytes], edit: ReplaceField, front: int) -> None:
    places = _nth(_places(lines, edit.name), edit.index)
    if places:
        lines[places[0]] = edit.octets
    else:
        lines.insert(front, edit.octets)


def _places(lines: list[bytes], name: bytes) -> list[int]:
    """The indexes of the fields of that name."""
    wanted = name.lower()
    return [
        place
        for place, line in enumerate(lines)
        if line[: len(wanted)].lower() == wanted and line[len(wanted) :].lstrip(b" \t").startswith(b":")
    ]


def _nth(places: list[int], index: int) -> list[int]:
    return [places[index]] if -len(places) <= index < len(places) else []
