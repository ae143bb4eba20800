"""LANGUAGE: clients choose the language of texts for people. Source: RFC 5255 §3."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pymailsuite.errors import PeerError, Refusal
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.languages import TAGS, chosen
from pymailsuite.imap.states import ANY
from pymailsuite.imap.values import Command

_MOST_RANGES: Final = 50
"""The greatest number in one LANGUAGE; people speak fewer."""


@frozen
class ChooseLanguage(Command):
    """RFC 5255 §3.2; language ranges in the order of preference, none to ask which there are."""

    ranges: tuple[str, ...] = ()


def _parse(cursor: Cursor, tag: str) -> ChooseLanguage:
    # language-cmd = "LANGUAGE" *(SP lang-range-quoted);  lang-range-quoted = astring   ; RFC 5255 §3.5
    ranges: list[str] = []
    while cursor.try_space():
        if len(ranges) == _MOST_RANGES:
            raise PeerError("Too many languages")
        ranges.append(cursor.astring("a language").decode("ascii", "replace"))
    return ChooseLanguage(tag, tuple(ranges))


async def _choose(context: Context, command: ChooseLanguage) -> bytes:
    """The completion is in the language chosen. NAMESPACE is as before: no prefix is translated."""
    if not command.ranges:
        context.out.append(_line(TAGS))
        return b"OK LANGUAGE completed"
    found = chosen(command.ranges)
    if found is None:
        raise Refusal("None of these languages is spoken here")
    tag, context.language = found
    context.out.append(_line((tag,)))
    return b"OK Language chosen"


def _line(tags: tuple[str, ...]) -> bytes:
    return f"* LANGUAGE ({' '.join(tags)})\r\n".encode("ascii")


LANGUAGE: Final = ImapExtension(
    "LANGUAGE", after_login("LANGUAGE"), commands=(ImapCommand("LANGUAGE", ANY, _choose, _parse),), position=45
)
