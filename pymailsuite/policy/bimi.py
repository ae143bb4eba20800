"""BIMI: whether an author's domain publishes an indicator for mail that has proved to be its own.

Source: draft-brand-indicators-for-message-identification. Only the record is looked up; no picture, no certificate.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.message.headers import first_field
from pymailsuite.policy.dmarc.evaluation import DmarcResult
from pymailsuite.policy.dmarc.record import Disposition
from pymailsuite.policy.organizational import registered_domain

DEFAULT_SELECTOR: Final = "default"

_is_bimi1 = re.compile(rb"v[ \t]*=[ \t]*BIMI1[ \t]*(?:;|\Z)").match
_SELECTOR = re.compile(r"v[ \t]*=[ \t]*BIMI1[ \t]*;[ \t]*s[ \t]*=[ \t]*([A-Za-z0-9._\-]{1,253})[ \t]*;?", re.IGNORECASE)


@frozen
class BimiRecord:
    """``location`` is the URI of the picture, ``authority`` that of the evidence for it; both empty: declined."""

    location: str = ""
    authority: str = ""


def parse_bimi(text: bytes) -> BimiRecord | None:
    """The record in a TXT record's strings; None if it is no BIMI record. URIs that are not https count as missing."""
    if not _is_bimi1(text):
        return None
    tags: dict[str, str] = {}
    for tag in text.decode("utf-8", "replace").split(";")[1:]:
        name, _, value = tag.partition("=")
        tags.setdefault(name.strip().lower(), value.strip())
    location, authority = (
        value if (value := tags.get(name, "")).lower().startswith("https://") else "" for name in ("l", "a")
    )
    return BimiRecord(location, authority)


def selector_of(header: bytes) -> str:
    """The selector a BIMI-Selector field asks for, or the default one."""
    body = first_field(header, b"bimi-selector")
    match = _SELECTOR.fullmatch(body.decode("latin-1")) if body is not None else None
    return match[1].lower() if match is not None else DEFAULT_SELECTOR


def is_enforced(dmarc: DmarcResult) -> bool:
    """Whether the message passed under a policy that would have kept a forgery out: quarantine or reject, for all mail
    of the domain and those below it."""
    if dmarc.result != "pass" or dmarc.published is None:
        return False
    record = dmarc.published.record
    return (
        dmarc.policy is not Disposition.NONE
        and record.p is not Disposition.NONE
        and record.sp is not Disposition.NONE
        and record.pct == 100
        and not record.testing
    )


async def bimi_result(resolver: IResolver, dmarc: DmarcResult, header: bytes) -> tuple[MethodResult, ...]:
    """The result for Authentication-Results; none at all for mail that is not known to be its author's."""
    if not is_enforced(dmarc):
        return ()
    selector = selector_of(header)
    organization = registered_domain(dmarc.author_domain)
    try:
        for domain in dict.fromkeys((dmarc.author_domain, organization)):
            answer: Answer = await resolver.txt(f"{selector}._bimi.{domain}")
            records = [record for text in answer.records if (record := parse_bimi(text)) is not None]
            if len(records) == 1:
                return (_found(records[0], domain, selector),)
    except DnsFailure:
        return (MethodResult("bimi", "temperror"),)
    return (MethodResult("bimi", "none"),)


def _found(record: BimiRecord, domain: str, selector: str) -> MethodResult:
    properties = [("header.d", domain), ("header.selector", selector)]
    if not record.location:
        return MethodResult("bimi", "declined", properties=tuple(properties))
    properties.append(("policy.indicator-uri", record.location))
    if record.authority:
        properties.append(("policy.authority-uri", record.authority))
    # The evidence is not checked, so nobody should show the picture because of this word alone.
    return MethodResult("bimi", "pass", properties=(*properties, ("policy.authority", "none")))
