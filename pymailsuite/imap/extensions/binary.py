"""BINARY: parts without their transfer encoding. Source: RFC 3516. APPEND takes literal8 in any case."""

from __future__ import annotations

from functools import partial

from pymailsuite.imap.extension import FetchAttribute, ImapExtension, after_login
from pymailsuite.imap.fetch.sections import section_item
from pymailsuite.imap.grammar.fetch import parse_binary, parse_binary_size

BINARY = ImapExtension(
    "BINARY",
    after_login("BINARY"),
    fetch_attributes=(
        FetchAttribute("BINARY", section_item, partial(parse_binary, peek=False)),
        FetchAttribute("BINARY.PEEK", section_item, partial(parse_binary, peek=True)),
        FetchAttribute("BINARY.SIZE", section_item, parse_binary_size),
    ),
    position=13,
)
