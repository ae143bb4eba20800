"""The text index of a store: in which messages given words may be, without reading the messages.

The index only narrows: whoever searches compares the messages that are left as it would compare all of them. So a
search finds the same whether the index is complete, behind, or gone.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.values import AccountId, MailboxId


class TextField(enum.IntEnum):
    """The parts of a message that are indexed apart from each other; stored by number."""

    BODY = 0
    """The text parts, and the headers of messages inside."""
    HEADER = 1
    """All fields of the header, and those of its parts."""
    SUBJECT = 2
    FROM = 3
    TO = 4
    CC = 5


TextWords: TypeAlias = Mapping[TextField, set[bytes]]
"""The words of one message, by field."""


@frozen
class HoldsWords:
    """Each of the ``words`` is in one of the ``fields``: the words of a string as ``message.words.words_of_needle`` has
    them."""

    fields: tuple[TextField, ...]
    words: tuple[bytes, ...]


@frozen
class HoldsSimilar:
    """One of the ``fields`` has a word that is like ``word`` (``message.similar``), which is folded."""

    fields: tuple[TextField, ...]
    word: str


@frozen
class AllHold:
    """Each of the queries holds."""

    queries: tuple[TextQuery, ...]


@frozen
class AnyHolds:
    """One of the queries holds."""

    queries: tuple[TextQuery, ...]


TextQuery: TypeAlias = HoldsWords | HoldsSimilar | AllHold | AnyHolds


class ITextNarrowing(Interface):
    """What the mail of an account (IAccountMail) may provide besides: its text index."""

    def narrowed(
        mailbox_id: MailboxId, uids: Sequence[int], query: TextQuery, extraction_form: str
    ) -> Deferred[Sequence[int]]:
        """Those of ``uids``, ascending, that the index does not exclude: messages for which the query holds, those that
        are not indexed, and perhaps others. What was indexed with the text of attachments in another form than
        ``extraction_form`` counts as not indexed."""


@frozen
class IndexBounds:
    """How much is indexed. ``octets_max``: the size of the whole index; ``message_octets``: the text of a message;
    ``piece_messages``: the number of messages in a piece, up to ``message.word_pieces.MESSAGES_MAX``. ``extraction`` is
    a ``message.extraction.TextExtraction``: what makes text of attachments."""

    octets_max: int
    message_octets: int
    piece_messages: int
    extraction: Any


@frozen
class TextIndexStatus:
    """How far the index is, of an account or of all.

    Of ``messages``, ``indexed`` are in it. The others came lately, as a piece of the index is made once a mailbox has
    enough new messages for it, or have too much text. ``dropped`` accounts are not indexed. ``octets`` is its size.
    """

    accounts: int
    dropped: int
    messages: int
    indexed: int
    pieces: int
    octets: int


class ITextIndex(Interface):
    """The text index as operators and the server see it."""

    def index_some(bounds: IndexBounds) -> Deferred[int | None]:
        """Do a small part of the work: index the messages of a piece, or look for what is to be indexed; of how many
        messages, and None if nothing is left to do now. Several processes may call it; they share the work."""

    def status(account_id: AccountId | None = None) -> Deferred[TextIndexStatus]:
        """How far it is: of an account, or of all."""

    def drop(account_id: AccountId | None = None) -> Deferred[int]:
        """Remove the index of an account, or of all there are, and do not make it again; how many pieces."""

    def rebuild(account_id: AccountId | None = None) -> Deferred[int]:
        """Remove the index, so that it is made anew by :meth:`index_some`, where it was dropped too; how many pieces
        were removed."""
