"""Errors for well-formed requests that cannot be met."""

from __future__ import annotations

from pymailsuite.errors import PeerError, Refusal, UnsupportedUse

__all__ = ["BadMailboxName", "UnknownCharset", "UnknownEncoding", "UnsupportedUse"]


class UnknownCharset(Refusal):
    """SEARCH named an unsupported charset: ``NO [BADCHARSET (UTF-8)]``. Source: RFC 3501 §6.4.4, §7.1."""

    imap_code = "BADCHARSET (UTF-8)"
    text = "Charset not supported"


class UidRequired(PeerError):
    """A sequence number, or a command that answers some, after ENABLE UIDONLY: ``BAD [UIDREQUIRED]``. Source: RFC 9586
    §3."""

    imap_code = "UIDREQUIRED"
    text = "Only UIDs may be used"


class BadMailboxName(PeerError):
    """An impossible mailbox name, in a command that is well formed otherwise: ``NO [CANNOT]``, not BAD.
    Source: RFC 5530."""

    imap_code = "CANNOT"
    text = "Mailbox name is not valid modified UTF-7"


class UnknownEncoding(Refusal):
    """An unsupported transfer encoding: ``NO [UNKNOWN-CTE]``. Source: RFC 3516 §4.3."""

    imap_code = "UNKNOWN-CTE"
    text = "Transfer encoding not known"
