"""Reads failure reports of others about messages in our name. Source: RFC 5965, RFC 6591, RFC 9991. Anybody can send
one: each text is bounded, and none of it is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from pymailsuite.message.headers import decode_text, fields, first_field, unfold
from pymailsuite.message.parts import Part
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import decode_parts
from pymailsuite.message.transfer import decode_transfer
from pymailsuite.policy.dmarc.reports.unpacking import BadReportError

_FEEDBACK: Final = "message/feedback-report"
_ORIGINALS: Final = ("text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers")
_PART_MAX: Final = 256 * 1024
_FIELDS_MAX: Final = 100
_TEXT_MAX: Final = 2000
_LOOK: Final = 4096
_reads_like_one: Final = re.compile(rb"(?:[!-9;-~]++:[^\n]*+\n)*?feedback-type[ \t]*+:", re.IGNORECASE).match
_SHOWN: Final = ("from", "to", "date", "subject", "message-id")


@frozen
class Feedback:
    """A report on one message. ``fields`` are (name in lower case, text) in their order, names may stand twice;
    ``original`` are those fields of the message that tell it from others."""

    reporter: str
    fields: tuple[tuple[str, str], ...]
    original: tuple[tuple[str, str], ...]


def is_feedback(octets: bytes) -> bool:
    """Whether a message has such a report in it (RFC 5965 §2)."""
    return any(True for _ in _reports(octets))


def read_feedback(octets: bytes) -> Feedback:
    """The report a message is. BadReportError."""
    found = next(_reports(octets), b"")
    read = tuple((name.decode("latin-1").lower(), _text(body)) for name, body in fields(found)[:_FIELDS_MAX])
    if "feedback-type" not in dict(read):
        raise BadReportError("no feedback report in it")
    original: tuple[tuple[str, str], ...] = ()
    for part in _parts(octets):
        if part.content_type in _ORIGINALS and not original:
            decoded = _decoded(octets, part)
            values = [(name, first_field(decoded, name.encode("ascii"))) for name in _SHOWN]
            original = tuple((name, decode_text(body)[:_TEXT_MAX]) for name, body in values if body is not None)
    return Feedback(decode_text(first_field(octets, b"from") or b"")[:_TEXT_MAX], read, original)


def _parts(octets: bytes) -> Iterator[Part]:
    yield from decode_parts(scan(octets).parts).root.walk()


def _reports(octets: bytes) -> Iterator[bytes]:
    """The parts that are reports: those that say so, and others that read like one, as labels are often wrong."""
    for part in _parts(octets):
        if part.content_type == _FEEDBACK:
            yield _decoded(octets, part)
        elif not part.children and part.content_type not in _ORIGINALS:
            decoded = _decoded(octets, part).lstrip()
            if _reads_like_one(decoded[:_LOOK]):
                yield decoded


def _decoded(octets: bytes, part: Part) -> bytes:
    """The contents of a part, up to a bound; undecoded if the encoding is unknown."""
    body = octets[part.body_start : part.end][:_PART_MAX]
    decoded = decode_transfer(body, part.encoding)
    return body if decoded is None else decoded


def _text(body: bytes) -> str:
    return unfold(body).strip().decode("utf-8", "replace")[:_TEXT_MAX]
