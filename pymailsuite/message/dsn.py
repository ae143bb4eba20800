"""Delivery status notifications. Source: RFC 3464, RFC 3461 §6, RFC 6522, RFC 6533, RFC 3834.

A report has three parts: a text, the same for programs, and the message it is about. All text from a remote server is
made safe first: its reply may hold line ends, control characters and any octets.

A report comes from the null reverse-path: one that cannot be delivered is lost. So it is written for hosts without any
extension, in 7 bits and with ASCII fields, whatever the message has. Only a sender whose own address needs SMTPUTF8
gets it in the forms of RFC 6533: hosts that do not accept those do not accept the sender's address either.
"""

from __future__ import annotations

import enum
import re
import secrets
import textwrap
from typing import Final

from attrs import evolve, frozen

from pymailsuite.message.a_labels import a_labels, in_a_labels
from pymailsuite.message.dates import format_date
from pymailsuite.message.headers import first_field
from pymailsuite.message.trace import message_id
from pymailsuite.message.transfer import encode_text, is_seven_bit
from pymailsuite.values import Address, BodyType, Envelope

RETURN_OCTETS: Final = 64 * 1024
"""The default limit of a returned message, in octets."""


class Action(enum.Enum):
    """The action for a recipient. Source: RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@frozen
class DsnRecipient:
    """The status of one recipient."""

    recipient: Address
    action: Action
    status: str
    """An enhanced code, for example ``5.1.1``. Source: RFC 3463."""
    diagnostic: str = ""
    """The reply of the remote server, or the reason of our own, in full: ``550 5.1.1 no such user``."""
    remote_mta: str = ""
    """Host name of the server that replied; empty if none did."""
    original_recipient: str = ""
    """The ORCPT parameter, decoded: ``rfc822;a@b.example``; see :func:`typed_address`. Source: RFC 3461 §4.2."""
    last_attempt: float | None = None
    """POSIX seconds."""
    will_retry_until: float | None = None
    """POSIX seconds; shown for DELAYED only."""


@frozen
class Dsn:
    """The content of a notification. All recipients of one report have the same action."""

    reporting_mta: str
    queue_id: str
    arrival_date: float
    """POSIX seconds."""
    reverse_path: Address
    """The recipient of the report."""
    recipients: tuple[DsnRecipient, ...]
    original: bytes
    """The message, or its beginning as far as it is available: its header at least."""
    header_size: int
    """Octets of the header in ``original``, its empty line included."""
    original_size: int = 0
    """Octets of the message if ``original`` is only its beginning; else 0."""
    full: bool = True
    """False returns the header alone (RET=HDRS), as do all reports without a failure (RFC 3461 §4.3)."""
    envelope_id: str = ""
    """The ENVID parameter, decoded. Source: RFC 3461 §4.4."""


@frozen
class BuiltDsn:
    """A notification ready for the queue: its octets, and its envelope with the null reverse-path."""

    octets: bytes
    envelope: Envelope


_SUBJECTS: Final = {
    Action.FAILED: "Undelivered Mail Returned to Sender",
    Action.DELAYED: "Delayed Mail (still being retried)",
    Action.DELIVERED: "Successful Mail Delivery Report",
    Action.RELAYED: "Successful Mail Delivery Report",
    Action.EXPANDED: "Successful Mail Delivery Report",
}
_OPENINGS: Final = {
    Action.FAILED: "Your message could not be delivered to the recipients below, and no further attempt will be made.",
    Action.DELAYED: "This is a warning only: you need not send your message again.\n\n"
    "Your message has not yet been delivered to the recipients below. Delivery is still being attempted.",
    Action.DELIVERED: "Your message has been delivered to the recipients below.",
    Action.RELAYED: "Your message has been passed to a mail server that sends no delivery reports of its own. You may\n"
    "hear nothing more of the recipients below.",
    Action.EXPANDED: "Your message has been delivered to the lists below and sent on to their members.",
}

_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f]+")
_REPLY = re.compile(r"[2-5][0-9][0-9](?:[ -]|$)").match
_NOT_IN_XTEXT = re.compile(r"[^\x20-\x7e]|[\\+=]")
"""The characters that RFC 6533 §3 encodes in an address for 7 bits."""
_WIDTH: Final = 76
_DIAGNOSTIC_MAX: Final = 2000


def _harmless(text: str, utf8: bool) -> str:
    text = _CONTROLS.sub(" ", text[:_DIAGNOSTIC_MAX]).strip()
    return text.encode("utf-8", "replace").decode("utf-8") if utf8 else text.encode("ascii", "replace").decode("ascii")


def _field(name: str, value: str) -> str:
    """One field, folded at white space; a word longer than RFC 5322 lets a line be is cut."""
    lines = textwrap.wrap(f"{name}: {value}", _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n\t".join(piece for line in lines for piece in (textwrap.wrap(line, 900) if len(line) > 900 else [line]))


def typed_address(address: Address) -> str:
    """The address as ORCPT has it, decoded: ``rfc822; a@b.example``, or ``utf-8;`` with one beyond ASCII."""
    address = in_a_labels(address)
    return f"{'rfc822' if address.is_ascii else 'utf-8'}; {address}"


def _typed(typed: str, utf8: bool) -> str:
    """A typed address as a field has it: beyond ASCII as it is, or else in its form for 7 bits. Source: RFC 6533 §3."""
    if utf8 or typed.isascii():
        return _harmless(typed, utf8)
    address = _CONTROLS.sub(" ", typed.partition(";")[2][:_DIAGNOSTIC_MAX]).strip()
    return "utf-8; " + _NOT_IN_XTEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)


def _is_reply(recipient: DsnRecipient) -> bool:
    """Whether the diagnostic is a server's reply: only that has a reply code in front. Source: RFC 3464 §2.3.6."""
    return bool(recipient.remote_mta and _REPLY(recipient.diagnostic))


def _moment(name: str, moment: float | None) -> list[str]:
    return [] if moment is None else [f"{name}: {format_date(moment)}"]


def _status_text(report: Dsn, utf8: bool) -> str:
    """The body of message/delivery-status: a block for the message, one for each recipient. Source: RFC 3464 §2."""
    lines = [f"Reporting-MTA: dns; {_harmless(report.reporting_mta, utf8)}"]
    if report.envelope_id:
        lines.append(_field("Original-Envelope-Id", _harmless(report.envelope_id, False)))
    lines += [f"X-Queue-ID: {report.queue_id}", *_moment("Arrival-Date", report.arrival_date)]
    for recipient in report.recipients:
        lines.append("")
        if recipient.original_recipient:
            lines.append(_field("Original-Recipient", _typed(recipient.original_recipient, utf8)))
        lines += [
            _field("Final-Recipient", _typed(typed_address(recipient.recipient), utf8)),
            f"Action: {recipient.action.value}",
            f"Status: {_harmless(recipient.status, False)}",
        ]
        if _is_reply(recipient):
            lines.append(_field("Remote-MTA", f"dns; {_harmless(recipient.remote_mta, utf8)}"))
        if recipient.diagnostic:
            # RFC 3464 §2.3.6: the type tells a server's reply from text of our own
            kind = "smtp" if _is_reply(recipient) else "X-pymailsuite"
            lines.append(_field("Diagnostic-Code", f"{kind}; {_harmless(recipient.diagnostic, utf8)}"))
        lines += _moment("Last-Attempt-Date", recipient.last_attempt)
        if recipient.action is Action.DELAYED:
            lines += _moment("Will-Retry-Until", recipient.will_retry_until)
    return "\n".join(lines) + "\n"


def _human_text(report: Dsn, action: Action, returned: str) -> str:
    lines = [f"This is the mail system at {_harmless(report.reporting_mta, True)}.", "", _OPENINGS[action]]
    if action is Action.FAILED:
        lines.append(returned)
    lines.append("")
    for recipient in report.recipients:
        address, server = _harmless(str(recipient.recipient), True), _harmless(recipient.remote_mta, True)
        if _is_reply(recipient):
            lines.append(f"<{address}>: the server {server} said:")
        elif server:
            lines.append(f"<{address}>, at the server {server}:")
        else:
            lines.append(f"<{address}>:")
        said = _harmless(recipient.diagnostic, True) or f"status {_harmless(recipient.status, False)}"
        lines += textwrap.wrap(said, _WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
        if recipient.action is Action.DELAYED and recipient.will_retry_until is not None:
            lines.append(f"    Attempts go on until {format_date(recipient.will_retry_until)}.")
        lines.append("")
    lines.append(f"If you ask the postmaster about this, please quote the number {report.queue_id}.")
    return "\n".join(lines) + "\n"


@frozen
class _Part:
    """A part of the report: ``octets`` as they are sent."""

    description: str
    content_type: str
    encoding: str
    octets: bytes

    def __bytes__(self) -> bytes:
        fields = (
            f"Content-Description: {self.description}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Transfer-Encoding: {self.encoding}\r\n\r\n"
        )
        return fields.encode("ascii") + self.octets


def _text_part(description: str, content_type: str, octets: bytes, utf8: bool) -> _Part:
    """A part of lines; those beyond ASCII are encoded unless the report may hold them as they are."""
    if utf8:
        return _Part(description, content_type, "7bit" if octets.isascii() else "8bit", octets)
    return _Part(description, content_type, *encode_text(octets))


def _returned(report: Dsn, return_octets: int, utf8: bool) -> tuple[str, _Part]:
    """The third part: the message as far as ``return_octets`` reaches, or its header alone; and the text about it."""
    header = report.original[: report.header_size]
    octets = header
    whole = False
    # RFC 3461 §4.3: a sender whose message is not lost needs no copy of it.
    if report.full and report.recipients[0].action is Action.FAILED:
        cut = max(return_octets, 0)
        octets = report.original
        whole = len(octets) <= cut and report.original_size <= len(octets)
        if not whole:
            # Cut between lines; a body cut off is shown only as far as it is worth a message of its own.
            octets = octets[: max(octets.rfind(b"\n", 0, cut) + 1, len(header))]
        if not utf8 and not is_seven_bit(octets):
            # RFC 2046 §5.2.1: a message within a message is never encoded, only its own parts are.
            octets, whole = header, False
    if len(octets) <= len(header) and not whole:
        kind = "message/global-headers" if utf8 and not header.isascii() else "text/rfc822-headers"
        return "Its header is attached.", _text_part("Undelivered message headers", kind, header, utf8)
    kind = "message/global" if utf8 and not header.isascii() else "message/rfc822"
    description = "Undelivered message" if whole else "Undelivered message, its beginning"
    return "It is attached, as far as its size allows.", _text_part(description, kind, octets, utf8)


def _lines(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


_IDENTIFIER = re.compile(rb"<[!-;=?-~]{1,900}>").match


def build_dsn(report: Dsn, now: float, *, return_octets: int = RETURN_OCTETS, identity: str = "") -> BuiltDsn:
    """The notification for ``report``, made at ``now`` (POSIX seconds).

    The message is returned whole if it has at most ``return_octets``, else cut between lines, but never within its
    header; its header alone if it has more than 7 bits, unless the addressee needs SMTPUTF8. ``identity`` is the
    report's Message-ID with its brackets, made up if empty. ValueError without recipients.
    """
    if not report.recipients:
        raise ValueError("a report needs a recipient to speak of")
    action = report.recipients[0].action
    reverse_path = in_a_labels(report.reverse_path)
    utf8 = not reverse_path.is_ascii
    report = evolve(report, reporting_mta=a_labels(report.reporting_mta))
    boundary = f"=_{secrets.token_hex(16)}"
    returned, original = _returned(report, return_octets, utf8)
    human = _lines(_human_text(report, action, returned))
    status = _lines(_status_text(report, utf8))
    parts = (
        _text_part("Notification", f"text/plain; charset={'us-ascii' if human.isascii() else 'utf-8'}", human, utf8),
        _text_part(
            "Delivery report",
            "message/delivery-status" if status.isascii() else "message/global-delivery-status",
            status,
            utf8,
        ),
        original,
    )
    eight_bit = any(part.encoding == "8bit" for part in parts)
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{report.reporting_mta}>",
        f"To: <{_harmless(str(reverse_path), True)}>",
        f"Subject: {_SUBJECTS[action]}",
        f"Date: {format_date(now)}",
        f"Message-ID: {identity or message_id(report.reporting_mta)}",
        *_thread(report.original[: report.header_size]),
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{boundary}"',
        f"Content-Transfer-Encoding: {'8bit' if eight_bit else '7bit'}",
    ]
    delimiter = b"\r\n--%b" % boundary.encode("ascii")
    octets = [_lines("\n".join(head)), b"\r\n\r\nThis is a MIME-encapsulated message.\r\n"]
    for part in parts:
        octets += [delimiter, b"\r\n", bytes(part)]
    if not original.octets.endswith(b"\n"):
        octets.append(b"\r\n")
    octets += [delimiter, b"--\r\n"]
    body = BodyType.EIGHTBITMIME if eight_bit else BodyType.SEVENBIT
    envelope = Envelope(None, (report.reverse_path,), body, smtputf8=utf8)
    return BuiltDsn(b"".join(octets), envelope)


_REPORT = re.compile(rb"\s*multipart/report\b", re.IGNORECASE).match
_ANSWER = re.compile(rb"\s*auto-replied\b", re.IGNORECASE).match


def is_automatic_answer(header: bytes) -> bool:
    """Whether a message is a report or another automatic answer, to which no report is to answer.

    Some systems give these a return path, though RFC 3464 §2 and RFC 3834 §3.3 forbid it: two systems that report on
    each other's reports would never stop. A message that is only made by a program (``auto-generated``) is reported on
    like any mail.
    """
    return bool(
        _REPORT(first_field(header, b"content-type") or b"") or _ANSWER(first_field(header, b"auto-submitted") or b"")
    )


def _thread(header: bytes) -> list[str]:
    """Fields that put the report beside the message it is about. Source: RFC 3834 §3.1.5."""
    identifier = _IDENTIFIER(first_field(header, b"message-id") or b"")
    if identifier is None:
        return []
    text = identifier[0].decode("ascii")
    return [f"In-Reply-To: {text}", f"References: {text}"]
