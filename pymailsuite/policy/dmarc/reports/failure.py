"""Failure reports as mail: what was found of one message, and some fields of its header, never its text.

Source: RFC 9991, RFC 7489 §7.3 and RFC 6591 on the Abuse Reporting Format of RFC 5965. Who wants them is said by
``ruf=``, and about what by ``fo=``.
"""

from __future__ import annotations

import re
from typing import Final

from pymailsuite import __version__
from pymailsuite.dns.names import comparable_domain
from pymailsuite.interfaces.dmarc import FailedMessage
from pymailsuite.interfaces.policy import MailTransaction, MethodResult
from pymailsuite.message.a_labels import a_labels
from pymailsuite.message.authentication_results import authentication_results_field
from pymailsuite.message.dates import format_date
from pymailsuite.message.headers import select_fields
from pymailsuite.message.transfer import encode_text
from pymailsuite.policy.dmarc.evaluation import DmarcResult
from pymailsuite.policy.dmarc.reports.aggregate import Reporter
from pymailsuite.policy.organizational import registered_domain

_HEADER_MAX: Final = 16 * 1024
_LINE_MAX: Final = 998
_METHODS: Final = ("spf", "dkim", "dmarc")
"""What others are told of our checks."""
_NOT_IN_FIELDS = re.compile(r"[^\x20-\x7e]")


def is_wanted(result: DmarcResult, results: tuple[MethodResult, ...]) -> bool:
    """Whether the owner of the domain wants a report of this message. Source: RFC 7489 §6.3 (``fo``), RFC 9989 §4.7."""
    published = result.published
    if published is None or result.result not in ("pass", "fail"):
        return False
    record = published.record
    # RFC 9991 §2: who runs a public suffix has no business with single messages of those below it.
    if not record.ruf or record.psd == "y":
        return False
    aligned = (bool(result.aligned_dkim), bool(result.aligned_spf))
    failed = {found.method for found in results if found.result == "fail"}
    return (
        ("0" in record.fo and not any(aligned))
        or ("1" in record.fo and not all(aligned))
        or ("d" in record.fo and "dkim" in failed)
        or ("s" in record.fo and "spf" in failed)
    )


def failed_message(
    transaction: MailTransaction, result: DmarcResult, fields: tuple[str, ...], now: float
) -> FailedMessage | None:
    """The data of a message for a report; None if none is wanted. ``now``: POSIX seconds."""
    found = tuple(
        one
        for name in ("spf", "dkim")
        for one in (transaction.verdicts[name].results if name in transaction.verdicts else ())
        if one.method == name
    )
    if result.published is None or transaction.message is None or not is_wanted(result, found):
        return None
    organization = registered_domain(result.author_domain)
    told = tuple(_without_local_parts(one) for one in (*found, result.method_result()) if one.method in _METHODS)
    spf = [dict(one.properties) for one in found if one.method == "spf" and one.result != "pass"]
    spf_domain = next((d for one in spf if (d := _domain(one)) and registered_domain(d) == organization), "")
    path = transaction.reverse_path
    return FailedMessage(
        domain=result.published.domain,
        ruf=tuple((one.address, one.size_max) for one in result.published.record.ruf),
        header_from=result.author_domain,
        source_ip=transaction.peer.ip,
        reverse_path=str(path) if path is not None and registered_domain(path.domain) == organization else "",
        arrived_at=now,
        # RFC 9991 §4 counts those that failed; in RFC 7489 §7.3.1 it was those that did not.
        failed=tuple(
            name for name, domain in (("dkim", result.aligned_dkim), ("spf", result.aligned_spf)) if not domain
        ),
        authentication_results=authentication_results_field(transaction.authserv_id, told).decode("ascii"),
        signature=_failed_signature(found, organization),
        spf_domain=spf_domain,
        header=_shown(transaction.message.header, fields).decode("latin-1"),
    )


def _domain(properties: dict[str, str]) -> str:
    identity = properties.get("smtp.mailfrom") or properties.get("smtp.helo", "")
    return comparable_domain(identity.rpartition("@")[2])


def _without_local_parts(result: MethodResult) -> MethodResult:
    """Without local parts: the owner of another domain must not learn addresses. Reasons may contain them too."""
    properties = tuple(
        (name, value.rpartition("@")[2] if name in ("smtp.mailfrom", "header.i") else value)
        for name, value in result.properties
    )
    return MethodResult(result.method, result.result, properties=properties)


def _failed_signature(results: tuple[MethodResult, ...], organization: str) -> tuple[str, str, str] | None:
    for result in results:
        properties = dict(result.properties)
        domain = properties.get("header.d", "")
        if result.method == "dkim" and result.result != "pass" and registered_domain(domain) == organization:
            return domain, properties.get("header.i", f"@{domain}"), properties.get("header.s", "")
    return None


def _shown(header: bytes, fields: tuple[str, ...]) -> bytes:
    chosen = select_fields(header, [name.encode("ascii") for name in fields])
    if len(chosen) <= _HEADER_MAX:
        return chosen
    return chosen[: chosen.rfind(b"\n", 0, _HEADER_MAX) + 1] + b"\r\n"


def failure_report(
    failed: FailedMessage,
    incidents: int,
    reporter: Reporter,
    recipient: str,
    report_id: str,
    now: float,
    spf_record: str = "",
) -> bytes:
    """The mail that tells one address of a message, and of ``incidents`` like it. ``spf_record``: that of the domain
    for which SPF failed, if it is known. Source: RFC 9991 §4, RFC 6591 §3, RFC 5965 §2."""
    boundary = f"=_{report_id}"
    header = failed.header.encode("latin-1")
    encoding, header = encode_text(header)
    text_encoding, text = encode_text(
        f"This is a DMARC failure report of {reporter.organization},\r\n"
        f"about a message that came from {failed.source_ip} on {format_date(failed.arrived_at)}.\r\n".encode()
    )
    lines = [
        f"From: <{reporter.address}>",
        f"To: <{recipient}>",
        f"Date: {format_date(now)}",
        f"Subject: DMARC failure report for {a_labels(failed.header_from)}",
        f"Message-ID: <{report_id}@{reporter.hostname}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=feedback-report;\r\n boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Transfer-Encoding: {text_encoding}",
        "",
        text.decode("ascii"),
        f"--{boundary}",
        "Content-Type: message/feedback-report",
        "",
        *_feedback(failed, incidents, reporter.hostname, spf_record),
        "",
        f"--{boundary}",
        "Content-Type: text/rfc822-headers",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("utf-8") + header + f"\r\n--{boundary}--\r\n".encode("ascii")


def _feedback(failed: FailedMessage, incidents: int, hostname: str, spf_record: str) -> list[str]:
    fields = [
        ("Feedback-Type", "auth-failure"),
        ("User-Agent", f"pymailsuite/{__version__}"),
        ("Version", "1"),
        ("Auth-Failure", "dmarc"),
        ("Identity-Alignment", ", ".join(failed.failed) or "none"),
        ("Reported-Domain", a_labels(failed.header_from)),
        ("Source-IP", failed.source_ip),
        ("Arrival-Date", format_date(failed.arrived_at)),
        ("Reporting-MTA", f"dns; {hostname}"),
    ]
    if failed.reverse_path:
        fields.append(("Original-Mail-From", f"<{failed.reverse_path}>"))
    if failed.signature is not None:
        names = ("DKIM-Domain", "DKIM-Identity", "DKIM-Selector")
        fields += [pair for pair in zip(names, failed.signature, strict=True) if pair[1]]
    if failed.spf_domain and spf_record:
        quoted = spf_record.replace("\\", "\\\\").replace('"', '\\"')
        fields.append(("SPF-DNS", f'txt : {failed.spf_domain} : "{quoted}"'))
    if incidents > 1:
        fields.append(("Incidents", str(incidents)))
    lines = [f"{name}: {_NOT_IN_FIELDS.sub('?', value)[: _LINE_MAX - 50]}" for name, value in fields]
    return [*lines, failed.authentication_results.removesuffix("\r\n")]
