"""The server's replies, as octets; every line ends with CRLF. Source: RFC 3501 §7.

The text of FETCH with stored data is made in ``fetch.py``; this is everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Final
from urllib.parse import quote

from pymailsuite.errors import LimitReached, MailError, NoSuchMailbox, PeerError, Refusal
from pymailsuite.imap.flags import SYSTEM_FLAGS, FlagState
from pymailsuite.imap.selected import Spans, View
from pymailsuite.imap.values import BadMailboxName, UidRequired
from pymailsuite.interfaces.rights import FLAGS, Right
from pymailsuite.values import UidSet

CRLF: Final = b"\r\n"
CONTINUE: Final = b"+ OK\r\n"
_TEXT: Final = attrgetter("text")
_RECENT_TEXT: Final = attrgetter("recent_text")
_VANISHED_RANGES: Final = 500
"""In one line of VANISHED, so that none is longer than some 10 KB."""
_RIGHT_TO: Final = {"\\Seen": Right.KEEP_SEEN, "\\Deleted": Right.DELETE_MESSAGES}
_NOT_TEXT: Final = re.compile(r"[^\x20-\x7e]+")


# --- refusals of IMAP alone -----------------------------------------------------------------------------------------


class TryCreate(NoSuchMailbox):
    """APPEND, COPY or MOVE to a mailbox that CREATE could make. Source: RFC 3501 §7.1."""

    imap_code = "TRYCREATE"


class ExpungeIssued(Refusal):
    """Some of the messages asked for are gone. Source: RFC 5530."""

    imap_code = "EXPUNGEISSUED"
    text = "Some of the messages no longer exist"


class NotSaved(Refusal):
    """What a SEARCH found is too much to keep. Source: RFC 5182 §2.1."""

    imap_code = "NOTSAVED"
    text = "Too many ranges of messages to save"


class TooManyMessages(LimitReached):
    """More messages than a command processes that takes all of them or none. Source: RFC 9738 §3.1."""

    text = "Too many messages in one command"

    def __init__(self, limit: int, uid: int | None = None) -> None:
        """``uid``: the lowest among as many of the newest messages as would do."""
        super().__init__()
        self.imap_code = f"MESSAGELIMIT {limit}" if uid is None else f"MESSAGELIMIT {limit} {uid}"


class TooFewMessages(Refusal):
    """UIDBATCHES asked for batches that are too small. Source: RFC 10022."""

    imap_code = "TOOFEW"
    text = "Batches of fewer than 500 messages"


class TooManyBatches(Refusal):
    """UIDBATCHES asked for more batches than are told at once. Source: RFC 10022."""

    imap_code = "TOOMANY"
    text = "Too many batches in one command"


class PrivacyRequired(Refusal):
    """The command requires TLS. Source: RFC 5530."""

    imap_code = "PRIVACYREQUIRED"
    text = "Begin TLS first"


class Referral(Refusal):
    """The user's mail is on another host. Source: RFC 2221 §4.1."""

    text = "Your mail is on another server"

    def __init__(self, user: str, host: str) -> None:
        super().__init__(cause=f"{user} is referred to {host}")
        self.imap_code = f"REFERRAL imap://{quote(user)};AUTH=*@{host}/"


class CannotAuthenticate(Refusal):
    """The mechanism is not supported. Source: RFC 3501 §6.2.2."""

    imap_code = "CANNOT"
    text = "Unsupported authentication mechanism"


class ServerBug(MailError):
    """Something unexpected went wrong; it is in the log. Source: RFC 5530."""

    imap_code = "SERVERBUG"
    text = "Internal error"


# --- lines ----------------------------------------------------------------------------------------------------------


def text(words: str) -> bytes:
    """Text for people: printable ASCII, whatever its source."""
    return _NOT_TEXT.sub("?", words).encode("ascii")


def completed(tag: bytes, result: bytes) -> bytes:
    """The end of a command: ``result`` is ``OK ...`` and the rest of the line."""
    return tag + b" " + result + CRLF


def refused(tag: bytes, error: MailError) -> bytes:
    """The end of a command that failed: BAD if the client broke the rules, NO with a response code otherwise."""
    if isinstance(error, PeerError) and not isinstance(error, BadMailboxName):
        code = b"[UIDREQUIRED] " if isinstance(error, UidRequired) else b""
        return tag + b" BAD " + code + text(error.public) + CRLF
    code = f"[{error.imap_code}] ".encode("ascii") if error.imap_code else b""
    return tag + b" NO " + code + text(error.public) + CRLF


def bye(words: str) -> bytes:
    """The server closes the connection. Source: RFC 3501 §7.1.5."""
    return b"* BYE " + text(words) + CRLF


def flags_lines(view: View) -> bytes:
    """FLAGS and PERMANENTFLAGS: sent by SELECT, and again whenever a keyword is new to the client."""
    known = " ".join([SYSTEM_FLAGS, *sorted(view.keywords)])
    permanent = "" if view.read_only else f"{known} \\*"
    if permanent and not view.rights >= FLAGS:
        permanent = _permanent_flags(view)
    return f"* FLAGS ({known})\r\n* OK [PERMANENTFLAGS ({permanent})] Flags kept\r\n".encode("ascii")


def _permanent_flags(view: View) -> str:
    """Those that the rights of the user are enough for. Source: RFC 4314 §5.1.1."""
    flags = [flag for flag in SYSTEM_FLAGS.split() if _RIGHT_TO.get(flag, Right.WRITE) in view.rights]
    return " ".join([*flags, *sorted(view.keywords), "\\*"] if Right.WRITE in view.rights else flags)


def highest_modseq(view: View) -> bytes:
    """The modseq up to which the client has all changes. Source: RFC 7162 §3.1.2.1."""
    return b"* OK [HIGHESTMODSEQ %d] Highest mod-sequence\r\n" % view.modseq


def exists(view: View) -> bytes:
    """EXISTS and RECENT."""
    if not view.tells_recent:
        return b"* %d EXISTS\r\n" % len(view)
    return b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(view), view.recent_count())


def expunged(numbers: Iterable[int]) -> bytes:
    """EXPUNGE, a line a message; each number is counted after the one before it is gone."""
    return b"".join([b"* %d EXPUNGE\r\n" % number for number in numbers])


def vanished(uids: UidSet, *, earlier: bool = False) -> Iterator[bytes]:
    """VANISHED, in lines of a bounded length; ``earlier``: the client does not count these messages any more.

    Source: RFC 7162 §3.2.10.
    """
    word = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    for start in range(0, len(uids.ranges), _VANISHED_RANGES):
        some = UidSet(uids.ranges[start : start + _VANISHED_RANGES])
        yield word + str(some).encode("ascii") + CRLF


def fetched_flags(view: View, spans: Spans, *, uid: bool, modseq: bool, flags: bool = True) -> bytes:
    """FETCH lines with the view's data of the messages at these places: flags, and UID and MODSEQ if asked. Where the
    client is told UIDs only they are UIDFETCH lines, which begin with the UID (RFC 9586 §3.3)."""
    lines: list[bytes] = []
    for start, stop, is_recent in view.runs(spans):
        uids, modseqs = view.uids[start:stop], view.modseqs[start:stop]
        numbers = uids if view.uid_only else range(start + 1, stop + 1)
        columns = [numbers, *[uids] * uid, *[modseqs] * modseq]
        values = numbers if len(columns) == 1 else chain.from_iterable(zip(*columns, strict=True))
        # FETCH 1:* (UID FLAGS) of a large mailbox is what clients do most: there is one format for all of it, put
        # together of one for each combination of flags, without a step of Python for each message.
        forms = _LineForms(view.uid_only, is_recent, uid=uid, modseq=modseq, flags=flags)
        form = b"".join(map(forms.__getitem__, view.states[start:stop]))
        lines.append(form % tuple(values))
    return b"".join(lines)


class _LineForms(dict[FlagState, bytes]):
    """The format of a line for each combination of flags, to be filled with numbers."""

    def __init__(self, uid_only: bool, is_recent: bool, *, uid: bool, modseq: bool, flags: bool) -> None:
        super().__init__()
        self._text = _RECENT_TEXT if is_recent else _TEXT
        self._flags = flags
        self._before, self._behind = _around_flags(uid_only, uid, modseq, flags)

    def __missing__(self, state: FlagState) -> bytes:
        text: str = self._text(state) if self._flags else ""
        form = self[state] = self._before + text.encode("ascii").replace(b"%", b"%%") + self._behind
        return form


@cache
def _around_flags(uid_only: bool, uid: bool, modseq: bool, flags: bool) -> tuple[bytes, bytes]:
    """The format of a line before the text of the flags, and behind it."""
    items = [b"UID %d"] * uid + [b"FLAGS (%b)"] * flags + [b"MODSEQ (%d)"] * modseq
    line = b"* %%d %b (%b)\r\n" % (b"UIDFETCH" if uid_only else b"FETCH", b" ".join(items))
    before, _, behind = line.partition(b"%b")
    return before, behind
