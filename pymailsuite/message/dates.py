"""Date fields, both ways. Source: RFC 5322 §3.3 and §4.3."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from pymailsuite.message.structure import NO_SENT_DAY

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ZONES: Final = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
"""In hours. RFC 5322 §4.3: all other names, military letters too, count as -0000."""

_DATE = re.compile(
    r"""
    \s* (?: [A-Za-z]{2,9} [.,]? \s* )??
    (?: (?P<day> \d{1,2} ) [\s\-]{1,4} (?P<month> [A-Za-z]{3} ) [A-Za-z]{0,6} \.? [\s\-,]{1,4} (?P<year> \d{2,4} )
        [\s,]+ (?P<time> \d{1,2} [:.] \d{2} (?: [:.] \d{2} )? )
      | (?P<month_c> [A-Za-z]{3} ) \s+ (?P<day_c> \d{1,2} ) \s+                              # as asctime() has it
        (?P<time_c> \d{1,2} : \d{2} (?: : \d{2} )? ) \s+ (?: (?P<zone_c> [A-Z]{3,4} ) \s+ )? (?P<year_c> \d{4} )
    )
    (?: \.\d+ )? \s* (?P<zone> [+\-] \d{4} | [A-Za-z]{1,5} )?
    """,
    re.VERBOSE,
)
_COMMENT = re.compile(r"\([^()]*\)")
_DATE_MAX: Final = 200


def parse_date(value: bytes) -> float | None:
    """POSIX seconds of a Date field body, obsolete forms included; None if it is invalid. Never raises."""
    text = value[:_DATE_MAX].decode("latin-1")
    if "(" in text:
        text = _COMMENT.sub(" ", text)
    match = _DATE.match(text)
    if match is None:
        return None
    part = match.groupdict()
    month = (part["month"] or part["month_c"]).lower()
    if month not in _MONTHS:
        return None
    year_text = part["year"] or part["year_c"]
    year = int(year_text)
    if len(year_text) == 2:
        year += 2000 if year < 50 else 1900
    elif len(year_text) == 3:
        year += 1900
    clock = [int(number) for number in re.split("[:.]", part["time"] or part["time_c"])]
    try:
        moment = datetime(
            year,
            _MONTHS.index(month) + 1,
            int(part["day"] or part["day_c"]),
            clock[0],
            clock[1],
            min(clock[2], 59) if len(clock) == 3 else 0,  # a leap second is not lost, only shown a second early
            tzinfo=UTC,
        )
        return (moment - _offset(part["zone"] or part["zone_c"] or "")).timestamp()
    except (ValueError, OverflowError):
        return None


def _offset(zone: str) -> timedelta:
    if zone[:1] in ("+", "-"):
        minutes = int(zone[1:3]) * 60 + int(zone[3:5])
        return timedelta(minutes=-minutes if zone[0] == "-" else minutes)
    return timedelta(hours=_ZONES.get(zone.upper(), 0))


# The form in nearly all mail. Other forms take the slower path, which gives the same result for this one.
_COMMON_DATE = re.compile(
    rb"(?:[A-Z][a-z]{2},[ ])?([0-9]{1,2})[ ]([A-Z][a-z]{2})[ ]((?:19|20)[0-9]{2})[ ]"
    rb"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])[ ]([+-](?:[01][0-9]|2[0-3])[0-5][0-9])(?:[ ]\([A-Z]{3,5}\))?"
).fullmatch
_WRITTEN_DAY = re.compile(rb"([0-9]{1,2})[ \t\r\n-]+([a-z]{3})[a-z]*+[ \t\r\n-]+([0-9]{2,4})(?![0-9])")
"""date = day month year of RFC 5322 §3.3; §4.3 allows two digits, and comments between."""
_DAY_S: Final = 86400
_EPOCH: Final = date(1970, 1, 1).toordinal()


# All mail of a day has the same few.
@lru_cache(maxsize=256)
def _day(day: bytes, month: bytes, year: bytes) -> int | None:
    """Days since 1970-01-01; None if there is no such day."""
    number = int(year)
    if len(year) < 4:
        # RFC 5322 §4.3: 00 to 49 are 2000 to 2049, other short years are counted from 1900.
        number += 2000 if len(year) == 2 and number < 50 else 1900
    name = month.lower().decode("latin-1")
    try:
        return date(number, _MONTHS.index(name) + 1, int(day)).toordinal() - _EPOCH
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _offset_s(zone: bytes) -> int:
    """Seconds that a numeric zone is ahead of UTC."""
    seconds = int(zone[1:3]) * 3600 + int(zone[3:]) * 60
    return -seconds if zone.startswith(b"-") else seconds


def sent_date(body: bytes) -> tuple[float | None, int]:
    """The moment (POSIX seconds, or None) of a Date field body, and its day, time and zone disregarded, in days
    since 1970-01-01, or NO_SENT_DAY. Never raises."""
    match = _COMMON_DATE(body)
    if match is not None:
        day, month, year, hour, minute, second, zone = match.groups()
        number = _day(day, month, year)
        if number is not None:
            seconds = number * _DAY_S + int(hour) * 3600 + int(minute) * 60 + int(second)
            return float(seconds - _offset_s(zone)), number
    return parse_date(body), _written_day(body)


def _written_day(body: bytes) -> int:
    match = _WRITTEN_DAY.search(body[:_DATE_MAX].lower())
    if match is not None and match[2].decode("latin-1") in _MONTHS:
        number = _day(*match.groups())
        return NO_SENT_DAY if number is None else number
    moment = parse_date(body)
    return NO_SENT_DAY if moment is None else math.floor(moment / _DAY_S)


def format_date(moment: float) -> str:
    """POSIX seconds as RFC 5322 ``date-time``, in UTC."""
    return _format_second(math.floor(moment))


# All messages that come within a second have the same date, and formatting it is a twentieth of the cost of accepting a
# message.
@lru_cache(maxsize=16)
def _format_second(moment: int) -> str:
    at = datetime.fromtimestamp(moment, UTC)
    month = _MONTHS[at.month - 1].capitalize()
    return f"{_DAYS[at.weekday()]}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} +0000"
