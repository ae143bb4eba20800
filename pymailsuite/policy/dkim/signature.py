"""DKIM-Signature fields: what they say, and whether they may say it. Source: RFC 6376 §3.5, §6.1.1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import field

from pymailsuite.dns.names import absolute_name, text_of
from pymailsuite.interfaces.transient import transient
from pymailsuite.policy.dkim.keys import ED25519, RSA
from pymailsuite.policy.dkim.results import DkimResult, DkimStatus
from pymailsuite.policy.dkim.tags import TagError, decode_base64, decode_quoted_printable, parse_tags, words
from pymailsuite.policy.short_keys import remember_short

ALGORITHMS: Final = {"rsa-sha256": RSA, "ed25519-sha256": ED25519}
HISTORIC_ALGORITHM: Final = "rsa-sha1"

_LABELS = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]{1,76}")
_TIME = re.compile(r"[0-9]{1,12}")
_FIELD_NAME = re.compile(r"[!-9;-~]+")


class SignatureError(Exception):
    """A signature that need not be checked any further: ``status`` says what that comes to, the text why."""

    def __init__(self, status: DkimStatus, reason: str) -> None:
        self.status = status
        super().__init__(reason)


@transient
class Signature:
    """The claims of a signature. ``headers`` are names in lower case; ``length`` is ``l=``; times are POSIX seconds.

    ``domain`` and ``identity_domain``, that of ``i=``, are in A-labels.
    """

    algorithm: str
    signature: bytes = field(repr=False)
    body_hash: bytes
    relaxed_header: bool
    relaxed_body: bool
    domain: str
    selector: str
    headers: tuple[bytes, ...]
    identity_domain: str
    length: int | None = None
    timestamp: int | None = None
    expiration: int | None = None

    @property
    def key_kind(self) -> str:
        """The ``k=`` its key must have."""
        return ALGORITHMS[self.algorithm]


def described(
    tags: Mapping[str, str], status: DkimStatus, reason: str, signature: Signature | None = None, **more: Any
) -> DkimResult:
    """The result of a signature with these tags, whatever they are worth; ``more`` is of DkimResult."""
    domain = tags.get("d", "")
    return DkimResult(
        status,
        reason,
        domain=domain.lower() if signature is None else signature.domain,
        selector=tags.get("s", ""),
        identity=tags.get("i", f"@{domain}" if domain else ""),
        algorithm=tags.get("a", ""),
        signature="".join(tags.get("b", "").split())[:8],
        **more,
    )


def tags_of(body: bytes) -> dict[str, str]:
    """The tags of a signature field. SignatureError NEUTRAL."""
    try:
        return parse_tags(body)
    except TagError as error:
        raise SignatureError(DkimStatus.NEUTRAL, f"signature: {error}") from None


def read_signature(tags: Mapping[str, str]) -> Signature:
    """The signature in the tags of a DKIM-Signature. SignatureError, never before ``v=`` and ``a=`` are known to be
    ours."""
    if required(tags, "v") != "1":
        raise SignatureError(DkimStatus.NEUTRAL, "signature has another version")
    algorithm = algorithm_of(tags)
    domain, selector = signer_of(tags)
    headers = signed_names(tags)
    if b"from" not in headers:
        raise SignatureError(DkimStatus.PERMERROR, "From is not signed")
    identity_domain = _identity_domain(tags["i"]) if "i" in tags else domain
    if not is_within(identity_domain, domain):
        raise SignatureError(DkimStatus.PERMERROR, "i= is not within d=")
    if "q" in tags and "dns/txt" not in words(tags["q"]):
        raise SignatureError(DkimStatus.NEUTRAL, "signature: no known way to the key")
    timestamp, expiration = time_of(tags, "t"), time_of(tags, "x")
    if timestamp is not None and expiration is not None and expiration <= timestamp:
        raise SignatureError(DkimStatus.NEUTRAL, "signature: expires before it was made")
    length = tags.get("l")
    if length is not None and not _NUMBER.fullmatch(length):
        raise SignatureError(DkimStatus.NEUTRAL, "signature: tag l= is no number")
    relaxed_header, relaxed_body = canonicalization_of(tags)
    return Signature(
        algorithm=algorithm,
        signature=octets_of(tags, "b"),
        body_hash=octets_of(tags, "bh"),
        relaxed_header=relaxed_header,
        relaxed_body=relaxed_body,
        domain=domain,
        selector=selector,
        headers=headers,
        identity_domain=identity_domain,
        length=None if length is None else int(length),
        timestamp=timestamp,
        expiration=expiration,
    )


def required(tags: Mapping[str, str], tag: str) -> str:
    """The value of a tag that must be there. SignatureError NEUTRAL."""
    value = tags.get(tag)
    if not value:
        raise SignatureError(DkimStatus.NEUTRAL, f"signature has no {tag}=")
    return value


def octets_of(tags: Mapping[str, str], tag: str) -> bytes:
    """The octets of a required tag in base64. SignatureError NEUTRAL."""
    try:
        return decode_base64(tag, required(tags, tag))
    except TagError as error:
        raise SignatureError(DkimStatus.NEUTRAL, f"signature: {error}") from None


def algorithm_of(tags: Mapping[str, str]) -> str:
    """``a=``. SignatureError: RFC 8301 §3.1 makes a signature with SHA-1 one that has failed for good."""
    algorithm = required(tags, "a")
    if algorithm == HISTORIC_ALGORITHM:
        raise SignatureError(DkimStatus.PERMERROR, "rsa-sha1 is not accepted any more")
    if algorithm not in ALGORITHMS:
        raise SignatureError(DkimStatus.NEUTRAL, "signature is of an unknown algorithm")
    return algorithm


def signer_of(tags: Mapping[str, str]) -> tuple[str, str]:
    """``d=`` and ``s=`` in lower case and A-labels. SignatureError NEUTRAL."""
    names = [signing_name(required(tags, tag)) for tag in ("d", "s")]
    domain, selector = names
    if domain is None or selector is None:
        raise SignatureError(DkimStatus.NEUTRAL, "signature: d= or s= is no domain name")
    return domain, selector


def _identity_domain(identity: str) -> str:
    """The domain of an ``i=``; empty if it is no domain name. SignatureError NEUTRAL."""
    _, at, domain = decode_quoted_printable(identity).rpartition("@")
    if not at:
        raise SignatureError(DkimStatus.NEUTRAL, "signature: tag i= has no domain")
    return signing_name(domain) or ""


def signed_names(tags: Mapping[str, str]) -> tuple[bytes, ...]:
    """``h=``, names in lower case. SignatureError NEUTRAL."""
    return _field_names(required(tags, "h"))


@remember_short(256, 1000)
def _field_names(text: str) -> tuple[bytes, ...]:
    """A list as a signer writes it, which it does in all its messages alike."""
    names = words(text)
    if not all(map(_FIELD_NAME.fullmatch, names)):
        raise SignatureError(DkimStatus.NEUTRAL, "signature: h= is no list of field names")
    return tuple(name.lower().encode("ascii") for name in names)


def canonicalization_of(tags: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether header and body are relaxed, by ``c=``. SignatureError NEUTRAL."""
    header, _, body = tags.get("c", "simple/simple").partition("/")
    body = body or "simple"
    if not {header, body} <= {"simple", "relaxed"}:
        raise SignatureError(DkimStatus.NEUTRAL, "signature: unknown canonicalization")
    return header == "relaxed", body == "relaxed"


def time_of(tags: Mapping[str, str], tag: str) -> int | None:
    """POSIX seconds of an optional tag. SignatureError NEUTRAL."""
    value = tags.get(tag)
    if value is None:
        return None
    if not _TIME.fullmatch(value):
        raise SignatureError(DkimStatus.NEUTRAL, f"signature: tag {tag}= is no time")
    return int(value)


def is_within(domain: str, parent: str) -> bool:
    """Whether ``domain`` is ``parent`` or below it."""
    return domain == parent or domain.endswith("." + parent)


@remember_short(1024, 255)
def signing_name(text: str) -> str | None:
    """A ``d=`` or ``s=`` in A-labels and lower case (RFC 8616 §4 lets signatures hold U-labels), or None if it is no
    domain name."""
    if not text.isascii():
        absolute = absolute_name(text)
        if absolute is None:
            return None
        text = text_of(absolute)
    text = text.lower()
    return text if _LABELS.fullmatch(text) and len(text) <= 253 else None
