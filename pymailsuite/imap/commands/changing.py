"""STORE, EXPUNGE, UID EXPUNGE: flags, and the end of messages.

RFC 3501 §6.4.3 and §6.4.6, RFC 4315 §2.1, RFC 7162 §3.1.3.
"""

from __future__ import annotations

from collections.abc import Iterable

from pymailsuite.errors import ReadOnly
from pymailsuite.imap import replies, values
from pymailsuite.imap.context import Context
from pymailsuite.imap.flags import FlagState
from pymailsuite.imap.selected import Cut, Spans, View, joined
from pymailsuite.interfaces import StoreResult
from pymailsuite.values import SeqSet, UidSet


async def store(context: Context, command: values.Store) -> bytes:
    """RFC 3501 §6.4.6. What the client was not promised by its own command is told even with ``.SILENT``."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    conditional = command.unchanged_since is not None
    if conditional:
        context.use_condstore()
    spans = view.places(command.numbers)
    if not spans:
        return b"OK STORE completed"
    modified: list[int] = []
    gone = False
    cut = Cut(spans)
    # RFC 3501 leaves open whether STORE is done as a whole; in steps it keeps nobody else waiting.
    while step := cut.take(context.settings.step_messages):
        modified += await _store(context, view, command, step)
        gone |= view.owes_expunges and any(
            start <= place < stop for place in view.gone_places() for start, stop in step
        )
        if not cut.is_empty:
            await context.drain()
    if modified:
        failed = UidSet.of(modified) if command.uid else SeqSet.of(filter(None, map(view.number_of, modified)))
        return f"{'NO' if gone else 'OK'} [MODIFIED {failed}] Conditional STORE failed".encode("ascii")
    if gone:
        raise replies.ExpungeIssued()
    return b"OK STORE completed"


async def _store(context: Context, view: View, command: values.Store, spans: Spans) -> UidSet:
    """Change the flags of some messages and tell them; those that failed UNCHANGEDSINCE."""
    before = {place: view.states[place] for span in spans for place in range(*span)} if command.silent else {}
    result: StoreResult = await context.mail.store_flags(
        view.mailbox_id, view.uids_of(spans), command.change, command.flags, command.unchanged_since
    )
    places = context.take_result(result)
    if command.silent:
        surprising = _surprising(view, command, before, places)
        if context.condstore:
            # RFC 7162 §3.1.3: the new modseq is told even so.
            quiet = joined(place for place in places if place not in surprising)
            context.out.append(replies.fetched_flags(view, quiet, uid=command.uid, modseq=True, flags=False))
        places = sorted(surprising)
    context.out.append(replies.fetched_flags(view, joined(places), uid=command.uid, modseq=context.condstore))
    return result.modified


def _surprising(view: View, command: values.Store, before: dict[int, FlagState], places: Iterable[int]) -> set[int]:
    """Places whose flags are not what the client must think they are: another session changed them meanwhile."""
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


async def expunge(context: Context, _: values.Expunge) -> bytes:
    """RFC 3501 §6.4.3: of the messages the client knows of, those with ``\\Deleted``."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    # A flag set by another session and not told here yet counts as well.
    await _expunge(context, view, view.uids_of([(0, len(view))]) if len(view) else UidSet())
    return _expunged(context, b"EXPUNGE")


async def uid_expunge(context: Context, command: values.UidExpunge) -> bytes:
    """Of these messages only. Source: RFC 4315 §2.1."""
    view = context.selected
    if view.read_only:
        raise ReadOnly()
    await _expunge(context, view, view.uids_of(view.places(command.uids)))
    return _expunged(context, b"UID EXPUNGE")


async def _expunge(context: Context, view: View, uids: UidSet) -> None:
    if uids:
        gone: UidSet = await context.mail.expunge(view.mailbox_id, uids)
        view.note_expunged(gone)
    await context.sync_behind(expunges=True)


def _expunged(context: Context, name: bytes) -> bytes:
    # RFC 7162 §3.2.7: a client that keeps modseqs learns up to which it has seen all changes.
    code = b"[HIGHESTMODSEQ %d] " % context.selected.modseq if context.condstore and context.view else b""
    return b"OK %b%b completed" % (code, name)
