"""The strings, names, flags, dates and lines an IMAP server writes. Source: RFC 3501 §4, §7 and §9."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import floordiv, mod
from typing import Final

from attrs import frozen

from pymailsuite.imap import mutf7
from pymailsuite.message.quoting import nstring, string, utf8_string
from pymailsuite.values import DELIMITER, SystemFlag

__all__ = [
    "DateTimes",
    "NameForm",
    "astring",
    "date_time",
    "flag_list",
    "flag_names",
    "list_line",
    "nstring",
    "status_line",
    "string",
]

_PLAIN_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]{1,200}').fullmatch


def astring(octets: bytes) -> bytes:
    """As an atom where that is possible, else as a string. ``NIL`` is quoted: some clients read the atom as nothing."""
    if _PLAIN_ASTRING(octets) and octets.upper() != b"NIL":
        return octets
    return string(octets)


@frozen
class NameForm:
    """How names of mailboxes are written for one client."""

    delimiter: str = DELIMITER
    utf8: bool = False
    """The client has enabled UTF-8; otherwise names are in modified UTF-7."""

    def mailbox(self, name: str) -> bytes:
        """A mailbox name as an astring. Source: RFC 3501 §5.1.3, RFC 9051 §5.1."""
        if self.utf8:
            octets = name.encode("utf-8")
            return astring(octets) if name.isascii() else utf8_string(octets)
        return astring(mutf7.encode(name))

    def quoted(self, name: str) -> bytes:
        """As :meth:`mailbox`, and always a string."""
        return utf8_string(name.encode("utf-8")) if self.utf8 else string(mutf7.encode(name))


# --- flags ----------------------------------------------------------------------------------------------------------

_FLAG_NAMES: Final = (
    (SystemFlag.ANSWERED.value, "\\Answered"),
    (SystemFlag.FLAGGED.value, "\\Flagged"),
    (SystemFlag.DELETED.value, "\\Deleted"),
    (SystemFlag.SEEN.value, "\\Seen"),
    (SystemFlag.DRAFT.value, "\\Draft"),
)


def flag_names(system_flags: int, keywords: str = "", recent: bool = False) -> bytes:
    """Flags as they stand between the parentheses of FLAGS; ``keywords`` as ``Column.KEYWORDS`` gives them."""
    names = [name for bit, name in _FLAG_NAMES if system_flags & bit]
    if keywords:
        names.append(keywords)
    if recent:
        names.append("\\Recent")
    return " ".join(names).encode("ascii")


def flag_list(system_flags: int, keywords: str = "", recent: bool = False) -> bytes:
    """flag-list = "(" [flag *(SP flag)] ")"."""
    return b"(%b)" % flag_names(system_flags, keywords, recent)


# --- dates ----------------------------------------------------------------------------------------------------------

_MONTHS: Final = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
FIRST_SECOND: Final = (datetime.date.min.toordinal() - _EPOCH) * 86400
LAST_SECOND: Final = (datetime.date.max.toordinal() - _EPOCH + 1) * 86400 - 1
"""POSIX seconds of the first and the last moment that a date-time in UTC can express: years have four digits."""
_MINUTES: Final = tuple(b"%02d:%02d:" % divmod(minute, 60) for minute in range(24 * 60))
_SECONDS: Final = tuple(b'%02d +0000"' % second for second in range(60))


def _day(day: int) -> bytes:
    # date-day-fixed = (SP DIGIT) / 2DIGIT
    date = datetime.date.fromordinal(day + _EPOCH)
    return b'"%2d-%b-%04d ' % (date.day, _MONTHS[date.month - 1], date.year)


class DateTimes(dict[int, bytes]):
    """Formats many dates at the cost of a few look-ups each: caches the text of each day (since 1970)."""

    def __missing__(self, day: int) -> bytes:
        # A stored moment that no date-time can express gets the nearest day: it must affect its own message only.
        text = self[day] = _day(min(max(day, FIRST_SECOND // 86400), LAST_SECOND // 86400))
        return text

    def columns(self, seconds: Iterable[float]) -> tuple[Iterable[bytes], Iterable[bytes], Iterable[bytes]]:
        """For each of the POSIX ``seconds`` three texts, which joined are its date-time in UTC with its quotes."""
        seconds = list(seconds)
        try:
            whole = list(map(int, seconds))
        except (ValueError, OverflowError):
            whole = list(map(_whole, seconds))
        minutes = map(mod, map(floordiv, whole, repeat(60)), repeat(24 * 60))
        return (
            map(self.__getitem__, map(floordiv, whole, repeat(86400))),
            map(_MINUTES.__getitem__, minutes),
            map(_SECONDS.__getitem__, map(mod, whole, repeat(60))),
        )


def _whole(seconds: float) -> int:
    """Whole seconds, of infinity and NaN too."""
    if math.isfinite(seconds):
        return int(seconds)
    return FIRST_SECOND if seconds == -math.inf else LAST_SECOND


def date_time(seconds: float) -> bytes:
    """date-time, in UTC, with its quotes: ``" 1-Feb-2024 13:14:15 +0000"``, of POSIX ``seconds``."""
    return b"".join(text for texts in DateTimes().columns((seconds,)) for text in texts)


# --- lines ----------------------------------------------------------------------------------------------------------


def list_line(
    form: NameForm,
    name: str,
    attributes: Iterable[str],
    *,
    response: str = "LIST",
    child_info: Sequence[str] = (),
    old_name: str | None = None,
) -> bytes:
    """``* LIST`` (or LSUB) for a mailbox; ``child_info`` are the selection options its inferiors met (RFC 5258 §4),
    ``old_name`` is what it was called before (RFC 5465 §5.4)."""
    info = b""
    if old_name is not None:
        info = b' ("OLDNAME" (%b))' % form.mailbox(old_name)
    if child_info:
        info = b' ("CHILDINFO" (%b))' % b" ".join(b'"%b"' % option.encode("ascii") for option in child_info)
    return b'* %b (%b) "%b" %b%b\r\n' % (
        response.encode("ascii"),
        " ".join(attributes).encode("ascii"),
        form.delimiter.encode("ascii"),
        form.mailbox(name),
        info,
    )


def status_line(form: NameForm, name: str, values: Mapping[str, int | str]) -> bytes:
    """``* STATUS`` for a mailbox, items in the order of ``values``."""
    items = " ".join(f"{item} {value}" for item, value in values.items())
    return b"* STATUS %b (%b)\r\n" % (form.mailbox(name), items.encode("ascii"))
