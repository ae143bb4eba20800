"""Mailbox names as clients write them and as the store has them, in both namespace profiles.

A store has names of levels with ``values.DELIMITER`` (``/``) between them, for each account by itself. A profile says
how the names of an account, of other users and of shared accounts are put together to what clients write (RFC 2342):

- ``plain``: ``Work/2024`` is what the store has.
- ``courier``: everything is below INBOX and the delimiter is a dot, ``INBOX.Work.2024``. What is a dot within a level
  of the store is a slash on the wire and the other way round, so that each name has one form in either profile.

Other accounts have a prefix, and their login name as the next level: ``Other Users/bob/Work``. The domain is left out
where it is the user's own.
"""

from __future__ import annotations

import enum
from typing import Final

from attrs import evolve, field, frozen

from pymailsuite.values import DELIMITER, INBOX


class Namespace(enum.Enum):
    """The namespaces of RFC 2342 §5."""

    PERSONAL = "personal"
    OTHERS = "user"
    SHARED = "shared"


@frozen
class MailboxName:
    """A mailbox of whoever's: ``name`` is the store's, ``owner`` the login name of another account, and where that is
    it stands in the namespace of other users or of what is shared."""

    name: str
    namespace: Namespace = Namespace.PERSONAL
    owner: str = ""

    def as_subscription(self) -> str:
        """The form in which a subscription of the user is kept. No name of a mailbox begins with a delimiter."""
        if self.namespace is Namespace.PERSONAL:
            return self.name
        return DELIMITER.join(("", self.namespace.value, _level(self.owner), self.name))


def of_subscription(kept: str) -> MailboxName:
    """What a subscription names: the inverse of :meth:`MailboxName.as_subscription`."""
    if kept.startswith(DELIMITER):
        _, word, *rest = kept.split(DELIMITER, 3)
        for namespace in (Namespace.OTHERS, Namespace.SHARED):
            if word == namespace.value and len(rest) == 2:
                return MailboxName(rest[1], namespace, _login(rest[0]))
    return MailboxName(kept)


@frozen
class Profile:
    """One way to write names: what stands in front of all but INBOX, and between levels."""

    name: str
    prefix: str
    delimiter: str
    leaves_levels: bool
    """DELETE of a mailbox with inferiors leaves a ``\\Noselect`` level; otherwise it is refused. RFC 9051 §6.3.5
    allows both."""
    _swap: dict[int, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        pair = {ord(DELIMITER): self.delimiter, ord(self.delimiter): DELIMITER}
        object.__setattr__(self, "_swap", {} if self.delimiter == DELIMITER else pair)

    def swapped(self, text: str) -> str:
        """Levels of the store as levels of the wire, and the other way round."""
        return text.translate(self._swap) if self._swap else text

    def personal(self, wire: str) -> str | None:
        """The store's name for what a client calls ``wire``; None if that is outside of the user's own namespace."""
        first, delimiter, rest = wire.partition(self.delimiter)
        if not is_inbox(first):
            return None if self.prefix else self.swapped(wire)
        if not self.prefix or not delimiter:
            return self.swapped(INBOX + delimiter + rest)
        name = _with_inbox(self.swapped(rest))
        # INBOX has one name only, which is without the prefix.
        return None if name in ("", INBOX) else name

    def wire(self, name: str) -> str:
        """What a client calls one of the user's own mailboxes."""
        return name if name == INBOX or not self.prefix else self.prefix + self.swapped(name)


PLAIN: Final = Profile("plain", "", DELIMITER, leaves_levels=True)
COURIER: Final = Profile("courier", f"{INBOX}.", ".", leaves_levels=False)
PROFILES: Final = {profile.name: profile for profile in (PLAIN, COURIER)}


@frozen
class Naming:
    """A profile, and the first levels of the namespaces of others: empty where there is no such namespace."""

    profile: Profile
    others: str = ""
    shared: str = ""

    def without_others(self) -> Naming:
        """The same where the store shares nothing."""
        return evolve(self, others="", shared="")

    def prefix_of(self, namespace: Namespace) -> str | None:
        """What stands in front of all names of a namespace; None if there is no such namespace."""
        if namespace is Namespace.PERSONAL:
            return self.profile.prefix
        level = self.others if namespace is Namespace.OTHERS else self.shared
        return level + self.profile.delimiter if level else None

    def prefixes_of_others(self) -> list[str]:
        """Those of the namespaces of others that there are."""
        return [
            prefix
            for namespace in Namespace
            if namespace is not Namespace.PERSONAL and (prefix := self.prefix_of(namespace)) is not None
        ]

    def is_reserved(self, wire: str) -> bool:
        """True if nobody can make a mailbox of that name of his own: it begins as those of others do."""
        first, _, _ = wire.partition(self.profile.delimiter)
        return bool(first) and first in (self.others, self.shared)

    def of_others(self, wire: str, user: str) -> MailboxName | None:
        """The mailbox of another account that ``user`` calls ``wire``; None if it does not look like one."""
        if not self.is_reserved(wire):
            return None
        first, *levels = wire.split(self.profile.delimiter, 2)
        if len(levels) < 2 or not all(levels):
            return None
        namespace = Namespace.OTHERS if first == self.others else Namespace.SHARED
        owner = _login(self.profile.swapped(levels[0]))
        _, at, domain = user.rpartition("@")
        return MailboxName(
            _with_inbox(self.profile.swapped(levels[1])), namespace, owner if "@" in owner else f"{owner}{at}{domain}"
        )

    def wire(self, name: MailboxName, user: str) -> str:
        """What ``user`` calls it."""
        if name.namespace is Namespace.PERSONAL:
            return self.profile.wire(name.name)
        local_part, at, domain = name.owner.rpartition("@")
        owner = local_part if at and domain == user.rpartition("@")[2] and "@" not in local_part else name.owner
        levels = self.profile.swapped(_level(owner) + DELIMITER + name.name)
        return f"{self.prefix_of(name.namespace)}{levels}"


def is_inbox(level: str) -> bool:
    """INBOX in any case (RFC 3501 §5.1). Only ASCII letters count: str.upper() would turn a dotless i into an I."""
    return level.isascii() and level.upper() == INBOX


def _with_inbox(name: str) -> str:
    """A name of the store with INBOX, as a whole or as its first level, in capitals."""
    first, delimiter, rest = name.partition(DELIMITER)
    return INBOX + delimiter + rest if is_inbox(first) else name


# A login name is in lower case, so that what stands for a delimiter in it is in no login name itself.
_ESCAPED: Final = "=2F"


def _level(login_name: str) -> str:
    return login_name.replace(DELIMITER, _ESCAPED)


def _login(level: str) -> str:
    return level.replace(_ESCAPED, DELIMITER).lower()
