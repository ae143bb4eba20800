"""The services that a session is given, and the requests it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from twisted.cred.credentials import ICredentials
from twisted.python.failure import Failure

from pymailsuite.config.sections.pop3 import Pop3Settings
from pymailsuite.pop3.extension import Extensions
from pymailsuite.sasl import Mechanisms, Pending
from pymailsuite.values import INBOX, UidSet
from pymailsuite.wire.extension import AwaitReply


@frozen
class Service:
    """The values that all sessions of a listener share."""

    settings: Pop3Settings
    hostname: str
    tls_available: bool
    mechanisms: Mechanisms
    owner: str = ""
    """This process, as the locks of maildrops name it."""
    extensions: Extensions = field(factory=lambda: Extensions(()))


@frozen
class Listing:
    """A maildrop as it was at login: message numbers do not change within a session (RFC 1939 §4).

    ``uids`` and ``sizes`` (octets as they are stored) go by message number less one. ``extra`` are the octets by which
    a message is longer as it is sent, by the same number; None where they have not been counted. Messages without extra
    octets, the most, are left out.
    """

    uid_validity: int
    uids: Sequence[int] = field(repr=False)
    sizes: Sequence[int] = field(repr=False)
    extra: Mapping[int, int | None] = field(factory=dict, repr=False)

    def sent_sizes(self) -> Sequence[int]:
        """Octets of each message as it is sent (RFC 1939 §11), as far as they are known."""
        if not self.extra:
            return self.sizes
        sizes = list(self.sizes)
        for index, extra in self.extra.items():
            sizes[index] += extra or 0
        return sizes


@frozen
class BeginTls:
    """Send the replies, begin TLS, discard unread octets; then call ``tls_begun``."""


@frozen
class LogIn:
    """Ask the portal, then lock and open the maildrop.

    Answer with ``maildrop_opened``, ``login_refused``, or ``maildrop_refused``.
    """

    credentials: ICredentials = field(repr=False)
    mailbox: str = INBOX


@frozen
class AwaitLogin:
    """Await what the exchange needs; answer with ``login_goes_on``, ``login_refused`` or ``maildrop_refused``."""

    pending: Pending


@frozen
class HoldBack:
    """Wait that many seconds, then call ``held_back``."""

    delay_s: float


@frozen
class ReadMessage:
    """Read a message of the listing.

    Answer with ``message_read``; or with ``message_begun``, pieces and ``message_ended`` if it is long; or with
    ``message_refused``. ``lines`` None: whole; else its header and so many lines of its body.
    """

    index: int
    lines: int | None


@frozen
class CloseMaildrop:
    """Remove these messages, give the lock back; answer with ``maildrop_closed`` or ``removal_failed``."""

    uids: UidSet


Request = BeginTls | LogIn | AwaitLogin | HoldBack | ReadMessage | CloseMaildrop | AwaitReply


@frozen
class Note:
    """Something worth a line in the log; ``event`` is its name there."""

    event: str
    fields: Mapping[str, Any]
    failure: Failure | None = None
