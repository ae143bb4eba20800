"""The result of scanning a message, in the form in which it is stored and sent."""

from typing import NamedTuple

from attrs import frozen

from pymailsuite.message.parts import Part, PartTable, decode_parts, encode_parts

__all__ = ["NO_SENT_DAY", "MessageKeys", "MessageStructure", "Part", "PartTable", "decode_parts", "encode_parts"]

NO_SENT_DAY = -1_000_000
"""Stands for the day of a message without a Date that can be read: before all days that Date fields can have."""


class MessageKeys(NamedTuple):
    """The keys by which a message is found, sorted, listed and put into a thread.

    Texts that are compared are case folded. None of them has NUL or surrogates.
    """

    own_link: int
    """The message itself, as members of its thread refer to it (:mod:`pymailsuite.message.thread_links`)."""
    links: bytes
    """The messages it refers to (``thread_links.decode_links``)."""
    sent_at: float | None
    """The Date field, in POSIX seconds; None if it cannot be read."""
    sent_day: int
    """The day that the Date field says, time and zone disregarded, in days since 1970-01-01; or NO_SENT_DAY."""
    subject: str
    """Decoded; empty if there is none."""
    base_subject: str
    """RFC 5256 §2.1."""
    from_mailbox: str
    """RFC 5256 §3: the local part of the first address; likewise of To and Cc."""
    to_mailbox: str
    cc_mailbox: str
    from_display: str
    """RFC 5957 §3: the name shown for the first address."""
    to_display: str
    has_attachment: int
    """1 if there is something to be saved apart from the text, else 0."""
    preview: str
    """RFC 8970: the beginning of the text, at most 200 characters; empty if there is none."""


@frozen
class MessageStructure:
    """The data derived from a message's octets that readers ask for repeatedly.

    ``header_size`` counts the header with its empty line. ``envelope``, ``body`` and ``bodystructure`` are in wire
    form (RFC 3501 §7.4.2), parentheses included, ready to be sent. ``parts`` is the table of part offsets, in a form
    that only this room reads (:func:`decode_parts`).
    """

    header_size: int
    envelope: bytes
    body: bytes
    bodystructure: bytes
    parts: bytes
    keys: MessageKeys
