"""How mail of a sender has fared here before, the same on every node."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

IdentityKind = Literal["address", "domain", "network"]


@frozen(order=True)
class Identity:
    """A sender: an ``address`` or a ``domain`` that was verified (SPF, DKIM, DMARC), or a ``network``."""

    kind: IdentityKind
    name: str


class Event(enum.Enum):
    """An event of a message."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """For good, for another reason than reputation."""
    JUNK = "junk"
    """A user has said that it is."""
    NOT_JUNK = "not_junk"
    """A user has said that it is not, of one that was taken for it."""


@frozen
class Reputation:
    """How many events there were, each weighing less as time goes by: what they weighed at ``noted_at``.

    Times are POSIX seconds."""

    identity: Identity
    accepted: float = 0.0
    refused: float = 0.0
    junk: float = 0.0
    not_junk: float = 0.0
    first_seen: float = 0.0
    noted_at: float = 0.0

    def at(self, now: float, half_life_s: float) -> Reputation:
        """Their weights at ``now``, if they halve every ``half_life_s`` seconds."""
        factor = 0.5 ** (max(now - self.noted_at, 0.0) / half_life_s)
        return evolve(
            self,
            accepted=self.accepted * factor,
            refused=self.refused * factor,
            junk=self.junk * factor,
            not_junk=self.not_junk * factor,
            noted_at=now,
        )


class IReputationStore(Interface):
    """Reputations. Names that are too long to keep are kept as a digest; all weights are those of now."""

    def look_up(identities: Iterable[Identity], half_life_s: float) -> Deferred[Mapping[Identity, Reputation]]:
        """Those there are: a read."""

    def add(events: Mapping[tuple[Identity, Event], float], half_life_s: float) -> Deferred[None]:
        """Add so many of each. Those that come together share a transaction."""

    def meet(identities: Sequence[Identity]) -> Deferred[None]:
        """They have been seen, if they are not known yet; nothing is said about them."""

    def all(kind: IdentityKind | None, name: str, half_life_s: float, limit: int) -> Deferred[Sequence[Reputation]]:
        """Of one kind or all, of one name or (if it is empty) all; those noted last first."""

    def forget(name: str) -> Deferred[int]:
        """Forget all identities of that name; returns how many."""


class IReputation(Interface):
    """Hears how messages fare."""

    def note(identities: Iterable[Identity], event: Event) -> None:
        """It happened to a message of these. Never waited for; kept for a while before it is written."""


@frozen
class JunkReport:
    """A user has said of a message whether it is junk. ``prefix`` are the fields we put in front of it when it came,
    our Authentication-Results among them."""

    junk: bool
    prefix: bytes


class IJunkFeedback(Interface):
    """Tells what users of this process say of messages, by moving them to or from the mailbox ``\\Junk`` and by the
    keywords ``$Junk`` and ``$NotJunk``."""

    def subscribe(callback: Callable[[JunkReport], None]) -> None:
        """Call ``callback`` with each JunkMark, in the reactor thread, after the commit."""
