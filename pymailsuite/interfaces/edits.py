"""What a verdict may want changed of a message, and what the verdicts of several policies come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import Attribute as AttrsAttribute
from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from pymailsuite.values import Address

_WHOLE_FIELD: Final = re.compile(rb"[!-9;-~]+:[^\r\n\0]*\r\n(?:[ \t][^\r\n\0]*\r\n)*+").fullmatch
_NAME: Final = re.compile(rb"[!-9;-~]+").fullmatch


def _is_field(_: object, attribute: AttrsAttribute[Any], value: bytes) -> None:
    if not _WHOLE_FIELD(value):
        raise ValueError(f"{attribute.name} is no header field that ends with CRLF: {value[:80]!r}")


def _is_name(_: object, attribute: AttrsAttribute[Any], value: bytes) -> None:
    if not _NAME(value):
        raise ValueError(f"{attribute.name} is no name of a header field: {value[:80]!r}")


# --- the header: as policies are told of it, and as the edits before have left it


@frozen
class AddField:
    """A field, with its CRLF, is put in front of the header, or behind it with ``at_end``."""

    octets: bytes = field(validator=_is_field)
    at_end: bool = False


@frozen
class ReplaceField:
    """The field of that name (any case) is another, ``octets`` with its CRLF.

    ``index`` counts those of the name from 0, from the top, and from -1 from the bottom. Where there is none, the new
    one is put in front."""

    name: bytes = field(validator=_is_name)
    octets: bytes = field(validator=_is_field)
    index: int = 0


@frozen
class RemoveField:
    """The field of that name (any case) goes; ``index`` as of :class:`ReplaceField`, None: all of that name."""

    name: bytes = field(validator=_is_name)
    index: int | None = None


# --- the body


class IBodyStream(Interface):
    """The octets of a body, one piece after the other."""

    def read() -> Deferred[bytes]:
        """The next octets, any number of them; none: that was all. Asked again when the last answer has been used."""

    def close() -> None:
        """Nobody will read any more, whether or not all was read."""


@frozen
class ReplaceBody:
    """The body is another: what follows the empty line. Fields that describe it (Content-Type and the like) are
    replaced by edits of their own. Lines end with CRLF: a message in which CR or LF stands alone is not sent to other
    hosts."""

    body: bytes | Any = field(repr=False)
    """Octets, or an :class:`IBodyStream`."""


# --- the envelope, and where it goes


@frozen
class AddRecipient:
    """One more recipient gets the message."""

    address: Address


@frozen
class RemoveRecipient:
    """The recipient, as RCPT gave it, does not get the message; the sender is told nothing of it."""

    address: Address


@frozen
class ChangeSender:
    """The message has another reverse-path from here on; None is the null path."""

    reverse_path: Address | None


@frozen
class Redirect:
    """Mail for ``recipient`` (None: for all that the verdict is about) goes to another address, as if an alias led
    there."""

    address: Address
    recipient: Address | None = None


@frozen
class Quarantine:
    """The message is kept for its recipients and not delivered: an entry of the queue that is held, until an operator
    releases or deletes it. ``reason`` is one line for him."""

    reason: str


class IMessageSignature(Interface):
    """A signature that covers the message as it leaves, whatever policies want changed of it."""

    def hear_anew() -> None:
        """The message has another body: what was heard of it counts no more, and all of it comes again."""

    def write(octets: bytes) -> None:
        """The next octets of that, the header first; in any cut."""

    def fields(header: bytes) -> bytes:
        """The fields of the signature, each ended by CRLF, for the message with this header, up to and with its empty
        line; none if it cannot be signed as it is now."""


HeaderEdit = AddField | ReplaceField | RemoveField
Edit = HeaderEdit | ReplaceBody | AddRecipient | RemoveRecipient | ChangeSender | Redirect | Quarantine


@frozen
class Edits:
    """What the verdicts of all policies come to.

    ``header`` is to be done in this order. ``body``, ``sender`` None: stay. ``quarantined`` has the reason by
    recipient, ``redirected`` where the mail of recipients goes instead. ``signatures`` are to be made of the message as
    it is in the end.
    """

    header: tuple[HeaderEdit, ...] = ()
    body: ReplaceBody | None = None
    sender: ChangeSender | None = None
    added: tuple[Address, ...] = ()
    removed: frozenset[Address] = frozenset()
    redirected: Mapping[Address, Address] = field(factory=dict)
    quarantined: Mapping[Address, str] = field(factory=dict)
    signatures: tuple[IMessageSignature, ...] = ()

    @property
    def restages(self) -> bool:
        """Whether the octets of the message become others."""
        return bool(self.header) or self.body is not None


NO_EDITS: Final = Edits()
