"""STORE, EXPUNGE: flags, and the removal of messages.

RFC 3501 §6.4.3 and §6.4.6, RFC 7162 §3.1.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from pymailsuite.errors import ReadOnly
from pymailsuite.imap import replies
from pymailsuite.imap.context import Context
from pymailsuite.imap.extension import ImapCommand
from pymailsuite.imap.flags import FlagState
from pymailsuite.imap.grammar.messages import parse_store
from pymailsuite.imap.message_limit import tell_limit, within_limit
from pymailsuite.imap.progress import Progress
from pymailsuite.imap.selected import Cut, Spans, View, count_of, joined
from pymailsuite.imap.states import SELECTED
from pymailsuite.imap.values import Command, Store
from pymailsuite.interfaces import StoreResult
from pymailsuite.values import SeqSet, UidSet


async def _store(context: Context, command: Store) -> bytes:
    """RFC 3501 §6.4.6. Flags that the client cannot expect from its own command are reported even with ``.SILENT``."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    conditional = command.unchanged_since is not None
    if conditional:
        context.use_condstore()
    spans = view.places(command.numbers)
    if not spans:
        return b"OK STORE completed"
    spans, limited = within_limit(context, view, spans)
    modified: list[int] = []
    gone = False
    cut = Cut(spans)
    progress = Progress(context, command.tag, count_of(spans))
    done = 0
    # RFC 3501 leaves open whether STORE is atomic; in steps it does not delay other sessions.
    while step := cut.take(context.settings.step_messages):
        modified += await _store_some(context, view, command, step)
        done += count_of(step)
        progress.note(done)
        gone |= view.owes_expunges and any(
            start <= place < stop for place in view.gone_places() for start, stop in step
        )
        if not cut.is_empty:
            await context.drain()
    if modified:
        tell_limit(context, limited)
        failed = UidSet.of(modified) if command.uid else SeqSet.of(filter(None, map(view.number_of, modified)))
        return f"{'NO' if gone else 'OK'} [MODIFIED {failed}] Conditional STORE failed".encode("ascii")
    if gone:
        raise replies.ExpungeIssued()
    return b"OK " + limited + b"STORE completed"


async def _store_some(context: Context, view: View, command: Store, spans: Spans) -> UidSet:
    """Change the flags of some messages and report them; returns those that failed UNCHANGEDSINCE."""
    before = {place: view.states[place] for span in spans for place in range(*span)} if command.silent else {}
    result: StoreResult = await view.mail.store_flags(
        view.mailbox_id, view.uids_of(spans), command.change, command.flags, command.unchanged_since
    )
    places = context.take_result(result)
    # RFC 7162 §3.2.4: both UID and modseq.
    uid = (command.uid or context.qresync) and not context.uid_only
    if command.silent:
        surprising = _surprising(view, command, before, places)
        if context.condstore:
            # RFC 7162 §3.1.3: the new modseq is reported even so.
            quiet = joined(place for place in places if place not in surprising)
            context.out.append(replies.fetched_flags(view, quiet, uid=uid, modseq=True, flags=False))
        places = sorted(surprising)
    context.out.append(replies.fetched_flags(view, joined(places), uid=uid, modseq=context.condstore))
    return result.modified


def _surprising(view: View, command: Store, before: dict[int, FlagState], places: Iterable[int]) -> set[int]:
    """Places whose flags differ from those that the client must expect: another session changed them meanwhile."""
    expected: dict[FlagState, tuple[int, frozenset[str]]] = {}
    found = set()
    for place in places:
        old, new = before[place], view.states[place]
        hoped = expected.get(old)
        if hoped is None:
            hoped = expected[old] = old.after(command.change, command.flags)
        if new is not old and (new.system, frozenset(new.keywords.lower().split())) != hoped:
            found.add(place)
    return found


async def _expunge(context: Context, _: Command) -> bytes:
    """RFC 3501 §6.4.3: of the messages the client knows of, those with ``\\Deleted``."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    # A flag set by another session and not reported here yet counts as well.
    return await expunge_some(context, view.uids_of([(0, len(view))]) if len(view) else UidSet(), b"EXPUNGE")


async def expunge_some(context: Context, uids: UidSet, name: bytes) -> bytes:
    """Expunge those of the selected mailbox's messages that have ``\\Deleted``, for the command of that name."""
    if uids:
        view = context.selected
        gone: UidSet = await view.mail.expunge(view.mailbox_id, uids)
        view.note_expunged(gone)
    await context.sync_behind(expunges=True)
    # RFC 7162 §3.2.7: a client that keeps modseqs learns the modseq up to which it has seen all changes.
    code = b"[HIGHESTMODSEQ %d] " % context.selected.modseq if context.condstore and context.view else b""
    return b"OK %b%b completed" % (code, name)


COMMANDS: Final = (
    ImapCommand("STORE", SELECTED, _store, parse_store, holds_numbers=True),
    ImapCommand("UID STORE", SELECTED, _store, partial(parse_store, uid=True)),
    ImapCommand("EXPUNGE", SELECTED, _expunge),
)
