"""Settings of DKIM: how signatures are verified, and which mail is signed with which keys."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import Duration, FilePath, Section, Size
from pymailsuite.config.sections.policy import Exempt, PolicySection
from pymailsuite.config.sections.server import domain_name

# RFC 5322 §2.2, without the semicolon, which ends a tag.
_FIELD_NAME = re.compile(r"[!-9<-~]+")
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*")


class DkimSettings(PolicySection):
    """``[dkim]``: signatures of other domains on the mail that comes in (RFC 6376). The results stand in
    Authentication-Results, and DMARC and reputation use them."""

    max_signatures: int = Field(default=10, ge=1, le=100)
    """Signatures of one message that are looked at, from the top; the others are passed over."""

    header_max: Size = Field(default=256 * 1024, ge=1024)
    """A message with a header larger than this is not verified: the result is ``policy``."""

    signature_max: Size = Field(default=16 * 1024, ge=1024)
    """A signature field larger than this is not read: its result is ``policy``."""

    timeout: Duration = Field(default=5.0, gt=0)
    """How long to wait for a key; all keys of a message are asked for at the same time. Then it is ``temperror``."""

    min_rsa_bits: int = Field(default=1024, ge=512)
    """Signatures with a smaller RSA key count for nothing: ``policy`` (RFC 8301 §3.2)."""

    max_rsa_bits: int = Field(default=8192, ge=1024)
    """The same for a larger one, which takes long to check."""

    allow_partial_body: bool = False
    """Whether a signature may leave the end of the body out (``l=``). The rest may come from anybody (RFC 6376 §8.2);
    without this such a signature is ``policy`` as soon as there is a rest, and proves nothing."""

    clock_skew: Duration = Field(default=3600.0, ge=0)
    """A signature made later than this from now is not believed: ``policy``."""

    reject_failed: bool = False
    """Object to a message that is signed, if none of its signatures verifies and none failed for a passing reason.
    RFC 6376 §6.1 wants such a message treated as one that is not signed."""


class SigningKeyFile(Section):
    """A key in a file of the operator's."""

    domain: str
    """The domain that signs: ``d=``."""

    selector: str
    """The name the key is published under: ``SELECTOR._domainkey.DOMAIN``."""

    file: FilePath
    """The private key, PEM; nobody but its owner may read it."""

    active_from: float = 0
    """POSIX seconds from which on it signs; publish it before."""

    active_until: float = 0
    """POSIX seconds from which on it signs no more; leave it published for a week after. 0: for ever."""

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, domain: str) -> str:
        return domain_name(domain)

    @field_validator("selector")
    @classmethod
    def _is_selector(cls, selector: str) -> str:
        if not _SELECTOR.fullmatch(selector):
            raise ValueError(f"not a selector: {selector!r}")
        return selector.lower()


def field_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of header fields, in lower case. ValueError if one is none."""
    for name in names:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"not the name of a header field: {name!r}")
    return tuple(name.lower() for name in names)


class DkimSignSettings(PolicySection):
    """``[dkim_sign]``: our own signatures on the mail of our users and programs (RFC 6376, RFC 8463).

    It signs mail of users who logged in and of trusted clients, if they may send as its authors, and if there is a key
    for the domain of its From or for a domain above it: one signature for each kind of key (RSA, Ed25519). Keys are in
    the store (``pymailsuite dkim key``) or in files.
    """

    exempt: tuple[Exempt, ...] = ()
    """Clients whose mail is not signed."""

    keys: tuple[SigningKeyFile, ...] = ()
    """Keys in files, each ``{domain = "example.org", selector = "s1", file = "s1.pem"}``. They and those of the store
    are one set."""

    canonicalization: Literal["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"] = (
        "relaxed/relaxed"
    )
    """Which changes of header and body on the way the signature survives: ``relaxed`` allows other white space and
    folds."""

    headers: tuple[str, ...] = (
        *("from", "sender", "reply-to", "subject", "date", "message-id", "to", "cc", "mime-version"),
        *("content-type", "content-transfer-encoding", "content-id", "content-description", "in-reply-to"),
        *("references", "resent-from", "resent-sender", "resent-to", "resent-cc", "resent-date", "resent-message-id"),
        *("list-id", "list-help", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-post"),
        *("list-owner", "list-archive", "autocrypt"),
    )
    """Fields that are signed, each as often as it stands."""

    oversign: tuple[str, ...] = (
        *("from", "sender", "reply-to", "subject", "date", "message-id", "to", "cc", "mime-version", "content-type"),
        *("content-transfer-encoding", "in-reply-to", "references"),
    )
    """Fields of which nobody may add one more without breaking the signature (RFC 6376 §8.15). Date and Message-ID only
    if they are there, as the next server may add what is missing of these."""

    trusted_domains: tuple[str, ...] = ("*",)
    """Authors whose mail is signed if a trusted host hands it in without login: ``"user@example.com"``,
    ``"example.com"``, or ``".example.com"`` for all names below it; ``"*"``: all. Mail of a user is signed only if the
    user may send as its authors, whatever ``check_senders`` says."""

    timestamp: bool = True
    """Whether a signature says when it was made (``t=``)."""

    expire: Duration = Field(default=0.0, ge=0)
    """How long a signature is good for (``x=``); 0: it does not say."""

    parent_domains: bool = True
    """Sign mail from ``a.example.org`` with a key of ``example.org``, if it has none itself: aligned for DMARC unless
    that is strict."""

    header_max: Size = Field(default=256 * 1024, ge=1024)
    """A message with a header larger than this is not signed."""

    reload: Duration = Field(default=30.0, gt=0)
    """How long the keys of the store are remembered: a new one is used after this at the latest."""

    @field_validator("headers", "oversign")
    @classmethod
    def _are_field_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return field_names(names)

    @field_validator("headers")
    @classmethod
    def _has_from(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "from" not in names:
            raise ValueError("From must be signed (RFC 6376 §5.4)")
        return names
