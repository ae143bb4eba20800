"""All that our IMAP server can say and be told, for tests of a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.commands.append import Append, parse_append
from pymailsuite.imap.grammar.append import Awaited, MessageBegins
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.plugin import find_vocabulary
from pymailsuite.imap.values import DEFAULT_LIMITS, Command, GrammarLimits
from pymailsuite.values import Flags

VOCABULARY = find_vocabulary(ImapSettings())

compile_fetch = VOCABULARY.compile_fetch


def parse(pieces: Sequence[bytes], limits: GrammarLimits = DEFAULT_LIMITS) -> Any:
    """What a command says."""
    return VOCABULARY.parse(pieces, limits)[1]


def parse_named(pieces: Sequence[bytes]) -> tuple[str, Command]:
    """A command and what it says."""
    declared, command = VOCABULARY.parse(pieces)
    return declared.name, command


def parse_offered(pieces: Sequence[bytes]) -> Append:
    """An APPEND up to a literal."""
    cursor = Cursor(pieces, DEFAULT_LIMITS, VOCABULARY)
    tag = cursor.tag()
    cursor.skip_name()
    return parse_append(cursor, tag, literal=True)


def first_message(pieces: Sequence[bytes]) -> tuple[str, str, Flags, float | None]:
    """The tag, the mailbox, the flags and the date of an APPEND up to the literal of its first message."""
    append = parse_offered(pieces)
    assert append.messages is not None and append.messages.awaited is Awaited.MESSAGE
    (begins,) = append.messages.steps
    assert isinstance(begins, MessageBegins)
    return append.tag, append.mailbox, begins.flags, begins.internal_date
