"""QRESYNC: a client with a cached mailbox receives the changes since its last session. Source: RFC 7162 §3.2.

Expunged UIDs come from the store, changed flags from the view. Where the store does not remember all expunges, every
UID below UIDNEXT without a message is reported (RFC 7162 §3.2.5.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap import replies
from pymailsuite.imap.commands.fetching import say_known
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import FetchModifier, ImapExtension, SelectParameter, after_login
from pymailsuite.imap.grammar.tokens import Cursor
from pymailsuite.imap.selected import View
from pymailsuite.imap.values import STAR, Fetch, SequenceSet
from pymailsuite.interfaces import MailboxChanges
from pymailsuite.values import ALL_UIDS, UID_MAX, NumberSet, UidSet

_CHANGED_SINCE: Final = "CHANGEDSINCE"
_NONE: Final = NumberSet()


@frozen
class Known:
    """The cache of a client: all changes up to ``modseq`` are in it, and the messages with ``uids``.

    ``numbers`` are sequence numbers of some of them as the client knew them, ``numbered`` their UIDs in the same
    order.
    """

    uid_validity: int
    modseq: int
    uids: UidSet = ALL_UIDS
    numbers: NumberSet = _NONE
    numbered: NumberSet = _NONE


def _parse(cursor: Cursor) -> Known:
    # select-param =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
    # seq-match-data = "(" known-sequence-set SP known-uid-set ")"   ; RFC 7162 §7
    cursor.space()
    cursor.take(b"(", "a list")
    uid_validity = cursor.nz_number()
    cursor.space()
    modseq = cursor.mod_sequence()
    uids: NumberSet = ALL_UIDS
    numbers = numbered = _NONE
    is_closed = cursor.try_close()
    if not is_closed and not cursor.sees(b"("):
        uids = _plain(cursor.sequence_set(uid=True))
        is_closed = cursor.try_close()
    if not is_closed:
        cursor.take(b"(", "a list")
        numbers = _plain(cursor.sequence_set(uid=False))
        cursor.space()
        numbered = _plain(cursor.sequence_set(uid=True))
        cursor.take(b")", "the end of the list")
        cursor.take(b")", "the end of the list")
    return Known(uid_validity, modseq, UidSet(uids.ranges), numbers, numbered)


def _plain(numbers: SequenceSet) -> NumberSet:
    """RFC 7162 §7: neither ``*`` nor ``$`` is allowed in these sets."""
    if numbers.is_saved or any(STAR in ends for ends in numbers.ranges):
        raise PeerError("Expected numbers")
    return numbers.resolve(UID_MAX)


def _enable(context: Context) -> None:
    # RFC 7162 §3.2.3: it enables CONDSTORE too.
    context.use_condstore()
    context.qresync = True


def _check_enabled(context: Context, _: Any) -> None:
    if not context.qresync:
        raise PeerError("QRESYNC is not enabled")


async def _resynchronise(context: Context, known: Known) -> None:
    """RFC 7162 §3.2.5.1: first the UIDs of expunged messages, then the changed flags."""
    view = context.selected
    if known.uid_validity != view.uid_validity:
        return
    changes = await _tell_vanished(context, view, known)
    # Not all messages of the view are looked at; what changed since it was opened is reported later.
    changed = UidSet.of(uid for uid, *_ in changes.changed) & known.uids
    spans = view.changed_since(view.places_of(changed), known.modseq)
    await say_known(context, view, spans, uid=True, flags=True, modseq=True)


async def _before_fetch(context: Context, command: Fetch) -> None:
    """RFC 7162 §3.2.6. ``*`` is the greatest possible UID here: the last messages may be expunged."""
    modseq = command.modifiers.get(_CHANGED_SINCE)
    if not command.uid or modseq is None:
        raise PeerError("VANISHED is for UID FETCH with CHANGEDSINCE")
    _check_enabled(context, None)
    view = context.selected
    numbers = command.numbers
    uids = view.saved if numbers.is_saved else UidSet(numbers.resolve(UID_MAX).ranges)
    await _tell_vanished(context, view, Known(view.uid_validity, modseq, uids))


async def _tell_vanished(context: Context, view: View, known: Known) -> MailboxChanges:
    """Report expunged messages. Those with a sequence number in this session follow later, without EARLIER. Returns all
    that changed."""
    changes: MailboxChanges = await view.mail.mailbox_changes(view.mailbox_id, known.modseq)
    if changes.is_complete:
        gone = changes.expunged
    else:
        # Messages that came and were expunged during this session have been reported already.
        first = _verified(view, known) + 1
        gone = UidSet([(first, view.uid_next - 1)]) if first < view.uid_next else UidSet()
    for number, line in enumerate(replies.vanished(view.unknown(gone & known.uids), earlier=True)):
        if number:
            await context.let_others_in()
        context.out.append(line)
    return changes


def _verified(view: View, known: Known) -> int:
    """A UID up to which the client knows all expunges, as its sequence number is the same (RFC 7162 §3.2.5.2)."""
    return max((uid for number, uid in _pairs(known) if view.number_of(uid) == number), default=0)


def _pairs(known: Known) -> Iterator[tuple[int, int]]:
    """Pairs of sequence number and UID, at the beginning and end of each range of either set."""
    numbers, uids = iter(known.numbers.ranges), iter(known.numbered.ranges)
    number, last_number = next(numbers, (1, 0))
    uid, last_uid = next(uids, (1, 0))
    while number <= last_number and uid <= last_uid:
        more = min(last_number - number, last_uid - uid)
        yield number, uid
        yield number + more, uid + more
        number, uid = number + more + 1, uid + more + 1
        if number > last_number:
            number, last_number = next(numbers, (1, 0))
        if uid > last_uid:
            uid, last_uid = next(uids, (1, 0))


QRESYNC = ImapExtension(
    "QRESYNC",
    after_login("QRESYNC"),
    # rexpunges-fetch-mod = "VANISHED"   ; RFC 7162 §7
    fetch_modifiers=(FetchModifier("VANISHED", before=_before_fetch),),
    select_parameters=(SelectParameter("QRESYNC", _check_enabled, _parse, _resynchronise),),
    enables={"QRESYNC": _enable},
    position=11,
)
