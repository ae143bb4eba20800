"""The part of the session that commands use, and the state that they may leave there for later commands.

The session implements all of this. Commands use only these protocols, so neither they nor the session import the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from pymailsuite.config.sections.imap import ImapSettings
from pymailsuite.imap.languages import Language
from pymailsuite.imap.places import MailboxPlace, Places
from pymailsuite.imap.proxy.connection import BackendConnection
from pymailsuite.imap.receiver import LiteralOffered
from pymailsuite.imap.selected import View
from pymailsuite.imap.shared import Connection, Shared
from pymailsuite.imap.snapshots import Snapshot
from pymailsuite.imap.unsolicited import SelectedEvents
from pymailsuite.imap.values import GrammarLimits
from pymailsuite.interfaces import IImapAvatar, StoreResult
from pymailsuite.values import AccountId, ModSeq


class LineReader(Protocol):
    """A command that goes on with lines of its own: AUTHENTICATE with responses, IDLE until DONE."""

    @property
    def tag(self) -> bytes:
        """The tag of the command."""

    def take_line(self, context: Context, line: bytes) -> Awaitable[bytes | None]:
        """The next line; returns the completion without its tag, or None if another line is to come."""


class MessageReader(Protocol):
    """A command that streams messages: APPEND, REPLACE."""

    @property
    def tag(self) -> bytes:
        """The tag of the command."""

    def offer(self, context: Context, event: LiteralOffered) -> Awaitable[bool]:
        """Whether the literal is octets of a message: then they follow. If it is a string of the command, nothing has
        been done. Raises the error that refuses the command, before its octets come."""

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Some octets. A Deferred: no more until it fires."""

    def store(self, context: Context, pieces: Sequence[bytes]) -> Awaitable[bytes]:
        """The command is complete; ``pieces`` came after the last message. Store the messages, and return the
        completion without its tag."""

    def abort(self) -> None:
        """Drop staged messages; harmless afterwards."""


class Unsolicited(Protocol):
    """What a client is told unasked since its NOTIFY SET, in place of what RFC 3501 and IDLE have it told."""

    @property
    def selected(self) -> SelectedEvents:
        """What it is told of the selected mailbox."""

    @property
    def owes_news(self) -> bool:
        """Whether something may have happened to other mailboxes that the client is to be told of."""

    def tell(self) -> Awaitable[None]:
        """Put some of that into the replies."""

    def tell_new(self, count: int) -> Awaitable[None]:
        """Put what is told of new messages into the replies: the last ``count`` of the view."""

    def end(self) -> None:
        """Nothing more is to be told; harmless afterwards."""


class Context(Protocol):
    """One client's session as its commands see it."""

    shared: Shared
    """The values that all sessions share."""
    connection: Connection
    """The connection."""
    out: list[bytes]
    """Untagged replies, which leave together with the completion."""
    view: View | None
    """The selected mailbox as the client knows it."""
    condstore: bool
    """True once the client has shown that it knows of modseqs (RFC 7162 §3.1)."""
    qresync: bool
    """True once the client has enabled QRESYNC: VANISHED takes the place of EXPUNGE, and flags told unasked carry the
    UID (RFC 7162 §3.2.3, §3.2.4)."""
    uid_only: bool
    """True once the client has enabled UIDONLY: neither side uses sequence numbers any more (RFC 9586)."""
    utf8: bool
    """True once the client has enabled UTF-8: strings and names of mailboxes are in it (RFC 6855 §3)."""
    rev2: bool
    """True once the client has enabled IMAP4rev2: replies are those of RFC 9051."""
    language: Language | None
    """The language that the client has chosen; None is the default (RFC 5255 §3)."""
    failed_logins: int
    proxy_ttl: int
    """How many front ends may stand one behind the other from here on. Less than ``FRONT_ENDS``: the client is one."""
    mid_response: bool
    """A response is being sent in pieces: nothing else may be sent before its end."""

    @property
    def settings(self) -> ImapSettings:
        """``[imap]``."""

    @property
    def mail(self) -> Any:
        """The user's own IAccountMail; only after login. What is selected is read and changed through ``view.mail``,
        what a client names through :meth:`place`."""

    @property
    def places(self) -> Places:
        """Resolves names of mailboxes; only after login."""

    @property
    def grammar(self) -> GrammarLimits:
        """The limits of the next command."""

    @property
    def login_name(self) -> str:
        """The login name of the account; only after login."""

    @property
    def selected(self) -> View:
        """As ``view``, in a command that is allowed with a selected mailbox alone."""

    @property
    def stale(self) -> bool:
        """True if the account has changed since the view was brought up to date."""

    # --- the connection and the login

    def capabilities(self) -> bytes:
        """The present capabilities."""

    def hides(self, capability: str) -> bool:
        """Whether this capability is not there for this client."""

    def identified(self, fields: Mapping[str, str | None]) -> bool:
        """The client has sent an ID. True if its capabilities are others from now on."""

    def logged_in(self, avatar: IImapAvatar, log_out: Callable[[], object]) -> None:
        """The portal has let the client in."""

    def pass_on(self, backend: BackendConnection, log_out: Callable[[], object]) -> None:
        """Once the completion is sent, the client is connected with the back-end until either ends."""

    def unauthenticate(self) -> None:
        """The client is as before login, and what it enabled is off again. Source: RFC 8437 §3."""

    def expect_line(self, reader: LineReader, *, idle: bool = False) -> None:
        """The next line of the client is for ``reader``; until then the client is in IDLE, or owes a response."""

    def end_after_reply(self) -> None:
        """LOGOUT was answered."""

    # --- changes told unasked

    def watch_account(self, account_id: AccountId, noticed: Callable[[ModSeq], None]) -> Callable[[], None]:
        """Have ``noticed`` called with each announced modseq of an account; returns how to stop."""

    def tell_unasked(self, unsolicited: Unsolicited | None) -> None:
        """From now on the client is told this unasked; None: what it is told without NOTIFY."""

    # --- output that does not wait for the completion

    def answer(self, status: bytes) -> None:
        """Add a status response to the replies, in the language of the client."""

    def flush(self) -> None:
        """Pass the replies so far to the connection."""

    def drain(self) -> Awaitable[None]:
        """Send the replies so far, and wait while the client does not read."""

    def let_others_in(self) -> Awaitable[None]:
        """As :meth:`drain`, and continue after other connections have had their turn."""

    def send_part(self, octets: bytes) -> Deferred[None] | None:
        """Send a piece of a response; a Deferred: nothing more until the client has read."""

    # --- the selected mailbox

    def place(self, name: str) -> Awaitable[MailboxPlace]:
        """Where the name of a mailbox that is or was there leads, a name as the client wrote it. NoSuchMailbox."""

    def watch(self, account_id: AccountId) -> None:
        """A mailbox of this account is about to be read: changes to the account from now on are noticed."""

    def select(self, view: View) -> None:
        """This mailbox is selected from now on. It was read after :meth:`watch`, so that nothing is missed between."""

    def deselect(self) -> None:
        """No mailbox is selected from now on; harmless if none was."""

    def snapshot_of(self, place: MailboxPlace) -> Snapshot | None:
        """The snapshot kept when a session of this user closed the mailbox."""

    def catch_up(self, *, claims: bool) -> Awaitable[None]:
        """Bring a view that began with a snapshot up to date, before any of it is sent to the client."""

    def use_condstore(self) -> None:
        """The client knows of modseqs: FETCH includes them from now on. Source: RFC 7162 §3.1."""

    def use_utf8(self) -> None:
        """The client takes UTF-8: names of mailboxes are no longer in modified UTF-7. Source: RFC 6855 §3."""

    def use_rev2(self) -> None:
        """Replies are those of IMAP4rev2 from now on. Source: RFC 9051 Appendix E."""

    def sync(self, *, expunges: bool, ask: bool = False) -> Awaitable[None]:
        """Bring the view up to date and report the changes; ``ask`` the store even without a notice.

        Without ``expunges`` nothing is sent that would change sequence numbers.
        """

    def sync_behind(self, *, expunges: bool, ask: bool = False) -> Awaitable[bool]:
        """As :meth:`sync`, after a command that is done and stays done; False if the store did not return the
        changes."""

    def arrived_in(self, place: MailboxPlace) -> Awaitable[None]:
        """The command put messages into a mailbox; if it is the selected one they are reported at once."""

    def take_result(self, result: StoreResult) -> list[int]:
        """Take the command's changes to messages into the view; returns their places. A new keyword is reported."""

    def note_keywords(self, combinations: Collection[str]) -> None:
        """FLAGS is about to include these keywords, which another session may have made, and which were not reported
        yet."""
