"""Delivery status notifications. Source: RFC 3464, RFC 3461 §6, RFC 6522, RFC 6533, RFC 3834.

A report has three parts: what happened in words, the same for programs, and the message it is about. Everything a
remote server said is made harmless first: its reply may hold line ends, control characters and any octets.
"""

from __future__ import annotations

import enum
import re
import secrets
import textwrap
from typing import Final

from attrs import frozen

from pymailsuite.message.dates import format_date
from pymailsuite.message.headers import first_field
from pymailsuite.message.trace import message_id
from pymailsuite.values import Address, BodyType, Envelope

RETURN_OCTETS: Final = 64 * 1024
"""How much of the message a report returns unless told otherwise, in octets."""


class Action(enum.Enum):
    """What became of a recipient. Source: RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@frozen
class RecipientReport:
    """The fate of one recipient."""

    recipient: Address
    action: Action
    status: str
    """An enhanced code, for example ``5.1.1``. Source: RFC 3463."""
    diagnostic: str = ""
    """The reply of the remote server, or the reason of our own, in full: ``550 5.1.1 no such user``."""
    remote_mta: str = ""
    """Host name of the server that replied; empty if none did."""
    original_recipient: str = ""
    """The ORCPT parameter, decoded: ``rfc822;a@b.example``. Source: RFC 3461 §4.2."""
    last_attempt: float | None = None
    """POSIX seconds."""
    will_retry_until: float | None = None
    """POSIX seconds; shown for DELAYED only."""


@frozen
class Report:
    """What a notification says. All recipients of one report have the same kind of fate."""

    reporting_mta: str
    queue_id: str
    arrival_date: float
    """POSIX seconds."""
    reverse_path: Address
    """Whom it is sent to."""
    recipients: tuple[RecipientReport, ...]
    original: bytes
    """The message, or as much of its beginning as there is at hand: its header at least."""
    header_size: int
    """Octets of the header in ``original``, its empty line included."""
    original_size: int = 0
    """Octets of the message if ``original`` is only its beginning; else 0."""
    full: bool = True
    """False returns the header alone (RET=HDRS)."""
    envelope_id: str = ""
    """The ENVID parameter, decoded. Source: RFC 3461 §4.4."""


@frozen
class BuiltReport:
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
    Action.FAILED: "Your message could not be delivered to the recipients below, and no further attempt will be made.\n"
    "It is attached, as far as its size allows.",
    Action.DELAYED: "This is a warning only: you need not send your message again.\n\n"
    "Your message has not yet been delivered to the recipients below. Delivery is still being attempted.",
    Action.DELIVERED: "Your message has been delivered to the recipients below.",
    Action.RELAYED: "Your message has been passed to a mail server that sends no delivery reports of its own. You may\n"
    "hear nothing more of the recipients below.",
    Action.EXPANDED: "Your message has been delivered to the lists below and sent on to their members.",
}

_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f]+")
_WIDTH: Final = 76
_DIAGNOSTIC_MAX: Final = 2000


def _harmless(text: str, utf8: bool) -> str:
    text = _CONTROLS.sub(" ", text[:_DIAGNOSTIC_MAX]).strip()
    return text.encode("utf-8", "replace").decode("utf-8") if utf8 else text.encode("ascii", "replace").decode("ascii")


def _field(name: str, value: str) -> str:
    """One field, folded at white space; a word longer than RFC 5322 lets a line be is cut."""
    lines = textwrap.wrap(f"{name}: {value}", _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n\t".join(piece for line in lines for piece in (textwrap.wrap(line, 900) if len(line) > 900 else [line]))


def _typed_address(address: Address, utf8: bool) -> str:
    return f"{'utf-8' if utf8 and not address.is_ascii else 'rfc822'}; {_harmless(str(address), utf8)}"


def _moment(name: str, moment: float | None) -> list[str]:
    return [] if moment is None else [f"{name}: {format_date(moment)}"]


def _status_text(report: Report, utf8: bool) -> str:
    """The body of message/delivery-status: a block for the message, one for each recipient. Source: RFC 3464 §2."""
    lines = [f"Reporting-MTA: dns; {_harmless(report.reporting_mta, utf8)}"]
    if report.envelope_id:
        lines.append(_field("Original-Envelope-Id", _harmless(report.envelope_id, False)))
    lines += [f"X-Queue-ID: {report.queue_id}", *_moment("Arrival-Date", report.arrival_date)]
    for recipient in report.recipients:
        lines.append("")
        if recipient.original_recipient:
            lines.append(_field("Original-Recipient", _harmless(recipient.original_recipient, utf8)))
        lines += [
            _field("Final-Recipient", _typed_address(recipient.recipient, utf8)),
            f"Action: {recipient.action.value}",
            f"Status: {_harmless(recipient.status, False)}",
        ]
        if recipient.remote_mta:
            lines.append(_field("Remote-MTA", f"dns; {_harmless(recipient.remote_mta, utf8)}"))
        if recipient.diagnostic:
            # RFC 3464 §2.3.6: the type says whose words these are; no server's, then ours
            kind = "smtp" if recipient.remote_mta else "X-pymailsuite"
            lines.append(_field("Diagnostic-Code", f"{kind}; {_harmless(recipient.diagnostic, utf8)}"))
        lines += _moment("Last-Attempt-Date", recipient.last_attempt)
        if recipient.action is Action.DELAYED:
            lines += _moment("Will-Retry-Until", recipient.will_retry_until)
    return "\n".join(lines) + "\n"


def _human_text(report: Report, action: Action, utf8: bool) -> str:
    lines = [f"This is the mail system at {_harmless(report.reporting_mta, utf8)}.", "", _OPENINGS[action], ""]
    for recipient in report.recipients:
        address = _harmless(str(recipient.recipient), utf8)
        if recipient.remote_mta:
            lines.append(f"<{address}>: the server {_harmless(recipient.remote_mta, utf8)} said:")
        else:
            lines.append(f"<{address}>:")
        said = _harmless(recipient.diagnostic, utf8) or f"status {_harmless(recipient.status, False)}"
        lines += textwrap.wrap(said, _WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
        if recipient.action is Action.DELAYED and recipient.will_retry_until is not None:
            lines.append(f"    Attempts go on until {format_date(recipient.will_retry_until)}.")
        lines.append("")
    lines.append(f"If you ask the postmaster about this, please quote the number {report.queue_id}.")
    return "\n".join(lines) + "\n"


def _original_part(report: Report, return_octets: int, utf8: bool) -> list[bytes]:
    """The third part: the message as far as ``return_octets`` reaches, or its header alone."""
    header = report.original[: report.header_size]
    octets = header
    whole = False
    if report.full:
        cut = max(return_octets, 0)
        octets = report.original
        whole = len(octets) <= cut and report.original_size <= len(octets)
        if not whole:
            # Cut between lines; a body cut off is shown only as far as it is worth a message of its own.
            octets = octets[: max(octets.rfind(b"\n", 0, cut) + 1, len(header))]
    if len(octets) <= len(header) and not whole:
        octets = header
        name = b"message/global-headers" if utf8 else b"text/rfc822-headers"
        description = b"Undelivered message headers"
    else:
        name = b"message/global" if utf8 else b"message/rfc822"
        description = b"Undelivered message" if whole else b"Undelivered message, its beginning"
    return [
        b"Content-Description: %b\r\nContent-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n"
        % (description, name, b"7bit" if octets.isascii() else b"8bit"),
        octets,
        b"" if octets.endswith(b"\n") else b"\r\n",
    ]


def _lines(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


_IDENTIFIER = re.compile(rb"<[!-;=?-~]{1,900}>").match


def build_report(report: Report, now: float, *, return_octets: int = RETURN_OCTETS, identity: str = "") -> BuiltReport:
    """The notification for ``report``, made at ``now`` (POSIX seconds).

    The message is returned whole if it has at most ``return_octets``, else cut between lines, but never within its
    header. ``identity`` is the report's Message-ID with its brackets, made up if empty. The UTF-8 forms of RFC 6533
    are used where an address or the returned header needs them. ValueError without recipients.
    """
    if not report.recipients:
        raise ValueError("a report needs a recipient to speak of")
    action = report.recipients[0].action
    header = report.original[: report.header_size]
    utf8_status = not all(
        (
            report.reverse_path.is_ascii,
            all(one.recipient.is_ascii and one.original_recipient.isascii() for one in report.recipients),
        )
    )
    identity = identity or message_id(report.reporting_mta)
    boundary = f"=_{secrets.token_hex(16)}"
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{report.reporting_mta}>",
        f"To: <{_harmless(str(report.reverse_path), True)}>",
        f"Subject: {_SUBJECTS[action]}",
        f"Date: {format_date(now)}",
        f"Message-ID: {identity}",
        *_thread(header),
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{boundary}"',
    ]
    human = _lines(_human_text(report, action, utf8_status))
    status = _lines(_status_text(report, utf8_status))
    original = _original_part(report, return_octets, utf8=not header.isascii())
    eight_bit = not (human.isascii() and status.isascii() and original[1].isascii())
    head.append(f"Content-Transfer-Encoding: {'8bit' if eight_bit else '7bit'}")
    delimiter = b"\r\n--%b" % boundary.encode("ascii")
    octets = b"".join(
        [
            _lines("\n".join(head)),
            b"\r\n\r\nThis is a MIME-encapsulated message.\r\n",
            delimiter,
            b"\r\nContent-Description: Notification\r\n",
            b"Content-Type: text/plain; charset=%b\r\n" % (b"us-ascii" if human.isascii() else b"utf-8"),
            b"Content-Transfer-Encoding: %b\r\n\r\n" % _encoding(human),
            human,
            delimiter,
            b"\r\nContent-Description: Delivery report\r\n",
            b"Content-Type: message/%b\r\n" % (b"global-delivery-status" if utf8_status else b"delivery-status"),
            b"Content-Transfer-Encoding: %b\r\n\r\n" % _encoding(status),
            status,
            delimiter,
            b"\r\n",
            *original,
            delimiter,
            b"--\r\n",
        ]
    )
    body = BodyType.EIGHTBITMIME if eight_bit else BodyType.SEVENBIT
    envelope = Envelope(None, (report.reverse_path,), body, smtputf8=not report.reverse_path.is_ascii)
    return BuiltReport(octets, envelope)


def _encoding(octets: bytes) -> bytes:
    return b"7bit" if octets.isascii() else b"8bit"


def _thread(header: bytes) -> list[str]:
    """Fields that put the report beside the message it is about. Source: RFC 3834 §3.1.5."""
    identifier = _IDENTIFIER(first_field(header, b"message-id") or b"")
    if identifier is None:
        return []
    text = identifier[0].decode("ascii")
    return [f"In-Reply-To: {text}", f"References: {text}"]
