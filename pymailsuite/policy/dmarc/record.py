"""DMARC policy records. Source: RFC 7489 §6.3 and §6.4, RFC 9989 §4.7 and §4.8."""

from __future__ import annotations

import enum
import re
from typing import Final
from urllib.parse import unquote

from attrs import frozen

from pymailsuite.policy.short_keys import remember_short


class Disposition(enum.Enum):
    """The treatment of mail that fails."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def softer(self) -> Disposition:
        """One step less: for test mode, and for what a percentage leaves out."""
        return Disposition.QUARANTINE if self is Disposition.REJECT else Disposition.NONE

    @property
    def severity(self) -> int:
        """0 for none, 2 for reject."""
        return _SEVERITY.index(self)


_SEVERITY: Final = (Disposition.NONE, Disposition.QUARANTINE, Disposition.REJECT)


@frozen
class ReportAddress:
    """Where reports are wanted: a mail address, and the octets a report may have at most, if that was said."""

    address: str
    size_max: int | None = None


@frozen(cache_hash=True)
class DmarcRecord:
    """A record, with the default in place of each tag that is missing or means nothing.

    ``p`` None: the record has no valid policy and nobody to tell of it, so DMARC is not applied (RFC 9989 §4.10.1).
    ``sp`` and ``np`` None: the tag is not there. ``psd`` is ``y``, ``n`` or ``u``.
    """

    text: str
    p: Disposition | None
    sp: Disposition | None = None
    np: Disposition | None = None
    strict_dkim: bool = False
    strict_spf: bool = False
    pct: int = 100
    testing: bool = False
    psd: str = "u"
    rua: tuple[ReportAddress, ...] = ()
    ruf: tuple[ReportAddress, ...] = ()
    fo: tuple[str, ...] = ("0",)
    ri: int = 86_400


_is_dmarc1 = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)").match
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):([^\s,;!]+)(?:!([0-9]{1,15})([kmgtKMGT]?))?")
_UNITS: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_FAILURE_OPTIONS: Final = frozenset("01ds")


# Answers are remembered by the resolver; so is what they mean.
@remember_short(1024, 2048)
def parse_record(text: bytes) -> DmarcRecord | None:
    """The record in a TXT record's strings, joined; None if it is no DMARC record of version 1. Never raises.

    Unknown tags are ignored, as are values that are none; of a tag that stands twice the first counts.
    """
    decoded = text.decode("utf-8", "replace")
    if not _is_dmarc1(decoded):
        return None
    tags: dict[str, str] = {}
    for tag in decoded.split(";")[1:]:
        name, equals, value = tag.partition("=")
        if equals:
            tags.setdefault(name.strip(" \t\r\n").lower(), value.strip(" \t\r\n"))
    rua, has_uri = _addresses(tags.get("rua", ""))
    policies = {name: _disposition(tags[name]) for name in ("p", "sp", "np") if name in tags}
    p, sp, np = (policies.get(name) for name in ("p", "sp", "np"))
    if p is None or None in policies.values():
        # RFC 9989 §4.10.1: with somebody to tell, such a record is p=none, else it is no record.
        p, sp, np = Disposition.NONE if has_uri else None, None, None
    fo = tuple(option for part in tags.get("fo", "").split(":") if (option := part.strip().lower()) in _FAILURE_OPTIONS)
    return DmarcRecord(
        decoded,
        p,
        sp,
        np,
        strict_dkim=tags.get("adkim", "").lower() == "s",
        strict_spf=tags.get("aspf", "").lower() == "s",
        pct=_number(tags.get("pct", ""), 100, 100),
        testing=tags.get("t", "").lower() == "y",
        psd=psd if (psd := tags.get("psd", "").lower()) in ("y", "n") else "u",
        rua=rua,
        ruf=_addresses(tags.get("ruf", ""))[0],
        fo=fo or ("0",),
        ri=_number(tags.get("ri", ""), 86_400, 2**32 - 1),
    )


def _disposition(value: str) -> Disposition | None:
    try:
        return Disposition(value.lower())
    except ValueError:
        return None


def _number(value: str, default: int, greatest: int) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 10:
        return default
    return int(value) if int(value) <= greatest else default


def _addresses(value: str) -> tuple[tuple[ReportAddress, ...], bool]:
    """The mail addresses of a list of URIs; whether any URI, of any scheme, is valid. Source: RFC 7489 §6.4."""
    addresses: list[ReportAddress] = []
    any_valid = False
    for part in value.split(","):
        match = _URI.fullmatch(part.strip())
        if match is None:
            continue
        scheme, rest, number, unit = match.groups()
        if scheme.lower() != "mailto":
            any_valid = True
            continue
        address = unquote(rest.partition("?")[0])
        local_part, _, domain = address.rpartition("@")
        # What is written into our own fields and commands: nothing that could end or open something there.
        if not local_part or not domain or not address.isprintable() or any(mark in address for mark in " <>"):
            continue
        any_valid = True
        size_max = int(number) * _UNITS[(unit or "").lower()] if number else None
        addresses.append(ReportAddress(address, size_max))
    return tuple(addresses), any_valid
