"""Rights to mailboxes, as RFC 4314 has them: pure values."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen


class Right(enum.Enum):
    """One right, by its letter, in the order in which they are shown. Source: RFC 4314 §2.1."""

    LOOKUP = "l"
    """The mailbox is seen: LIST, LSUB, SUBSCRIBE."""
    READ = "r"
    """SELECT, STATUS, and all that reads messages."""
    KEEP_SEEN = "s"
    """``\\Seen`` is remembered."""
    WRITE = "w"
    """Flags other than ``\\Seen`` and ``\\Deleted``."""
    INSERT = "i"
    """APPEND and COPY into it."""
    POST = "p"
    """Mail sent to its address arrives in it."""
    CREATE = "k"
    """Mailboxes below it."""
    DELETE_MAILBOX = "x"
    """DELETE and RENAME of the mailbox itself."""
    DELETE_MESSAGES = "t"
    """``\\Deleted``."""
    EXPUNGE = "e"
    """EXPUNGE, also at CLOSE."""
    ADMINISTER = "a"
    """The rights of others are seen and set."""


_BY_LETTER: Final = {right.value: right for right in Right}
_ORDER: Final = {right: place for place, right in enumerate(Right)}

# RFC 4314 §2.1.1: letters of RFC 2086 stand for several rights. "d" is about messages, as RFC 2086 §3 has it; so "c",
# which is about mailboxes, is for DELETE too.
_OBSOLETE: Final = {
    "c": frozenset((Right.CREATE, Right.DELETE_MAILBOX)),
    "d": frozenset((Right.DELETE_MESSAGES, Right.EXPUNGE)),
}


def _rights_of(letters: Iterable[str]) -> frozenset[Right]:
    rights: set[Right] = set()
    for letter in letters:
        rights |= _OBSOLETE.get(letter) or {_BY_LETTER[letter]}
    return frozenset(rights)


@frozen
class Rights:
    """A set of rights. ``str()`` has the letters of RFC 4314 in one order, without the obsolete ones."""

    rights: frozenset[Right] = frozenset()

    @classmethod
    def parse(cls, letters: str) -> Rights:
        """Of their letters, those of RFC 2086 too. ValueError for a letter that is none, capitals too."""
        try:
            return cls(_rights_of(letters))
        except KeyError as error:
            raise ValueError(f"not a right: {error.args[0]!r}") from None

    def __str__(self) -> str:
        return "".join(right.value for right in self)

    def __iter__(self) -> Iterator[Right]:
        return iter(sorted(self.rights, key=_ORDER.__getitem__))

    def __contains__(self, right: Right) -> bool:
        return right in self.rights

    def __bool__(self) -> bool:
        return bool(self.rights)

    def __or__(self, other: Rights) -> Rights:
        return Rights(self.rights | other.rights)

    def __and__(self, other: Rights) -> Rights:
        return Rights(self.rights & other.rights)

    def __sub__(self, other: Rights) -> Rights:
        return Rights(self.rights - other.rights)

    def __le__(self, other: Rights) -> bool:
        return self.rights <= other.rights

    @property
    def with_obsolete(self) -> str:
        """The letters as clients are shown them: ``c`` and ``d`` too where a right is there that they stand for, so
        that clients of RFC 2086 can do their work. Source: RFC 4314 §2.1.1."""
        return str(self) + "".join(letter for letter, rights in _OBSOLETE.items() if rights & self.rights)

    @property
    def rfc2086(self) -> str:
        """The letters as a server of RFC 2086 shows them, in the order of the alphabet and without ``p``, which IMAP
        has no use for: ``acdilrsw`` for all."""
        return "".join(sorted(set(self.with_obsolete) - set("pkxte")))


ALL_RIGHTS: Final = Rights(frozenset(Right))
NO_RIGHTS: Final = Rights()

CHANGING: Final = Rights.parse("swite")
"""A mailbox that somebody has one of these for is opened read-write.

Departs from RFC 4314 §5.2, which leaves out ``s`` where each user has a ``\\Seen`` of their own: clients that are told
READ-ONLY do not say any more which messages were read."""

FLAGS: Final = Rights.parse("swt")
"""With all of these every flag may be set."""

VISIBLE: Final = Rights.parse("lr")
"""With one of these a mailbox may be named: its state, and that it is there, is no secret."""

SHOWN: Final = Rights.parse("lrikxa")
"""With one of these somebody is told the own rights. Source: RFC 4314 §4 (MYRIGHTS)."""
