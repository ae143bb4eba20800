"""Failure reports of others, read: what one message in our name looked like elsewhere. Source: RFC 5965, RFC 6591, RFC
9991. Anybody can send one: each text is bounded, and nothing in it is believed here."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pymailsuite.message.headers import decode_text, fields, first_field, unfold
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import decode_parts
from pymailsuite.message.transfer import decode_transfer
from pymailsuite.policy.dmarc.reports.unpacking import BadReportError

_FEEDBACK: Final = "message/feedback-report"
_ORIGINALS: Final = ("text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers")
_PART_MAX: Final = 256 * 1024
_FIELDS_MAX: Final = 100
_TEXT_MAX: Final = 2000
_SHOWN: Final = ("from", "to", "date", "subject", "message-id")


@frozen
class Feedback:
    """A report on one message. ``fields`` are (name in lower case, text) in their order, names may stand twice;
    ``original`` are those fields of the message that tell it from others."""

    reporter: str
    fields: tuple[tuple[str, str], ...]
    original: tuple[tuple[str, str], ...]


def is_feedback(octets: bytes) -> bool:
    """Whether a message has the form of such a report (RFC 5965 §2)."""
    return any(part.content_type == _FEEDBACK for part in decode_parts(scan(octets).parts).root.walk())


def read_feedback(octets: bytes) -> Feedback:
    """The report a message is. BadReportError."""
    found: tuple[tuple[str, str], ...] = ()
    original: tuple[tuple[str, str], ...] = ()
    for part in decode_parts(scan(octets).parts).root.walk():
        if part.content_type != _FEEDBACK and part.content_type not in _ORIGINALS:
            continue
        decoded = decode_transfer(octets[part.body_start : part.end][:_PART_MAX], part.encoding)
        if decoded is None:
            raise BadReportError(f"a part of it, {part.content_type}, cannot be decoded")
        if part.content_type == _FEEDBACK:
            found = found or tuple(
                (name.decode("latin-1").lower(), _text(body)) for name, body in fields(decoded)[:_FIELDS_MAX]
            )
        elif not original:
            values = [(name, first_field(decoded, name.encode("ascii"))) for name in _SHOWN]
            original = tuple((name, decode_text(body)[:_TEXT_MAX]) for name, body in values if body is not None)
    if not found or "feedback-type" not in dict(found):
        raise BadReportError("no feedback report in it")
    return Feedback(decode_text(first_field(octets, b"from") or b"")[:_TEXT_MAX], found, original)


def _text(body: bytes) -> str:
    return unfold(body).strip().decode("utf-8", "replace")[:_TEXT_MAX]
