"""Aggregate reports of others, read with care: anybody can send one, and a small file can unpack to a huge one.

Source: RFC 7489 appendix C, RFC 9990 appendix A. Both forms are read, in any namespace or none.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from io import BytesIO
from typing import Final
from xml.parsers import expat

from attrs import field, frozen

from pymailsuite.interfaces.dmarc import DomainDay, ReportedPolicy, ReportedRow
from pymailsuite.message.scan import scan
from pymailsuite.message.structure import decode_parts
from pymailsuite.message.transfer import decode_transfer

XML_MAX: Final = 64 * 1024 * 1024
"""Octets of a report after unpacking."""
_ELEMENTS_MAX: Final = 2_000_000
_DEPTH_MAX: Final = 12
_TEXT_MAX: Final = 1000
_DAY_S: Final = 86_400
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_number_match: Final = re.compile(r"([0-9]{1,15})(?:\.[0-9]*)?").fullmatch
# What reporters forget to escape: "<" that begins no tag, such as those around an address, and "&" of no entity.
_BARE: Final = re.compile(rb"<(?!/?[A-Za-z_][\w.:-]*(?:\s|/?>)|[?!])|&(?!#?\w{1,8};)", re.ASCII)


class BadReportError(ValueError):
    """It is no report, or one that is not to be read: the text says why."""


@frozen
class ReceivedReport:
    """A report and who made it. ``begin`` and ``end`` are POSIX seconds."""

    organization: str
    address: str
    report_id: str
    begin: int
    end: int
    results: DomainDay

    @property
    def messages(self) -> int:
        """Messages counted in all."""
        return sum(count for _, count in self.results.rows)


def read_report(octets: bytes) -> ReceivedReport:
    """The report in a file: XML, gzip, zip, or a message that carries one of these. BadReportError."""
    if octets[:2] == _GZIP or octets[:4] == _ZIP or octets.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return parse_aggregate(unpacked(octets))
    table = decode_parts(scan(octets).parts)
    for part in table.root.walk():
        if part.children or part.content_type in ("text/plain", "text/html"):
            continue
        decoded = decode_transfer(octets[part.body_start : part.end], part.encoding)
        if decoded is not None and (decoded[:2] == _GZIP or decoded[:4] == _ZIP or decoded.lstrip()[:1] == b"<"):
            return parse_aggregate(unpacked(decoded))
    raise BadReportError("no report in it: neither XML nor gzip nor zip")


def unpacked(octets: bytes, limit: int = XML_MAX) -> bytes:
    """The XML in a gzip or zip file, or as it stands; ``limit`` octets at most. BadReportError."""
    try:
        if octets[:2] == _GZIP:
            return _bounded(zlib.decompressobj(wbits=31).decompress(octets, limit + 1), limit)
        if octets[:4] == _ZIP:
            with zipfile.ZipFile(BytesIO(octets)) as archive:
                names = [name for name in archive.namelist()[:100] if name.lower().endswith(".xml")]
                if not names:
                    raise BadReportError("no XML file in the archive")
                with archive.open(names[0]) as member:
                    return _bounded(member.read(limit + 1), limit)
    except (zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise BadReportError(f"it cannot be unpacked: {error}") from None
    return _bounded(octets, limit)


def _bounded(octets: bytes, limit: int) -> bytes:
    if len(octets) > limit:
        raise BadReportError(f"it is longer than {limit} octets")
    return octets


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
        found = "".join(self.first(name).texts).strip()
        return found[:_TEXT_MAX] or default


_EMPTY: Final = _Node()


class _Tree:
    """Builds nodes from what expat tells. No document type is read: that is where entities are declared."""

    def __init__(self) -> None:
        self.root = _Node()
        self._open = [self.root]
        self._elements = 0

    def parse(self, octets: bytes) -> _Node:
        """The document. BadReportError if it is not XML."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(octets, True)
        except expat.ExpatError as error:
            raise BadReportError(f"not XML: {error}") from None
        return self.root

    def _refuse(self, *declaration: object) -> None:
        raise BadReportError("it declares a document type, which no report needs")

    def _start(self, name: str, attributes: object) -> None:
        self._elements += 1
        if len(self._open) > _DEPTH_MAX or self._elements > _ELEMENTS_MAX:
            raise BadReportError("it has too many elements, or too many inside one another")
        node = _Node()
        self._open[-1].children.setdefault(name.rpartition(" ")[2], []).append(node)
        self._open.append(node)

    def _end(self, name: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        texts = self._open[-1].texts
        if len(texts) < _TEXT_MAX:
            texts.append(text[:_TEXT_MAX])


def _tree(xml: bytes) -> _Node:
    """The document, mended if it is not XML as it stands: octets of another charset, characters not escaped."""
    try:
        return _Tree().parse(xml)
    except BadReportError:
        mended = xml.decode("utf-8", "replace").encode("utf-8")
        mended = _BARE.sub(lambda bare: b"&lt;" if bare[0] == b"<" else b"&amp;", mended)
        if mended == xml:
            raise
        return _Tree().parse(mended)


def parse_aggregate(xml: bytes) -> ReceivedReport:
    """What the XML says; what is missing is empty. BadReportError if it is no aggregate report."""
    feedback = _tree(xml).first("feedback")
    if feedback is _EMPTY:
        raise BadReportError("no <feedback> in it")
    metadata, published = feedback.first("report_metadata"), feedback.first("policy_published")
    if published is _EMPTY:
        raise BadReportError("no <policy_published> in it")
    dates = metadata.first("date_range")
    begin, end = _number(dates.text("begin")), _number(dates.text("end"))
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
    rows = tuple(_row(record) for record in feedback.all("record"))
    return ReceivedReport(
        organization=metadata.text("org_name"),
        address=metadata.text("email"),
        report_id=metadata.text("report_id"),
        begin=begin,
        end=end,
        results=DomainDay(begin // _DAY_S, policy, rows),
    )


def _row(record: _Node) -> tuple[ReportedRow, int]:
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
    ), _number(row.text("count"), 1)


def _number(text: str, default: int = 0) -> int:
    """Some write times with a fraction."""
    match = _number_match(text)
    return int(match[1]) if match is not None else default
