"""What is well said and cannot be met."""

from __future__ import annotations

from pymailsuite.errors import PeerError, Refusal


class UnknownCharset(Refusal):
    """SEARCH named a charset we cannot decode: ``NO [BADCHARSET (UTF-8)]``. Source: RFC 3501 §6.4.4, §7.1."""

    imap_code = "BADCHARSET (UTF-8)"
    text = "Charset not supported"


class UnsupportedUse(Refusal):
    """CREATE asked for a special use we do not have, or for several: ``NO [USEATTR]``. Source: RFC 6154 §3."""

    imap_code = "USEATTR"
    text = "Special use not supported"


class BadMailboxName(PeerError):
    """A mailbox name that nothing can have, in a command that is well said otherwise: ``NO [CANNOT]``, not BAD.
    Source: RFC 5530."""

    imap_code = "CANNOT"
    text = "Mailbox name is not valid modified UTF-7"


class UnknownEncoding(Refusal):
    """A transfer encoding we cannot undo: ``NO [UNKNOWN-CTE]``. Source: RFC 3516 §4.3."""

    imap_code = "UNKNOWN-CTE"
    text = "Transfer encoding not known"
