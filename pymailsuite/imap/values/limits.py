"""The limits of one command."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen
class GrammarLimits:
    """The limits of one command. The reply to a command beyond any of them is BAD.

    The octets of a line and of its literals are bounded by the receiver, before the grammar sees them.
    """

    set_ranges: int = 20_000
    """Ranges in one sequence set (a client that names every second of 40,000 messages is within it)."""
    sequence_numbers: bool = True
    """False once the client has enabled UIDONLY: it may not use them (RFC 9586 §3)."""
    search_depth: int = 32
    """NOT, OR and parentheses within each other in one SEARCH."""
    search_keys: int = 1_000
    """Keys in one SEARCH (a client that ORs 300 Message-IDs is within it)."""
    search_mailboxes: int = 1_000
    """Mailboxes named in one ESEARCH."""
    sort_keys: int = 50
    """Criteria in one SORT."""
    fetch_items: int = 100
    """Data items in one FETCH."""
    header_fields: int = 200
    """Field names in one ``HEADER.FIELDS`` list."""
    section_depth: int = 100
    """Numbers in one ``BODY[1.2.3]`` section."""
    list_patterns: int = 100
    """Patterns in one LIST."""
    event_groups: int = 100
    """Groups of events in one NOTIFY (RFC 5465)."""
    event_mailboxes: int = 1_000
    """Mailboxes named in one NOTIFY."""
    keywords: int = 100
    """Keywords in one STORE or APPEND."""
    keyword_octets: int = 100
    """Octets of one keyword."""
    mailbox_octets: int = 1_000
    """Octets of a mailbox name on the wire."""
    append_steps: int = 200
    """Messages and URLs between two literals of one APPEND."""
    url_octets: int = 4_000
    """Octets of a URL."""
    metadata_entries: int = 100
    """Entries named in one GETMETADATA, SETMETADATA or LIST."""
    metadata_name: int = 500
    """Octets of the name of an entry."""
    id_pairs: int = 30
    """Field-value pairs of one ID (RFC 2971 §3.3)."""


DEFAULT_LIMITS: Final = GrammarLimits()
