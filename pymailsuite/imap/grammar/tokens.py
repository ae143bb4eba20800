"""The tokens IMAP commands are made of, and a cursor that reads them.

A command comes as *pieces*: text, literal, text, literal, ..., text. A literal stands where its ``{n}`` stood, so the
grammar sees one more kind of string and never waits for octets. The cursor has two families of methods: ``try_``
answers None or False if the element is not there and moves nothing, the others raise PeerError. Each element is one
regular expression without backtracking, so a command is read in linear time.

The ABNF quoted is that of RFC 3501 §9 unless another source is named.
"""

from __future__ import annotations

import calendar
import codecs
import datetime
import pkgutil
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from encodings import __path__ as _codec_modules
from encodings.aliases import aliases as _codec_aliases
from typing import Any, Final, Protocol

from pymailsuite.errors import PeerError
from pymailsuite.imap import mutf7
from pymailsuite.imap.render import FIRST_SECOND, LAST_SECOND
from pymailsuite.imap.values import (
    MATCHES_NOTHING,
    STAR,
    BadMailboxName,
    GrammarLimits,
    SequenceSet,
    UidRequired,
    UnknownCharset,
)
from pymailsuite.values import Flags, SystemFlag

_UINT32: Final = 2**32 - 1
_INT63: Final = 2**63 - 1

# atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
# tag           = 1*<any ASTRING-CHAR except "+">
# astring       = 1*ASTRING-CHAR / string;  ASTRING-CHAR = ATOM-CHAR / resp-specials
# list-mailbox  = 1*list-char / string;  list-char = ATOM-CHAR / list-wildcards / resp-specials
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]++')
_LIST_MAILBOX = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]++')
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]++')

# quoted = DQUOTE *QUOTED-CHAR DQUOTE Departs from RFC 3501: octets above ASCII are accepted, since clients send UTF-8
# names without negotiation; each element defines their meaning.
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]++|\\["\\])*+)"')
_ESCAPED = re.compile(rb'\\(["\\])')

# number = 1*DIGIT ; (0 <= n < 4,294,967,296).  Numbers are no longer than 20 digits before their range is looked at.
_DIGITS = re.compile(rb"[0-9]{1,20}(?![0-9])")

# sequence-set = (seq-number / seq-range) *("," sequence-set);  seq-number = nz-number / "*"
_SEQ = rb"(?:[1-9][0-9]{0,9}|\*)"
_RANGE = _SEQ + rb"(?::" + _SEQ + rb")?+"
_SEQUENCE_SET = re.compile(_RANGE + rb"(?:," + _RANGE + rb")*+")

# flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
_SYSTEM_FLAGS: Final = {
    b"\\SEEN": SystemFlag.SEEN,
    b"\\ANSWERED": SystemFlag.ANSWERED,
    b"\\FLAGGED": SystemFlag.FLAGGED,
    b"\\DELETED": SystemFlag.DELETED,
    b"\\DRAFT": SystemFlag.DRAFT,
}
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]++')

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"), 1
    )
}
# date = date-text / DQUOTE date-text DQUOTE;  date-text = date-day "-" date-month "-" date-year
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
# date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
# Departs from RFC 3501: many clients leave out the space before a day of one digit.
_DATE_TIME = re.compile(
    rb'" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)

# Departs from RFC 3501: SP is one space, but clients send several, and spaces at the end of a command or a list.
_SPACES = re.compile(rb" ++")
_LAST_SPACES = re.compile(rb" *+\Z")

# RFC 5198 §2: no control characters, no LINE or PARAGRAPH SEPARATOR in a name meant for people.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Words(Protocol):
    """The elements that clients may name, by name: the tables of :class:`pymailsuite.imap.vocabulary.Vocabulary`.

    A parser that looks up a declaration knows its type; cursors do not, since declarations import cursors.
    """

    @property
    def fetch_attributes(self) -> Mapping[str, Any]:
        """The attributes of FETCH."""

    @property
    def fetch_modifiers(self) -> Mapping[str, Any]:
        """The modifiers of FETCH, in parentheses after its data items."""

    @property
    def select_parameters(self) -> Mapping[str, Any]:
        """The parameters of SELECT and EXAMINE."""

    @property
    def search_keys(self) -> Mapping[str, Any]:
        """The keys of SEARCH."""

    @property
    def search_returns(self) -> Mapping[str, Any]:
        """The options of SEARCH RETURN."""

    @property
    def status_items(self) -> Mapping[str, Any]:
        """The items of STATUS."""

    @property
    def list_selections(self) -> Mapping[str, Any]:
        """The selection options of LIST."""

    @property
    def list_returns(self) -> Mapping[str, Any]:
        """The options of LIST RETURN."""


class Cursor:
    """Reads one command's ``pieces`` (text and literals in turn, text first and last) from left to right."""

    __slots__ = ("_at", "_index", "_pieces", "_text", "limits", "utf8", "words")

    def __init__(self, pieces: Sequence[bytes], limits: GrammarLimits, words: Words, *, utf8: bool = False) -> None:
        """``utf8``: the client has enabled UTF-8, which takes the place of modified UTF-7 and of all other charsets in
        quoted strings."""
        self.utf8 = utf8
        self.limits = limits
        self.words = words
        self._pieces = pieces
        self._index = 0
        self._text = pieces[0]
        self._at = 0

    # --- plumbing

    def try_match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """The match of ``pattern`` at the cursor, which moves past it; None if there is none."""
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def match(self, pattern: re.Pattern[bytes], expected: str) -> re.Match[bytes]:
        """The match of ``pattern`` at the cursor; PeerError "Expected ..." if there is none."""
        match = pattern.match(self._text, self._at)
        if match is None:
            raise PeerError(f"Expected {expected}")
        self._at = match.end()
        return match

    def sees(self, octets: bytes) -> bool:
        """True if ``octets`` (in this case) stand here; nothing moves."""
        return self._text.startswith(octets, self._at)

    def sees_literal(self) -> bool:
        """True if a literal stands here; nothing moves."""
        return self._at == len(self._text) and self._index + 1 < len(self._pieces)

    def try_take(self, octets: bytes) -> bool:
        """Move past ``octets`` if they stand here."""
        if self._text.startswith(octets, self._at):
            self._at += len(octets)
            return True
        return False

    def take(self, octets: bytes, expected: str) -> None:
        """Move past ``octets``."""
        if not self.try_take(octets):
            raise PeerError(f"Expected {expected}")

    def space(self) -> None:
        """SP, or several."""
        at, text = self._at, self._text
        if text.startswith(b" ", at) and not text.startswith(b" ", at + 1):
            # The usual form: each command has several.
            self._at = at + 1
        elif not self._skip_spaces():
            raise PeerError("Expected a space")

    def _skip_spaces(self) -> bool:
        """Whether there is one at least."""
        return self._text.startswith(b" ", self._at) and self.try_match(_SPACES) is not None

    def skip_spaces(self) -> None:
        """Spaces where there need not be any."""
        self._skip_spaces()

    def try_space(self) -> bool:
        """SP with further text after it; spaces at the end of the command do not count."""
        return self._skip_spaces() and not self.is_at_end()

    def end(self) -> None:
        """The command must be over."""
        if not self.is_at_end():
            raise PeerError("Unexpected text after the command")

    def skip_rest(self) -> None:
        """Pass over what is left of the command."""
        self._index = len(self._pieces) - 1
        self._text = self._pieces[-1]
        self._at = len(self._text)

    def is_at_end(self) -> bool:
        """True if the command is over."""
        if self._index != len(self._pieces) - 1:
            return False
        return self._at == len(self._text) or _LAST_SPACES.match(self._text, self._at) is not None

    def _try_literal(self) -> bytes | None:
        # literal = "{" number "}" CRLF *CHAR8; the octets are here already
        if not self.sees_literal():
            return None
        literal = self._pieces[self._index + 1]
        if b"\0" in literal:
            # CHAR8 = %x01-ff
            raise PeerError("NUL in a literal")
        return self._next_literal()

    def literal8(self) -> bytes:
        """The octets of a literal8, behind its tilde: any octets. Source: RFC 3516 §7."""
        if not self.sees_literal():
            raise PeerError("Expected a binary literal")
        return self._next_literal()

    def _next_literal(self) -> bytes:
        literal = self._pieces[self._index + 1]
        self._index += 2
        self._text = self._pieces[self._index]
        self._at = 0
        return literal

    def listed(self, limit: int, what: str) -> Iterator[None]:
        """Run through ``"(" [item *(SP item)] ")"``: the caller reads one item at each turn."""
        self.take(b"(", f"a list of {what}")
        self.skip_spaces()
        if self.try_take(b")"):
            return
        for _ in range(limit):
            yield
            if self.try_close():
                return
        raise PeerError(f"Too many {what}")

    def named(self, known: Mapping[str, Any], what: str, least: int = 1, once: Collection[str] = ()) -> dict[str, Any]:
        """``"(" name [arguments] *(SP name [arguments]) ")"``, of which so many at ``least``: what ``parse`` of the
        declaration of that name reads, by the name. Those named in ``once`` may not be repeated."""
        found: dict[str, Any] = {}
        for _ in self.listed(2 * len(known), f"{what}s"):
            name = self.word(f"a {what}")
            if name not in known:
                raise PeerError(f"Unknown {what}")
            if name in once and name in found:
                raise PeerError(f"{name} stands twice")
            found[name] = known[name].parse(self)
        if len(found) < least:
            raise PeerError(f"Expected a {what}")
        return found

    def try_close(self) -> bool:
        """``)``; if it does not stand here, SP must."""
        if self.try_take(b")"):
            return True
        if self._skip_spaces():
            return self.try_take(b")")
        raise PeerError("Expected a space")

    # --- atoms and strings

    def tag(self) -> str:
        """The tag of the command."""
        return self.match(_TAG, "a tag")[0].decode("ascii")

    def skip_name(self) -> None:
        """The name of a command that has been looked up."""
        self.space()
        if self.word("a command") == "UID":
            self.space()
            self.word("a command")

    def atom(self, expected: str) -> str:
        """An atom, as it is written."""
        return self.match(_ATOM, expected)[0].decode("ascii")

    def word(self, expected: str) -> str:
        """An atom that is a word of the protocol, in upper case."""
        return self.atom(expected).upper()

    def try_word(self) -> str | None:
        """As :meth:`word`."""
        match = self.try_match(_ATOM)
        return None if match is None else match[0].decode("ascii").upper()

    def try_string(self) -> bytes | None:
        """string = quoted / literal."""
        match = self.try_match(_QUOTED)
        if match is None:
            return self._try_literal()
        octets = match[1]
        if self.utf8 and not octets.isascii():
            # RFC 6855 §3: what is not UTF-8 there must be refused by BAD.
            _utf8(octets)
        return _ESCAPED.sub(rb"\1", octets) if b"\\" in octets else octets

    def string(self, expected: str = "a string") -> bytes:
        """string = quoted / literal."""
        octets = self.try_string()
        if octets is None:
            raise PeerError(f"Expected {expected}")
        return octets

    def astring(self, expected: str = "a string") -> bytes:
        """astring = 1*ASTRING-CHAR / string."""
        match = self.try_match(_ASTRING)
        return match[0] if match is not None else self.string(expected)

    def nstring(self) -> bytes | None:
        """nstring = string / nil. Departs from RFC 3501: an atom is taken too, as some clients send it in ID."""
        match = self.try_match(_ASTRING)
        if match is None:
            return self.string("a string or NIL")
        return None if match[0].upper() == b"NIL" else match[0]

    # --- numbers

    def number(self) -> int:
        """number: 32 bits."""
        return self._number(_UINT32)

    def nz_number(self) -> int:
        """nz-number: 32 bits, not zero."""
        number = self._number(_UINT32)
        if not number:
            raise PeerError("Zero is not allowed here")
        return number

    def mod_sequence(self) -> int:
        """mod-sequence-valzer of RFC 7162 §7: 63 bits, zero allowed."""
        return self._number(_INT63)

    def number64(self) -> int:
        """number64 of RFC 9051 §9: 63 bits (sizes may be larger than 4 GiB)."""
        return self._number(_INT63)

    def _number(self, greatest: int) -> int:
        number = int(self.match(_DIGITS, "a number")[0])
        if number > greatest:
            raise PeerError("Number too large")
        return number

    def try_sequence_set(self, uid: bool) -> SequenceSet | None:
        """sequence-set =/ "$"   ; RFC 5182 §5."""
        match = self.try_match(_SEQUENCE_SET)
        if match is None:
            return SequenceSet((), uid, is_saved=True) if self.try_take(b"$") else None
        if not uid:
            self.expect_numbers_allowed()
        octets = match[0]
        if octets.count(b",") >= self.limits.set_ranges:
            raise PeerError("Sequence set too long")
        ranges = []
        greatest = 0
        for item in octets.split(b","):
            first, colon, last = item.partition(b":")
            low = STAR if first == b"*" else int(first)
            high = low if not colon else STAR if last == b"*" else int(last)
            greatest = max(greatest, low, high)
            ranges.append((low, high))
        if greatest > _UINT32:
            raise PeerError("Number too large")
        return SequenceSet(tuple(ranges), uid)

    def expect_numbers_allowed(self) -> None:
        """UidRequired if the client may not use sequence numbers."""
        if not self.limits.sequence_numbers:
            raise UidRequired()

    def sequence_set(self, uid: bool) -> SequenceSet:
        """sequence-set."""
        if not uid:
            self.expect_numbers_allowed()
        numbers = self.try_sequence_set(uid)
        if numbers is None:
            raise PeerError("Expected a sequence set")
        return numbers

    # --- mailboxes

    def mailbox(self) -> str:
        """mailbox = "INBOX" / astring, decoded and as the client wrote it."""
        return self._mailbox_name(self.astring("a mailbox name"))

    def list_mailbox(self) -> str:
        """list-mailbox = 1*list-char / string, decoded; ``*`` and ``%`` stay. MATCHES_NOTHING if that fails."""
        match = self.try_match(_LIST_MAILBOX)
        return self._pattern(match[0] if match is not None else self.string("a mailbox pattern"))

    def list_reference(self) -> str:
        """The reference of LIST, as :meth:`list_mailbox`."""
        return self._pattern(self.astring("a mailbox name"))

    def _pattern(self, octets: bytes) -> str:
        try:
            return self._mailbox_name(octets)
        except BadMailboxName:
            return MATCHES_NOTHING

    def _mailbox_name(self, octets: bytes) -> str:
        if len(octets) > self.limits.mailbox_octets:
            raise PeerError("Mailbox name too long")
        try:
            # Octets above ASCII cannot be modified UTF-7: they are a client that sends UTF-8 (RFC 6855 §3).
            name = mutf7.decode(octets) if octets.isascii() and not self.utf8 else octets.decode("utf-8")
        except ValueError as error:
            raise BadMailboxName(cause=str(error)) from error
        if _CONTROL.search(name):
            raise PeerError("Mailbox name contains control characters")
        return name

    # --- flags

    def flags(self, is_list_optional: bool) -> Flags:
        """flag-list = "(" [flag *(SP flag)] ")"; or, if ``is_list_optional``, flag *(SP flag) to the end as well.

        Keywords that differ only in case are one. ``\\Recent`` and flags we do not know are PeerErrors.
        """
        system = SystemFlag(0)
        keywords: dict[str, str] = {}
        for _ in (
            self.listed(self.limits.keywords, "flags") if self.sees(b"(") or not is_list_optional else self._bare()
        ):
            flag = self.match(_FLAG, "a flag")[0]
            if flag.startswith(b"\\"):
                bit = _SYSTEM_FLAGS.get(flag.upper())
                if bit is None:
                    raise PeerError(f"{flag.decode('ascii')} is not a flag that can be stored")
                system |= bit
            elif len(flag) > self.limits.keyword_octets:
                raise PeerError("Keyword too long")
            else:
                keyword = flag.decode("ascii")
                keywords.setdefault(keyword.lower(), keyword)
        return Flags(system, frozenset(keywords.values()))

    def _bare(self) -> Iterator[None]:
        for _ in range(self.limits.keywords):
            yield
            if not self.try_space():
                return
        raise PeerError("Too many flags")

    # --- dates

    def date(self) -> datetime.date:
        """date, quoted or not."""
        match = self.match(_DATE, "a date such as 1-Feb-2024")
        try:
            return datetime.date(int(match[4]), _MONTHS[match[3].upper()], int(match[2]))
        except (ValueError, KeyError) as error:
            raise PeerError("No such date") from error

    def try_date_time(self) -> float | None:
        """date-time, as POSIX seconds."""
        if not self.sees(b'"'):
            return None
        match = self.match(_DATE_TIME, 'a date such as " 1-Feb-2024 13:14:15 +0100"')
        try:
            day = datetime.date(int(match[3]), _MONTHS[match[2].upper()], int(match[1]))
        except (ValueError, KeyError) as error:
            raise PeerError("No such date") from error
        hour, minute, second, zone_hour, zone_minute = (int(match[group]) for group in (4, 5, 6, 8, 9))
        # Second 60 is a leap second (RFC 3339 §5.7).
        if hour > 23 or minute > 59 or second > 60 or zone_hour > 23 or zone_minute > 59:
            raise PeerError("No such time")
        seconds = calendar.timegm((*day.timetuple()[:3], hour, minute, second))
        east = 3600 * zone_hour + 60 * zone_minute
        seconds += -east if match[7] == b"+" else east
        if not FIRST_SECOND <= seconds <= LAST_SECOND:
            # In UTC, in which FETCH says it, the year is outside of 1 to 9999.
            raise PeerError("No such date")
        return float(seconds)


def _utf8(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PeerError("String is not in UTF-8") from error


# --- charsets -------------------------------------------------------------------------------------------------------

# Python's codec registry caches every name that is looked up, so only known names are looked up. Those excluded are no
# charsets of text, or do not decode in linear time.
_CODECS: Final = frozenset(
    {*_codec_aliases, *_codec_aliases.values(), *(module.name for module in pkgutil.iter_modules(_codec_modules))}
    - {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "aliases"}
)


def text_decoder(charset: str | None) -> Callable[[bytes], str]:
    """The decoder for the strings of a SEARCH in ``charset``; its PeerError says that a string is not in that charset.

    UnknownCharset if Python has no such text codec. Without a charset strings are US-ASCII (RFC 3501 §6.4.4) or, as
    RFC 9051 §6.4.4 has it and clients do, UTF-8, which contains it.
    """
    name = "utf-8"
    if charset is not None:
        if charset.lower().replace("-", "_") not in _CODECS:
            raise UnknownCharset(cause=charset)
        try:
            name = codecs.lookup(charset).name
            # LookupError for a codec that is no text encoding, such as base64; nothing is looked up for no octets.
            b"xxxx".decode(name, "replace")
        except LookupError as error:
            raise UnknownCharset(cause=charset) from error

    def decode(octets: bytes) -> str:
        try:
            return octets.decode(name)
        except UnicodeError as error:
            raise PeerError(f"String is not in {charset or 'UTF-8'}") from error

    return decode
