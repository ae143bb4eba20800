"""The history of messages and refusals: written to the store, and read when somebody asks for the reason."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.interfaces.policy import AppliedVerdict
from pymailsuite.interfaces.transient import transient
from pymailsuite.values import AccountId, Address, ContentId, Peer, QueueId


class HistoryKind(enum.Enum):
    """The subject of an entry."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    MORE_REFUSED = "more refused"
    """Further refusals of one client, of which only the number is kept."""
    TURNED_AWAY = "turned away"
    """Refusals by a limit, before there was a conversation to tell of."""
    ATTEMPT = "attempt"
    REPORT = "report"
    """A report of ours, of what became of another message."""


@frozen
class StepNote:
    """What a delivery step decided, and of whom: None for the whole message. ``did`` is a word for it, ``failed`` among
    them."""

    step: str
    recipient: Address | None
    did: str
    why: str = ""


@transient
class HistoryEntry:
    """One thing that happened. A message's story has the id of its content; the first entry of a story has its id.

    ``happened_at`` is POSIX seconds, ``facts`` a JSON object. ``names`` are what the story can be found by (in any
    case): addresses of mail and of hosts. Never a secret, never a text of a message.
    """

    story_id: ContentId
    entry_id: ContentId
    happened_at: float
    kind: HistoryKind
    facts: str = field(repr=False)
    names: tuple[str, ...] = ()


@frozen
class Copy:
    """Where a local copy of a message is now. ``mailbox`` None: its owner has expunged it."""

    login_name: str
    mailbox: str | None


@frozen
class Story:
    """All that is known of one message or refusal, in order."""

    story_id: ContentId
    entries: tuple[HistoryEntry, ...]


class IHistoryStore(Interface):
    """The record of what happened, shared by all nodes. Entries of accepted messages and of attempts come with their
    :class:`~pymailsuite.interfaces.Acceptance` or settling, and are stored in the same transaction."""

    def new_id() -> ContentId:
        """An id for an entry. StoreUnavailable, raised, if none can be made just now."""

    def add(entries: Sequence[HistoryEntry]) -> Deferred[None]:
        """Store entries that come with nothing else."""

    def story(story_id: ContentId) -> Deferred[Story | None]:
        """The story of a message, or a refusal, by its id."""

    def about(name: str, since: float, limit: int) -> Deferred[Sequence[Story]]:
        """The last ``limit`` stories that began after ``since`` and can be found by ``name``, the newest first."""

    def copies(content_id: ContentId, account_ids: Sequence[AccountId]) -> Deferred[Sequence[Copy]]:
        """Where the copies of a message that these accounts got are now; accounts that are gone are left out."""


@frozen
class Refused:
    """A refusal as a protocol tells of it. ``what`` is the name of the event in the log, ``reply`` what was said.

    ``queue_id`` is there if a message had been begun; ``policy`` if a check refused, whose verdict is among
    ``applied_verdicts``; ``reason`` is what was not said to the client.
    """

    what: str
    peer: Peer
    reply: str
    reverse_path: Address | None = None
    recipients: tuple[Address, ...] = ()
    policy: str = ""
    queue_id: QueueId | None = None
    applied_verdicts: tuple[AppliedVerdict, ...] = ()
    reason: str = ""


@frozen
class TurnedAway:
    """What one address was refused within a short time, and how often: ``number`` times from ``since`` to ``until``
    (POSIX seconds).

    ``what`` is a name as of an event, ``ip`` the last address of its network, empty for many; ``reply`` is the last."""

    what: str
    protocol: str
    ip: str
    reply: str
    number: int
    since: float
    until: float


class IRefusalRecord(Interface):
    """Keeps refusals. Never waited for."""

    def refused(refusal: Refused) -> None:
        """A refusal. Cheap, however many there are."""

    def turned_away(count: TurnedAway) -> None:
        """A number of refusals."""
