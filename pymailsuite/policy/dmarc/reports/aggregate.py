"""Aggregate reports as XML and as mail. Source: RFC 9990 §3 and appendix A, RFC 7489 §7.2.1 and appendix C.

The elements are those of RFC 9990; readers of the older form find theirs among them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from typing import Final
from xml.sax.saxutils import escape

from attrs import frozen

from pymailsuite import __version__
from pymailsuite.interfaces.dmarc import DomainDay, ReportedRow
from pymailsuite.message.dates import format_date
from pymailsuite.message.transfer import encode_text

NAMESPACE: Final = "urn:ietf:params:xml:ns:dmarc-2.0"
_DAY_S: Final = 86_400
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OVERRIDES: Final = frozenset(("local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"))
"""Reasons RFC 9990 knows; others are said in the comment."""


@frozen
class Reporter:
    """The reporting organization: its name, address, further contact information, and the host name that files are
    named by."""

    organization: str
    address: str
    contact: str
    hostname: str


@frozen
class AggregateReport:
    """A report, ready to be sent: ``octets`` are compressed."""

    report_id: str
    file_name: str
    subject: str
    octets: bytes

    @property
    def encoded_size(self) -> int:
        """Octets of the attachment as it travels: base64 in lines of 76."""
        encoded = (len(self.octets) + 2) // 3 * 4
        return encoded + (encoded + 75) // 76 * 2


def _element(name: str, text: object) -> str:
    return f"<{name}>{escape(_NOT_IN_XML.sub('?', str(text)))}</{name}>"


def _optional(name: str, text: object) -> str:
    return _element(name, text) if text else ""


def aggregate_xml(day: DomainDay, reporter: Reporter, report_id: str) -> bytes:
    """The report of one domain and day."""
    policy = day.policy
    begin = day.day * _DAY_S
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<feedback xmlns="{NAMESPACE}">',
        _element("version", "1.0"),
        "<report_metadata>",
        _element("org_name", reporter.organization),
        _element("email", reporter.address),
        _optional("extra_contact_info", reporter.contact),
        _element("report_id", report_id),
        f"<date_range>{_element('begin', begin)}{_element('end', begin + _DAY_S - 1)}</date_range>",
        _element("generator", f"pymailsuite {__version__}"),
        "</report_metadata>",
        "<policy_published>",
        _element("domain", policy.domain),
        _element("discovery_method", policy.discovery),
        _element("p", policy.p),
        _element("sp", policy.sp or policy.p),
        _optional("np", policy.np),
        _element("adkim", policy.adkim),
        _element("aspf", policy.aspf),
        _element("testing", "y" if policy.testing else "n"),
        _element("fo", policy.fo),
        "</policy_published>",
        *(_record(row, messages) for row, messages in day.rows),
        "</feedback>",
    ]
    return "\n".join(line for line in lines if line).encode("utf-8") + b"\n"


def _record(row: ReportedRow, messages: int) -> str:
    reasons = "".join(_reason(kind, comment) for kind, comment in row.overrides)
    dkim = "".join(
        f"<dkim>{_element('domain', domain)}{_element('selector', selector)}{_element('result', result)}</dkim>"
        for domain, selector, result in row.auth_dkim
    )
    spf = "".join(
        f"<spf>{_element('domain', domain)}{_element('scope', scope)}{_element('result', result)}</spf>"
        for domain, scope, result in row.auth_spf
    )
    return (
        f"<record><row>{_element('source_ip', row.source_ip)}{_element('count', messages)}"
        f"<policy_evaluated>{_element('disposition', row.disposition)}{_element('dkim', row.dkim)}"
        f"{_element('spf', row.spf)}{reasons}</policy_evaluated></row>"
        f"<identifiers>{_element('header_from', row.header_from)}{_element('envelope_from', row.envelope_from)}"
        f"</identifiers><auth_results>{dkim}{spf}</auth_results></record>"
    )


def _reason(kind: str, comment: str) -> str:
    if kind not in _OVERRIDES:
        kind, comment = "other", f"{kind} {comment}".strip()
    return f"<reason>{_element('type', kind)}{_optional('comment', comment)}</reason>"


def build_aggregate(day: DomainDay, reporter: Reporter) -> AggregateReport:
    """The compressed report, with its names. The same results have the same identifier: a second copy is known."""
    begin = day.day * _DAY_S
    domain = day.policy.domain
    digest = hashlib.blake2b(f"{reporter.hostname}!{domain}!{begin}".encode(), digest_size=9).digest()
    unique = base64.b32encode(digest).decode("ascii").rstrip("=").lower()
    report_id = f"{begin}.{unique}@{reporter.hostname}"
    # RFC 9990 §3.5.1: the names of receiver and domain, the times, and what makes it unique.
    file_name = f"{reporter.hostname}!{domain}!{begin}!{begin + _DAY_S - 1}!{unique}.xml.gz"
    return AggregateReport(
        report_id,
        file_name,
        f"Report Domain: {domain} Submitter: {reporter.hostname} Report-ID: <{report_id}>",
        gzip.compress(aggregate_xml(day, reporter, report_id), mtime=0),
    )


def report_message(report: AggregateReport, reporter: Reporter, recipient: str, now: float) -> bytes:
    """The mail that carries a report to one address; ``now`` in POSIX seconds. Source: RFC 9990 §3.5.1."""
    boundary = f"=_{report.report_id.partition('@')[0]}"
    # Mail from nobody who reads answers: it must not be lost where 8 bits are not taken.
    encoding, text = encode_text(f"This is a DMARC aggregate report of {reporter.organization}.\r\n".encode())
    attachment = base64.encodebytes(report.octets).replace(b"\n", b"\r\n")
    lines = [
        f"From: <{reporter.address}>",
        f"To: <{recipient}>",
        f"Date: {format_date(now)}",
        _folded(f"Subject: {report.subject}"),
        f"Message-ID: <{report.report_id}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        text.decode("ascii"),
        f"--{boundary}",
        "Content-Type: application/gzip",
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment;\r\n filename="{report.file_name}"',
        "",
        "",
    ]
    return "\r\n".join(lines).encode("utf-8") + attachment + f"--{boundary}--\r\n".encode("ascii")


def _folded(line: str) -> str:
    words = line.split(" ")
    folded = words[0]
    width = len(folded)
    for word in words[1:]:
        fold = width + 1 + len(word) > 78 and width > 9
        folded += ("\r\n " if fold else " ") + word
        width = len(word) + 1 if fold else width + 1 + len(word)
    return folded
