"""Reads aggregate reports of others, with care: anybody can send one, and a small file can unpack to a huge one.

Source: RFC 7489 appendix C, RFC 9990 appendix A. Both forms are read, in any namespace or none. What is odd in a report
that makes sense otherwise is told in a remark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from attrs import field, frozen

from pymailsuite.interfaces.dmarc import DomainDay, ReportedPolicy, ReportedRow
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import decode_parts
from pymailsuite.message.transfer import decode_base64, decode_transfer
from pymailsuite.policy.dmarc.reports.unpacking import BadReportError, documents, is_known
from pymailsuite.policy.untrusted_xml import BadXmlError, RefusedXmlError, read_xml

_ELEMENTS_MAX: Final = 2_000_000
_DEPTH_MAX: Final = 16
_RECORDS_MAX: Final = 100_000
_ALIKE_MAX: Final = 100
"""Elements of one name within another; what follows them is passed over."""
_TEXT_MAX: Final = 1000
_REMARKS_MAX: Final = 20
_DAY_S: Final = 86_400
_TIME_MAX: Final = 100_000_000_000
"""POSIX seconds of the year 5138: what is beyond is in smaller units, or nonsense."""
_UNITS: Final = ((1, ""), (1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds"))
_number_match: Final = re.compile(r"([0-9]{1,20})(?:\.[0-9]*)?").fullmatch
_COUNT_MAX: Final = 10**15
_KNOWN: Final = frozenset(
    (
        *("feedback", "report_metadata", "org_name", "email", "report_id", "date_range", "begin", "end"),
        *("policy_published", "domain", "p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method"),
        *("record", "row", "source_ip", "count", "policy_evaluated", "disposition", "dkim", "spf", "reason", "type"),
        *("comment", "identifiers", "header_from", "envelope_from", "auth_results", "selector", "scope", "result"),
    )
)
"""What anything is known of; other elements are passed over with all that is in them."""
_CODED: Final = (b"H4sI", b"UEsDB", b"PD94bWw", b"PGZlZWRiYWNr")
"""How gzip, zip and XML begin in base64, where the label that should say so is missing."""


@frozen
class ReceivedReport:
    """A report and who made it. ``begin`` and ``end`` are POSIX seconds, 0 where they cannot be told; ``remarks`` say
    what is odd about it."""

    organization: str
    address: str
    report_id: str
    begin: int
    end: int
    results: DomainDay
    remarks: tuple[str, ...] = ()

    @property
    def messages(self) -> int:
        """Messages counted in all."""
        return sum(count for _, count in self.results.rows)


def read_report(octets: bytes) -> ReceivedReport:
    """The first report in a file: XML, gzip, zip, or a message that carries one of these. BadReportError."""
    fault: BadReportError | None = None
    for content in (octets,) if is_known(octets) else _parts(octets):
        try:
            for document in documents(content):
                try:
                    return parse_aggregate(document)
                except BadReportError as error:
                    fault = fault or error
        except BadReportError as error:
            fault = fault or error
    raise fault or BadReportError("no report in it: neither XML nor gzip nor zip")


def _parts(octets: bytes) -> Iterator[bytes]:
    """Those parts of a message that may hold a report, whatever their labels say."""
    for part in decode_parts(scan(octets).parts).root.walk():
        if part.children:
            continue
        body = octets[part.body_start : part.end]
        decoded = decode_transfer(body, part.encoding)
        for content in (body if decoded is None else decoded, body):
            coded = content.lstrip()[:16].startswith(_CODED)
            unpacked = decode_base64(content) if coded else content
            if is_known(unpacked):
                yield unpacked
                break


@frozen
class _Node:
    """An element; ``texts`` are its own."""

    children: dict[str, list[_Node]] = field(factory=dict)
    texts: list[str] = field(factory=list)

    def all(self, name: str) -> list[_Node]:
        return self.children.get(name, [])

    def first(self, name: str) -> _Node:
        return next(iter(self.all(name)), _EMPTY)

    def text(self, name: str, default: str = "") -> str:
        found = " ".join("".join(self.first(name).texts).split())
        return found[:_TEXT_MAX] or default


_EMPTY: Final = _Node()


class _Reader:
    """Reads a document up to the end of its report, wherever that stands in it. Only a row is kept of each record."""

    def __init__(self) -> None:
        self.feedback = _EMPTY
        self.rows: list[tuple[ReportedRow, int]] = []
        self.remarks: dict[str, None] = {}
        self.is_complete = False
        # None: what is open is not known, and so is nothing in it.
        self._open: list[_Node | None] = []

    def start(self, name: str) -> None:
        name = name.lower()
        parent = self._open[-1] if self._open else None
        node: _Node | None = None
        if self.feedback is _EMPTY:
            if name == "feedback":
                node = self.feedback = _Node()
        elif parent is not None and name in _KNOWN:
            alike = parent.children.setdefault(name, [])
            if len(alike) < _ALIKE_MAX:
                node = _Node()
                alike.append(node)
        self._open.append(node)

    def end(self, name: str) -> bool:
        name = name.lower()
        node = self._open.pop()
        if node is None:
            return False
        if name == "record" and self._open[-1] is self.feedback:
            if len(self.rows) == _RECORDS_MAX:
                raise RefusedXmlError(f"it has more than {_RECORDS_MAX} records")
            self.rows.append(_row(node, self.remark))
            self.feedback.children.pop(name)
        self.is_complete = node is self.feedback
        return self.is_complete

    def text(self, text: str) -> None:
        node = self._open[-1] if self._open else None
        if node is not None and len(node.texts) < _TEXT_MAX:
            node.texts.append(text[:_TEXT_MAX])

    def remark(self, text: str) -> None:
        """Note what is odd, once."""
        if len(self.remarks) < _REMARKS_MAX:
            self.remarks[text] = None


def parse_aggregate(xml: bytes) -> ReceivedReport:
    """The report in the XML; missing parts are empty. BadReportError if it is no aggregate report."""
    try:
        read = read_xml(xml, _Reader, elements_max=_ELEMENTS_MAX, depth_max=_DEPTH_MAX)
    except BadXmlError as error:
        raise BadReportError(str(error)) from None
    feedback = read.feedback
    if feedback is _EMPTY:
        raise BadReportError("no <feedback> in it")
    metadata, published = feedback.first("report_metadata"), feedback.first("policy_published")
    if published is _EMPTY:
        raise BadReportError("no <policy_published> in it")
    dates = metadata.first("date_range")
    begin, end = (_time(name, dates.text(name), read) for name in ("begin", "end"))
    if end < begin:
        read.remark("it ends before it begins")
    policy = ReportedPolicy(
        domain=published.text("domain"),
        p=published.text("p", "none"),
        sp=published.text("sp"),
        np=published.text("np"),
        adkim=published.text("adkim", "r"),
        aspf=published.text("aspf", "r"),
        pct=_number(published.text("pct"), 100),
        fo=published.text("fo", "0"),
        testing=published.text("testing") == "y",
        discovery=published.text("discovery_method"),
    )
    return ReceivedReport(
        organization=metadata.text("org_name"),
        address=metadata.text("email"),
        report_id=metadata.text("report_id"),
        begin=begin,
        end=end,
        results=DomainDay(begin // _DAY_S, policy, tuple(read.rows)),
        remarks=tuple(read.remarks),
    )


def _row(record: _Node, remark: Callable[[str], None]) -> tuple[ReportedRow, int]:
    row, identifiers, found = record.first("row"), record.first("identifiers"), record.first("auth_results")
    evaluated = row.first("policy_evaluated")
    return ReportedRow(
        source_ip=row.text("source_ip"),
        disposition=evaluated.text("disposition", "none").lower(),
        dkim=evaluated.text("dkim", "fail").lower(),
        spf=evaluated.text("spf", "fail").lower(),
        header_from=identifiers.text("header_from"),
        envelope_from=identifiers.text("envelope_from"),
        overrides=tuple(
            (reason.text("type"), reason.text("comment"))
            for reason in evaluated.all("reason")
            if reason.text("type") or reason.text("comment")
        ),
        auth_dkim=tuple(
            (node.text("domain"), node.text("selector"), node.text("result").lower()) for node in found.all("dkim")
        ),
        auth_spf=tuple(
            (node.text("domain"), node.text("scope"), node.text("result").lower()) for node in found.all("spf")
        ),
    ), _count(row.text("count"), remark)


def _count(text: str, remark: Callable[[str], None]) -> int:
    count = _number(text, -1)
    if 0 <= count <= _COUNT_MAX:
        return count
    remark(f"a record counts {text[:40]!r}, which is taken as 1")
    return 1


def _number(text: str, default: int = 0) -> int:
    """Some write numbers with a fraction."""
    match = _number_match(text)
    return int(match[1]) if match is not None else default


def _time(name: str, text: str, read: _Reader) -> int:
    """POSIX seconds, whatever unit they are in; 0 if it is no time."""
    number = _number(text, -1)
    if number < 0:
        try:
            date = datetime.fromisoformat(text)
            number = int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError, OSError):
            number = -1
        said = "written as a date" if 0 <= number < _TIME_MAX else "no time"
        read.remark(f"the date {name}, {text[:40]!r}, is {said}")
        return number if 0 <= number < _TIME_MAX else 0
    for divisor, unit in _UNITS:
        if number // divisor < _TIME_MAX:
            if unit:
                read.remark(f"the date {name}, {number}, is in {unit}")
            return number // divisor
    read.remark(f"the date {name}, {number}, is no time")
    return 0
