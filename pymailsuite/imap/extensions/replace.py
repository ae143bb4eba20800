"""REPLACE: a message is appended and another one expunged, both or neither. Source: RFC 8508.

Drafts that are saved again and again are what it is for: the client sends one command, and nobody sees both messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from attrs import field, frozen

from pymailsuite.errors import NoSuchMailbox, NoSuchMessage, PeerError, ReadOnly, Refusal
from pymailsuite.imap import replies
from pymailsuite.imap.commands.append import Append, Upload, append_uid
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand, ImapExtension, after_login
from pymailsuite.imap.grammar.append import Place, read_messages
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.places import MailboxPlace
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import SequenceSet
from pymailsuite.interfaces import Appended, NewMessage
from pymailsuite.values import Uid, UidSet


@frozen
class Replace(Append):
    """RFC 8508 §3; ``number`` names the message that goes."""

    number: SequenceSet = field(kw_only=True)


def _parse(cursor: Cursor, tag: str, *, uid: bool, literal: bool = False) -> Replace:
    # replace = "REPLACE" SP seq-number SP mailbox append-message   ; RFC 8508 §6
    cursor.space()
    number = cursor.sequence_set(uid)
    if number.is_saved or len(number.ranges) != 1 or len(set(number.ranges[0])) != 1:
        raise PeerError("Expected one number")
    cursor.space()
    if literal and cursor.is_at_end():
        return Replace(tag, number=number)
    mailbox = cursor.mailbox()
    return Replace(tag, mailbox, read_messages(cursor, Place.FIRST, literal=literal), number=number)


class Replacement(Upload):
    """One REPLACE in progress."""

    __slots__ = ("_is_uid", "_uid")

    def __init__(self, tag: bytes, *, uid: bool) -> None:
        super().__init__(tag)
        self._is_uid = uid
        self._uid = Uid(0)

    def parse(self, cursor: Cursor, tag: str, *, literal: bool) -> Append:
        """The command from its tag on, as far as it has come."""
        return _parse(cursor, tag, uid=self._is_uid, literal=literal)

    async def begin(self, context: Context) -> None:
        """Look for the message that is to go: its number may be another one when all octets have come."""
        view = context.selected
        if view.read_only:
            raise ReadOnly()
        assert isinstance(self.command, Replace)
        spans = view.places(self.command.number)
        if not spans:
            raise NoSuchMessage()
        self._uid = Uid(view.uids[spans[0][0]])

    async def check_room(self, size: int) -> None:
        """The store alone knows what becomes free by the message that goes."""

    async def add(self, context: Context, place: MailboxPlace, messages: Sequence[NewMessage]) -> bytes:
        """RFC 8508 §3.3: APPENDUID comes untagged, before the EXPUNGE."""
        if len(messages) != 1:
            raise PeerError("Expected one message")
        view = context.selected
        if place.account_id != view.mail.account_id:
            raise Refusal("Messages are replaced within an account")
        try:
            appended: Appended = await view.mail.replace(view.mailbox_id, self._uid, place.name, messages[0])
        except NoSuchMailbox as error:
            raise replies.TryCreate(cause=error.public) from None
        self.keep_staged()
        context.out.append(b"* OK " + append_uid(appended) + b"Replacement is there\r\n")
        view.note_expunged(UidSet.of([self._uid]))
        await context.sync_behind(expunges=True, ask=view.is_at(place.account_id, place.name))
        # RFC 7162 §3.2.8 (as for EXPUNGE).
        code = b"[HIGHESTMODSEQ %d] " % view.modseq if context.condstore and context.view is view else b""
        return b"OK " + code + b"REPLACE completed"


def _command(name: str, *, uid: bool) -> ImapCommand:
    async def replace(context: Context, command: Replace) -> bytes:
        return await Replacement(command.tag.encode("ascii"), uid=uid).whole(context, command)

    return ImapCommand(name, SELECTED, replace, partial(_parse, uid=uid), message_reader=partial(Replacement, uid=uid))


REPLACE = ImapExtension(
    "REPLACE",
    after_login("REPLACE"),
    commands=(_command("REPLACE", uid=False), _command("UID REPLACE", uid=True)),
    position=42,
)
