"""One tree for everything that goes wrong on purpose.

Each class knows the reply it becomes on the wire, so the code that meets a problem raises and one place in each
protocol answers. ``public`` is text for the peer; ``cause`` is for the log and never leaves the server.
Whatever is not a :class:`MailError` is a defect: logged in full and answered 451, ``-ERR [SYS/TEMP]`` or
``NO [SERVERBUG]``.
"""

from collections.abc import Collection
from typing import ClassVar


class MailError(Exception):
    """The root: an error with a wire form for each protocol.

    ``smtp_code`` and ``enhanced_code`` are RFC 5321 §4.2 and RFC 3463 values, ``imap_code`` an RFC 5530 response
    code or ``""``, ``pop3_code`` an RFC 2449/3206 response code or ``""``.
    """

    smtp_code: ClassVar[int] = 451
    enhanced_code: ClassVar[str] = "4.3.0"
    imap_code: str = ""
    pop3_code: ClassVar[str] = ""
    text: ClassVar[str] = "Temporary failure"

    def __init__(self, public: str = "", *, cause: str = "") -> None:
        self.public = public or self.text
        self.cause = cause
        super().__init__(f"{self.public} ({cause})" if cause else self.public)


class PeerError(MailError):
    """The peer broke the rules of the protocol."""

    smtp_code = 501
    enhanced_code = "5.5.4"
    imap_code = "CLIENTBUG"
    text = "Syntax error"


class Refusal(MailError):
    """A rule of ours says no, and will say no again."""

    smtp_code = 550
    enhanced_code = "5.7.1"
    imap_code = "CANNOT"
    text = "Refused"


class TemporaryFailure(MailError):
    """It cannot be done now; the same request may succeed later."""

    imap_code = "UNAVAILABLE"
    pop3_code = "SYS/TEMP"


class ConfigError(MailError):
    """A setting is wrong; the text names the file and the key path."""

    text = "Configuration error"


class MissingAbility(ConfigError):
    """The settings ask for what this kind of store cannot do."""


# --- the store ------------------------------------------------------------------------------------------------------


class StoreUnavailable(TemporaryFailure):
    """The database cannot be reached, or is closing."""

    text = "Mail store unavailable"


class StorageFull(TemporaryFailure):
    """The disk is full: nothing was stored. Source: RFC 5321 §4.2.3 (452), RFC 3463 §3.4 (X.3.1)."""

    smtp_code = 452
    enhanced_code = "4.3.1"
    imap_code = "UNAVAILABLE"
    text = "Insufficient system storage"


class MessageTooBig(Refusal):
    """More octets than the configured limit. Source: RFC 1870 §6.1, RFC 7889."""

    smtp_code = 552
    enhanced_code = "5.3.4"
    imap_code = "TOOBIG"
    text = "Message size exceeds fixed limit"


class LimitReached(Refusal):
    """One more would be too many. Source: RFC 5530 (LIMIT)."""

    smtp_code = 452
    enhanced_code = "4.2.2"
    imap_code = "LIMIT"
    text = "Too many"


class OverQuota(Refusal):
    """An account, or all accounts of a domain together, would hold more than they may; ``account_ids`` say whose mail
    does not fit. Source: RFC 9208 §4.3.1 (OVERQUOTA), RFC 3463 §3.3 (X.2.2)."""

    smtp_code = 552
    enhanced_code = "5.2.2"
    imap_code = "OVERQUOTA"
    text = "Mailbox is full"

    def __init__(self, public: str = "", *, cause: str = "", account_ids: Collection[int] = ()) -> None:
        super().__init__(public, cause=cause)
        self.account_ids = frozenset(account_ids)


class OverQuotaNow(OverQuota):
    """The same, where the peer is asked to try again: the owner may make room."""

    smtp_code = 452
    enhanced_code = "4.2.2"


class NoSuchAccount(Refusal):
    """No account of that name, or none any more."""

    enhanced_code = "5.1.1"
    imap_code = "NONEXISTENT"
    text = "No such account"


class AlreadyExists(Refusal):
    """An object of that name is there already (mailbox, account, alias, domain)."""

    imap_code = "ALREADYEXISTS"
    text = "Already exists"


class NoSuchMailbox(Refusal):
    """No mailbox of that name. Source: RFC 5530 (NONEXISTENT); COPY, MOVE and APPEND answer TRYCREATE instead."""

    imap_code = "NONEXISTENT"
    text = "Mailbox does not exist"


class NoPermission(Refusal):
    """The user lacks a right to a mailbox of which it may know. Source: RFC 4314 §4, RFC 5530 §3 (NOPERM)."""

    imap_code = "NOPERM"
    text = "Permission denied"


class NoSuchMessage(Refusal):
    """The message is not there, or not any more. Source: RFC 5530 (EXPUNGEISSUED)."""

    imap_code = "EXPUNGEISSUED"
    text = "Message does not exist"


class MailboxHasChildren(Refusal):
    """The mailbox has inferiors and may not be removed first. Source: RFC 9051 §7.1 (HASCHILDREN)."""

    imap_code = "HASCHILDREN"
    text = "Mailbox has inferior mailboxes"


class ReadOnly(Refusal):
    """The mailbox was opened read-only."""

    imap_code = "READ-ONLY"
    text = "Mailbox is read-only"


class MaildropInUse(TemporaryFailure):
    """Another POP3 session holds the maildrop. Source: RFC 2449 §8.1.1."""

    imap_code = "INUSE"
    pop3_code = "IN-USE"
    text = "Maildrop already locked"


class NoSuchEntry(Refusal):
    """No queue entry, domain, alias or other named row of that key."""

    imap_code = "NONEXISTENT"
    text = "No such entry"


# --- logging in -----------------------------------------------------------------------------------------------------


class AnnotationTooLong(Refusal):
    """The value of an annotation is too long. Source: RFC 5464 §4.3."""

    text = "Annotation too long"

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.imap_code = f"METADATA MAXSIZE {limit}"


class TooManyAnnotations(Refusal):
    """A mailbox or account has too many annotations. Source: RFC 5464 §4.3."""

    imap_code = "METADATA TOOMANY"
    text = "Too many annotations"


class UnsupportedUse(Refusal):
    """CREATE or SETMETADATA asked for an unsupported special use, or for several: ``NO [USEATTR]``.
    Source: RFC 6154 §3."""

    imap_code = "USEATTR"
    text = "Special use not supported"


class LoginRefused(Refusal):
    """Unknown user, wrong password and disabled account alike: the peer cannot tell them apart."""

    smtp_code = 535
    enhanced_code = "5.7.8"
    imap_code = "AUTHENTICATIONFAILED"
    pop3_code = "AUTH"
    text = "Authentication credentials invalid"


class TooManyFailedLogins(LoginRefused):
    """Not asked at all: the address has failed too often. Temporary, so that clients do not ask for a new password.

    Source: RFC 4954 §6 (454 4.7.0), RFC 5530 §3 (UNAVAILABLE), RFC 3206 §4 (SYS/TEMP).
    """

    smtp_code = 454
    enhanced_code = "4.7.0"
    imap_code = "UNAVAILABLE"
    pop3_code = "SYS/TEMP"
    text = "Too many failed logins, try again later"


class LoginEnded(LoginRefused):
    """The password was set anew, or the account disabled or removed, after this login: the connection ends.

    Source: RFC 5321 §3.8 (421), RFC 3206 §5 (AUTH).
    """

    smtp_code = 421
    enhanced_code = "4.7.0"
    text = "Your login has ended: log in again"


# --- names and routes -----------------------------------------------------------------------------------------------


class NoSuchUser(Refusal):
    """The domain is ours and the local part is not known. Source: RFC 5321 §3.4, RFC 3463 X.1.1."""

    enhanced_code = "5.1.1"
    text = "unknown user account"


class RelayDenied(Refusal):
    """The domain is not ours and the peer is neither authenticated nor trusted."""

    text = "Relaying denied"


class DnsFailure(TemporaryFailure):
    """A look-up failed (timeout, SERVFAIL, bogus): neither "no such name" nor "no data" is known."""

    enhanced_code = "4.4.3"
    text = "DNS look-up failed"
