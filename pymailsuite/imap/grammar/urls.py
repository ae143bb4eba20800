"""IMAP URLs that name a message or a section of it. Source: RFC 5092 §11, RFC 4469 §3."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from attrs import frozen

from pymailsuite.errors import PeerError
from pymailsuite.imap.grammar.fetch import parse_section
from pymailsuite.imap.grammar.tokens import Cursor, Words
from pymailsuite.imap.values import DEFAULT_LIMITS, Section, SectionText

_URL: Final = re.compile(
    # iserver = [iuserinfo "@"] host [":" port];  iuserinfo = enc-user [";AUTH=" ...]
    rb"(?:imap://(?:(?P<user>[^@/;:]++)(?:;AUTH=[^@/]*+)?@)?(?P<host>[^@/:;]++)(?::[0-9]{1,5})?(?=/))?"
    # imailbox-ref = enc-mailbox [";UIDVALIDITY=" nz-number]
    rb"(?:/(?P<mailbox>[^;]+?)(?:;UIDVALIDITY=(?P<validity>[1-9][0-9]{0,9}))?(?=/;UID=))?"
    # iuid = "/" ";UID=" nz-number;  isection = "/" ";SECTION=" enc-section;  ipartial = "/" ";PARTIAL=" range
    rb"/?;UID=(?P<uid>[1-9][0-9]{0,9})"
    rb"(?:/;SECTION=(?P<section>[^;]+?))?"
    rb"(?:/;PARTIAL=(?P<first>[0-9]{1,19})(?:\.(?P<count>[1-9][0-9]{0,18}))?)?",
    re.IGNORECASE,
)
_WHOLE: Final = Section((), SectionText.ALL, ())


@frozen
class MessageUrl:
    """What a URL names. ``mailbox`` None: the selected one; ``count`` None: to the end of the section.

    ``user`` and ``host`` are empty if the URL is relative to the server.
    """

    uid: int
    mailbox: str | None = None
    uid_validity: int | None = None
    section: Section = _WHOLE
    first: int = 0
    count: int | None = None
    user: str = ""
    host: str = ""


def parse_url(url: bytes, words: Words) -> MessageUrl:
    """The parts of a URL, percent encoding undone. PeerError if it names no message."""
    match = _URL.fullmatch(url)
    if match is None or len(url) > DEFAULT_LIMITS.url_octets:
        raise PeerError("Not the URL of a message")
    mailbox, validity, section, count = match["mailbox"], match["validity"], match["section"], match["count"]
    return MessageUrl(
        int(match["uid"]),
        None if mailbox is None else _decoded(mailbox),
        None if validity is None else int(validity),
        _WHOLE if section is None else _parse_section(unquote_to_bytes(section), words),
        int(match["first"] or 0),
        None if count is None else int(count),
        _decoded(match["user"] or b""),
        _decoded(match["host"] or b""),
    )


def _decoded(octets: bytes) -> str:
    try:
        return unquote_to_bytes(octets).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PeerError("Not the URL of a message") from error


def _parse_section(octets: bytes, words: Words) -> Section:
    cursor = Cursor([octets + b"]"], DEFAULT_LIMITS, words)
    section = parse_section(cursor)
    cursor.end()
    return section
