"""All that our IMAP server can say and be told, for tests of a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.commands.append import parse_offer
from pymailsuite.imap.plugin import find_vocabulary
from pymailsuite.imap.values import DEFAULT_LIMITS, Append, Command, GrammarLimits

VOCABULARY = find_vocabulary(ImapSettings())

compile_fetch = VOCABULARY.compile_fetch


def parse(pieces: Sequence[bytes], limits: GrammarLimits = DEFAULT_LIMITS) -> Any:
    """What a command says."""
    return VOCABULARY.parse(pieces, limits)[1]


def parse_named(pieces: Sequence[bytes]) -> tuple[str, Command]:
    """A command and what it says."""
    declared, command = VOCABULARY.parse(pieces)
    return declared.name, command


def parse_append(pieces: Sequence[bytes], limits: GrammarLimits = DEFAULT_LIMITS) -> Append:
    """An APPEND up to its message."""
    return parse_offer(pieces, VOCABULARY, limits)
