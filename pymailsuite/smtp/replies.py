"""The server's replies, in wire form. Source: RFC 5321 §4.2, with the enhanced codes of RFC 2034 and RFC 3463."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymailsuite.errors import MailError, NoSuchUser, RelayDenied
from pymailsuite.values import Address


def reply(code: int, enhanced: str, *lines: str) -> bytes:
    """A reply of one or more lines. ``enhanced`` is ``""`` where RFC 2034 §4 has none: greeting, HELO, EHLO, 3xx.

    Text from outside is made safe: it can neither end a line nor leave ASCII (RFC 5321 §4.2).
    """
    front = f"{enhanced} " if enhanced else ""
    last = len(lines) - 1
    return b"".join(
        f"{code}{' ' if at == last else '-'}{front}{_harmless(line)}\r\n".encode("ascii", "replace")
        for at, line in enumerate(lines)
    )


def _harmless(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def error_reply(error: MailError) -> bytes:
    """The reply for an error, without the private cause."""
    return reply(error.smtp_code, error.enhanced_code, error.public)


def unknown_recipient(address: Address, error: MailError) -> bytes:
    """The reply to RCPT where the recipient is not known, or cannot be looked up now."""
    if isinstance(error, NoSuchUser) and not error.public.startswith("<"):
        return reply(error.smtp_code, error.enhanced_code, f"<{address}> {error.public}")
    return error_reply(error)


def full_mailbox(address: Address, error: MailError) -> bytes:
    """The reply to RCPT where the message has no room in the recipient's mailbox, or nobody can tell now."""
    return reply(error.smtp_code, error.enhanced_code, f"<{address}> {error.public}")


def relay_denied(code: str) -> bytes:
    """The reply to RCPT where a client without relay rights sends to another host; ``code`` comes from the settings."""
    return reply(int(code), f"{code[0]}.7.1", RelayDenied.text)


def not_authorized(code: int, address: Address) -> bytes:
    """The reply to a user without the right to send as ``address``."""
    return reply(code, f"{code // 100}.7.1", f"Not authorized to send as <{address}>")


def with_hints(octets: bytes, hints: Sequence[str]) -> bytes:
    """A positive reply of one line with hints appended."""
    if not hints:
        return octets
    code, enhanced, text = octets.decode("ascii").rstrip("\r\n").split(" ", 2)
    return reply(int(code), enhanced, "; ".join((text, *hints)))


def text_of(octets: bytes) -> str:
    """A reply on one line, for the log."""
    return octets.decode("ascii", "replace").rstrip("\r\n").replace("\r\n", " / ")


OK: Final = reply(250, "2.0.0", "Ok")
RESET: Final = reply(250, "2.0.0", "Reset state")
SENDER_OK: Final = reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK: Final = reply(250, "2.1.5", "Recipient ok")
START_TEXT: Final = reply(354, "", 'Enter mail, end with "." on a line by itself')
START_TLS: Final = reply(220, "2.0.0", "Ready to start TLS")
LOGGED_IN: Final = reply(235, "2.7.0", "Authentication successful")
CANNOT_VERIFY: Final = reply(252, "2.5.2", "Cannot VRFY user, send some mail")

NESTED_MAIL: Final = reply(503, "5.5.1", "Sender already specified")
MAIL_FIRST: Final = reply(503, "5.5.1", "Need MAIL command first")
NO_RECIPIENTS: Final = reply(554, "5.5.1", "No valid recipients")
NOT_WITHIN_TRANSACTION: Final = reply(503, "5.5.1", "Not within a mail transaction")
MAINTENANCE_ONLY_QUIT: Final = reply(503, "5.5.1", "No SMTP service here")

UNKNOWN_COMMAND: Final = reply(500, "5.5.1", "Command unrecognized")
NOT_IMPLEMENTED: Final = reply(502, "5.5.1", "Command not implemented")
NO_ARGUMENT_ALLOWED: Final = reply(501, "5.5.4", "No argument allowed")
ARGUMENT_REQUIRED: Final = reply(501, "5.5.4", "Argument required")
HELO_NEEDS_DOMAIN: Final = reply(501, "5.5.2", "HELO requires domain address")

TOO_MANY_RECIPIENTS: Final = reply(452, "4.5.3", "Too many recipients")
NOT_AFTER_HELO: Final = reply(555, "5.5.4", "Parameters need EHLO, not HELO")
SENDER_NEEDS_DOMAIN: Final = reply(553, "5.5.4", "Domain name required")
NEEDS_SMTPUTF8: Final = reply(553, "5.6.7", "Address needs SMTPUTF8")

LOGIN_REQUIRED: Final = reply(530, "5.7.0", "Authentication required")
TLS_REQUIRED: Final = reply(530, "5.7.0", "Must issue a STARTTLS command first")
ENCRYPTION_REQUIRED: Final = reply(538, "5.7.11", "Encryption required for requested authentication mechanism")
UNKNOWN_MECHANISM: Final = reply(504, "5.5.4", "Unrecognized authentication mechanism")
ALREADY_LOGGED_IN: Final = reply(503, "5.5.1", "Already authenticated")
ALREADY_SECURE: Final = reply(503, "5.5.1", "TLS already active")
LOGIN_TEMPORARILY_FAILED: Final = reply(454, "4.7.0", "Temporary authentication failure")
LOGIN_LINE_TOO_LONG: Final = reply(500, "5.5.6", "Authentication exchange line is too long")
EHLO_FIRST: Final = reply(503, "5.5.1", "Send EHLO first")
