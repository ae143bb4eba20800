"""What a client wants to be told unasked: events, and the mailboxes they happen to. Source: RFC 5465 §5 and §6."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection
from typing import Final

from attrs import evolve, frozen

from pymailsuite.imap.values import FetchItem
from pymailsuite.values import DELIMITER, INBOX


class Event(enum.Enum):
    """The events that are known here, by their names in the protocol."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"


MESSAGE_EVENTS: Final = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})


_LEVEL_ENDS: Final = re.compile(re.escape(DELIMITER)).finditer


class Scope(enum.Enum):
    """Which mailboxes a group of events is about, besides the selected one."""

    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    MAILBOXES = "MAILBOXES"


@frozen
class EventGroup:
    """Events of some mailboxes; none for NONE. ``names`` are those of SUBTREE and MAILBOXES: as the client wrote them,
    until :meth:`Wishes.with_names` makes them those under which subscriptions are kept."""

    scope: Scope
    events: frozenset[Event]
    names: frozenset[str] = frozenset()

    def matches(self, name: str, subscribed: Collection[str]) -> bool:
        """Whether the mailbox is one of those that are meant. All names are those under which subscriptions are kept,
        of which those of the user's own mailboxes do not begin with a delimiter."""
        match self.scope:
            case Scope.INBOXES:
                return name == INBOX
            case Scope.PERSONAL:
                return not name.startswith(DELIMITER)
            case Scope.SUBSCRIBED:
                return name in subscribed
            case Scope.MAILBOXES:
                return name in self.names
            case Scope.SUBTREE:
                # By the levels of the name, since a client may name a thousand subtrees.
                return name in self.names or any(name[: end.start()] in self.names for end in _LEVEL_ENDS(name))


@frozen
class SelectedEvents:
    """Events of the selected mailbox. ``items`` are data items of new messages that are told with them.

    With ``at_once`` EXPUNGE may come while no command is in progress, otherwise with the next command that allows it.
    """

    events: frozenset[Event] = frozenset()
    at_once: bool = False
    items: tuple[FetchItem, ...] = ()


@frozen
class Wishes:
    """All that one NOTIFY SET asked for."""

    selected: SelectedEvents = SelectedEvents()
    groups: tuple[EventGroup, ...] = ()

    def with_names(self, kept: Callable[[str], str | None]) -> Wishes:
        """The same with the names under which subscriptions are kept; those that can be no mailbox are left out."""
        groups = tuple(
            evolve(group, names=frozenset(name for name in map(kept, group.names) if name is not None))
            for group in self.groups
        )
        return evolve(self, groups=groups)

    @property
    def needs_subscriptions(self) -> bool:
        """Whether a mailbox is meant because it is subscribed."""
        return any(group.scope is Scope.SUBSCRIBED for group in self.groups)

    @property
    def may_mean_others(self) -> bool:
        """Whether mailboxes of other accounts may be meant."""
        named = (name for group in self.groups for name in group.names)
        return self.needs_subscriptions or any(name.startswith(DELIMITER) for name in named)

    def events_of(self, name: str, subscribed: Collection[str]) -> frozenset[Event]:
        """The events of a mailbox that is not selected: those of all groups that mean it, down to one with NONE."""
        events: frozenset[Event] = frozenset()
        for group in self.groups:
            if group.matches(name, subscribed):
                if not group.events:
                    break
                events |= group.events
        return events
