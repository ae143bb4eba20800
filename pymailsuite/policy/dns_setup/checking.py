"""Whether what is published for a domain is what should be. Records that do the same are as good as ours."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dns.name
import dns.reversename
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.dns.gather import gather_all
from pymailsuite.errors import DnsFailure
from pymailsuite.interfaces import Answer, IResolver
from pymailsuite.policy.bimi import parse_bimi
from pymailsuite.policy.dmarc.record import Disposition, parse_record
from pymailsuite.policy.dns_setup.records import Purpose, ZoneRecord
from pymailsuite.policy.spf.evaluator import SpfChecker
from pymailsuite.policy.spf.values import Query, Result


class Status(enum.Enum):
    """How a record, or another thing about us, is found."""

    OK = "ok"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """It could not be looked up."""


@frozen
class Finding:
    """The result of one check. ``optional``: mail works without it. ``fix`` is one line for operators."""

    subject: str
    status: Status
    found: str = ""
    fix: str = ""
    optional: bool = False

    @property
    def is_wrong(self) -> bool:
        """Whether something is to be done: what is optional may be missing, but not wrong."""
        if self.status is Status.MISSING:
            return not self.optional
        return self.status in (Status.DIFFERENT, Status.UNKNOWN)


class RecordChecker:
    """Looks up what is live. ``addresses`` are those our mail leaves from."""

    def __init__(self, resolver: IResolver, addresses: Sequence[str], hostname: str, clock: IReactorTime) -> None:
        self._resolver = resolver
        self._addresses = addresses
        self._hostname = hostname
        self._spf = SpfChecker(SpfSettings(), resolver, clock)

    def check(self, records: Sequence[ZoneRecord]) -> Deferred[list[Finding]]:
        """A finding for each record, in their order."""
        return gather_all(Deferred.fromCoroutine(self._check(record)) for record in records)

    async def _check(self, record: ZoneRecord) -> Finding:
        subject = f"{record.kind} {record.name}"
        try:
            answer = await self._look_up(record)
            found = [_shown(record, value) for value in answer.records]
            status, fix = await self._judged(record, found, answer)
        except DnsFailure as failure:
            return Finding(
                subject, Status.UNKNOWN, fix=f"it cannot be looked up: {failure.cause}", optional=record.is_optional
            )
        return Finding(subject, status, "; ".join(found), fix, record.is_optional)

    async def _look_up(self, record: ZoneRecord) -> Answer:
        resolver = self._resolver
        if record.kind == "PTR":
            # The name was made of an address, so it leads back to one.
            address = dns.reversename.to_address(dns.name.from_text(record.name))
            return await resolver.ptr(address)
        if record.kind == "CNAME":
            # What counts is that there is a host; it may as well have the addresses itself.
            ipv4: Answer = await resolver.a(record.name)
            return ipv4 if ipv4.records else await resolver.aaaa(record.name)
        asked: dict[str, Callable[[str], Deferred[Answer]]] = {
            "A": resolver.a,
            "AAAA": resolver.aaaa,
            "MX": resolver.mx,
            "TXT": resolver.txt,
            "SRV": resolver.srv,
            "TLSA": resolver.tlsa,
        }
        return await asked[record.kind](record.name)

    async def _judged(self, record: ZoneRecord, found: list[str], answer: Answer) -> tuple[Status, str]:
        evaluations: dict[Purpose, Callable[[ZoneRecord, list[str]], Awaitable[tuple[Status, str]]]] = {
            Purpose.MX: self._judged_mx,
            Purpose.SPF: self._judged_spf,
            Purpose.DKIM: self._judged_dkim,
            Purpose.DMARC: self._judged_dmarc,
            Purpose.HOST_SPF: self._judged_spf,
            Purpose.MTA_STS_HOST: self._judged_presence,
            Purpose.BIMI: self._judged_bimi,
        }
        evaluate = evaluations.get(record.purpose, self._judged_plainly)
        status, fix = await evaluate(record, found)
        if status is Status.OK and record.purpose is Purpose.DANE and not answer.secure:
            return Status.DIFFERENT, "nobody heeds it: the zone is not signed (DNSSEC), or the resolver does not say so"
        return status, fix

    async def _judged_mx(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        if not found:
            return Status.MISSING, f"publish {record.zone_line()}"
        host = record.value.partition(" ")[2]
        if not any(value.partition(" ")[2] == host for value in found):
            return Status.DIFFERENT, f"mail goes elsewhere; publish {record.zone_line()}"
        return Status.OK, ""

    async def _judged_spf(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        policies = [text for text in found if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
        if not policies:
            return Status.MISSING, f"publish {record.zone_line()}"
        if len(policies) > 1:
            return Status.DIFFERENT, f"{len(policies)} SPF records count as none: keep one"
        for address in self._addresses:
            query = Query.of_mail_from(address, f"postmaster@{record.name}", self._hostname)
            evaluation = await self._spf.check(query)
            if evaluation.result is not Result.PASS:
                return Status.DIFFERENT, f"{address} may not send: {evaluation.result.value}, {evaluation.reason}"
        return Status.OK, ""

    async def _judged_dkim(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        if not found:
            return Status.MISSING, f"publish {record.zone_line()}"
        wanted = _tag(record.value, "p")
        if len(found) > 1 or _tag(found[0], "p") != wanted:
            return Status.DIFFERENT, f"another key is published; publish {record.zone_line()}"
        return Status.OK, ""

    async def _judged_dmarc(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        records = [parsed for text in found if (parsed := parse_record(text.encode())) is not None]
        if not records:
            return Status.MISSING, f"publish {record.zone_line()}"
        if len(records) > 1 or records[0].p is None:
            return Status.DIFFERENT, f"it counts as none; publish {record.zone_line()}"
        if records[0].p is Disposition.NONE and "p=none" not in record.value:
            return Status.DIFFERENT, f"p=none asks nobody to keep forgeries out; publish {record.zone_line()}"
        return Status.OK, ""

    async def _judged_presence(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        return (Status.OK, "") if found else (Status.MISSING, f"publish {record.zone_line()}")

    async def _judged_bimi(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        records = [parsed for text in found if (parsed := parse_bimi(text.encode())) is not None]
        if not records:
            return Status.MISSING, f"publish {record.zone_line()}"
        if records != [parse_bimi(record.value.encode())]:
            return Status.DIFFERENT, f"publish {record.zone_line()}"
        return Status.OK, ""

    async def _judged_plainly(self, record: ZoneRecord, found: list[str]) -> tuple[Status, str]:
        if record.kind == "TXT":
            version = record.value.partition(";")[0]
            found = [text for text in found if text.partition(";")[0].strip() == version]
        if not found:
            return Status.MISSING, f"publish {record.zone_line()}"
        # The identifier of an MTA-STS policy and the addresses of reports are the owner's own affair.
        same = len(found) == 1 if record.kind == "TXT" else record.value in found
        return (Status.OK, "") if same else (Status.DIFFERENT, f"publish {record.zone_line()}")


def _shown(record: ZoneRecord, value: Any) -> str:
    if record.kind == "TXT":
        return value.decode("utf-8", "replace")  # type: ignore[no-any-return]
    if record.kind in ("A", "AAAA", "CNAME"):
        return value  # type: ignore[no-any-return]
    if record.kind == "PTR":
        return f"{value}."
    if record.kind == "MX":
        return f"{value.preference} {value.exchange}."
    if record.kind == "SRV":
        return f"{value.priority} {value.weight} {value.port} {value.target}."
    usage, selector, matching, data = value
    return f"{usage} {selector} {matching} {data.hex()}"


def _tag(text: str, name: str) -> str:
    for tag in text.split(";"):
        key, _, value = tag.partition("=")
        if key.strip() == name:
            return "".join(value.split())
    return ""
