"""The keys of a message (:class:`MessageKeys`), from the result of its scan and the beginning of its octets.

They depend on nothing else, so that they can be computed from stored data as well: for messages that are older than a
key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pymailsuite.message.base_subject import base_subject, folded_subject
from pymailsuite.message.dates import sent_date
from pymailsuite.message.fields import first_fields
from pymailsuite.message.preview import preview
from pymailsuite.message.sort_keys import NO_KEYS, address_keys
from pymailsuite.message.structure import NO_SENT_DAY, MessageKeys
from pymailsuite.message.thread_links import thread_links

HEAD_OCTETS: Final = 64 * 1024
"""The first octets of a message, in which the text for its preview is searched."""
_TEXTS_MAX: Final = 4
"""The number of text parts tried for a preview."""

_TEXT_TYPES: Final = (b"text/plain", b"text/html")
_UNSEEN_TYPES: Final = frozenset(
    (
        *(b"application/pgp-signature", b"application/pkcs7-signature", b"application/x-pkcs7-signature"),
        *(b"application/pgp-encrypted", b"application/mac-binhex40"),
    )
)
"""Types of parts that are no text, but belong to one."""
_SAVED_TYPES: Final = (b"application/", b"audio/", b"video/", b"font/", b"model/", b"message/rfc822")


def message_keys(found: Mapping[bytes, bytes], parts: bytes, bodystructure: bytes, octets: bytes) -> MessageKeys:
    """The keys of a message. ``found`` are its header fields (``fields.first_fields``), ``parts`` and ``bodystructure``
    as they are stored, ``octets`` its first HEAD_OCTETS at least, or all of them. Never raises; linear."""
    get = found.get
    raw_subject, raw_date, raw_from = get(b"subject"), get(b"date"), get(b"from")
    subject = folded_subject(raw_subject) if raw_subject else ""
    base = base_subject(subject)
    sent_at, sent_day = (None, NO_SENT_DAY) if raw_date is None else sent_date(raw_date)
    from_mailbox, from_display = address_keys(raw_from) if raw_from else NO_KEYS
    raw_to, raw_cc = get(b"to"), get(b"cc")
    to_mailbox, to_display = address_keys(raw_to) if raw_to else NO_KEYS
    cc_mailbox = address_keys(raw_cc)[0] if raw_cc else ""
    if _LF not in parts:
        line = parts.split(b" ")
        text = _preview_of(line, octets)
        has_attachment = not line[_TYPE].startswith(b"text/")
        may_say_so = b"content-disposition" in found
    else:
        lines = [line.split(b" ") for line in parts.split(b"\n")]
        text = next(filter(None, (_preview_of(line, octets) for line in _texts(lines))), "")
        has_attachment = _has_saved_part(lines)
        may_say_so = True
    if may_say_so and not has_attachment:
        # RFC 2183 §2.2
        lower = bodystructure.lower()
        has_attachment = b'("attachment" nil' in lower or b'("attachment" (' in lower
    message_id = get(b"message-id")
    otherwise = b"" if message_id else b"%b\0%b\0%b" % (raw_date or b"", raw_from or b"", text.encode("utf-8"))
    own_link, links = thread_links(base, message_id, get(b"in-reply-to"), get(b"references"), otherwise)
    return MessageKeys(
        own_link,
        links,
        sent_at,
        sent_day,
        subject,
        base,
        from_mailbox,
        to_mailbox,
        cc_mailbox,
        from_display,
        to_display,
        int(has_attachment),
        text,
    )


def stored_keys(octets: bytes, header_size: int, parts: bytes, bodystructure: bytes) -> MessageKeys:
    """The keys of a message that has been scanned before; ``octets`` are its header and what :func:`message_keys`
    wants."""
    return message_keys(first_fields(octets[:header_size]), parts, bodystructure, octets)


_LF: Final = ord("\n")
# A line of the table of parts, cut at spaces (``parts.part_line``).
_KIND, _TYPE = 1, 5


def _preview_of(line: list[bytes], octets: bytes) -> str:
    _, _, _, body_start, end, kind, encoding, charset = line
    if kind not in _TEXT_TYPES:
        return ""
    body = octets[int(body_start) : min(int(end), HEAD_OCTETS)]
    return preview(body, kind == b"text/html", encoding, b"" if charset == b"?" else charset)


def _texts(lines: list[list[bytes]]) -> list[list[bytes]]:
    return [line for line in lines if line[_KIND] == b"L" and line[_TYPE] in _TEXT_TYPES][:_TEXTS_MAX]


def _has_saved_part(lines: list[list[bytes]]) -> bool:
    is_report = lines[0][_TYPE] == b"multipart/report"
    return not is_report and any(
        line[_TYPE].startswith(_SAVED_TYPES) and line[_TYPE] not in _UNSEEN_TYPES for line in lines
    )
