"""The data of one message for a report: no content, no address."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pymailsuite.dns.names import comparable_address, comparable_domain
from pymailsuite.interfaces.dmarc import IDmarcStore, ReportedPolicy, ReportedRow
from pymailsuite.interfaces.policy import MailTransaction, MethodResult
from pymailsuite.message.headers import first_field
from pymailsuite.policy.dmarc.evaluation import DmarcResult
from pymailsuite.policy.dmarc.record import Disposition

log = Logger()

DAY_S: Final = 86_400
_SUBJECT: Final = b"report domain:"


def reported_policy(result: DmarcResult, tree_walk: bool) -> ReportedPolicy | None:
    """The published policy, if there is one that asks for reports."""
    published = result.published
    if published is None or published.record.p is None or not published.record.rua:
        return None
    record = published.record
    return ReportedPolicy(
        domain=published.domain,
        p=published.record.p.value,
        sp=record.sp.value if record.sp is not None else "",
        np=record.np.value if record.np is not None else "",
        adkim="s" if record.strict_dkim else "r",
        aspf="s" if record.strict_spf else "r",
        pct=record.pct,
        fo=":".join(record.fo),
        testing=record.testing,
        discovery="treewalk" if tree_walk else "psl",
        rua=tuple((address.address, address.size_max) for address in record.rua),
    )


def _spf_row(result: MethodResult) -> tuple[str, str, str]:
    properties = dict(result.properties)
    scope, identity = ("mfrom", "smtp.mailfrom") if "smtp.mailfrom" in properties else ("helo", "smtp.helo")
    return comparable_domain(properties.get(identity, "").rpartition("@")[2]), scope, result.result


def _disposition(result: DmarcResult) -> str:
    """What was done, in a word of RFC 9990 appendix A: ``pass`` is what passed under a policy that is enforced."""
    enforced = result.policy not in (None, Disposition.NONE)
    return "pass" if result.result == "pass" and enforced else result.disposition.value


def reported_row(transaction: MailTransaction, result: DmarcResult) -> ReportedRow:
    """The row a message adds to."""

    def results_of(policy: str) -> list[MethodResult]:
        verdict = transaction.verdicts.get(policy)
        return [found for found in verdict.results if found.method == policy] if verdict is not None else []

    signatures = [dict(found.properties) | {"result": found.result} for found in results_of("dkim")]
    return ReportedRow(
        source_ip=transaction.peer.ip,
        disposition=_disposition(result),
        dkim="pass" if result.aligned_dkim else "fail",
        spf="pass" if result.aligned_spf else "fail",
        header_from=result.author_domain,
        envelope_from=comparable_domain(transaction.reverse_path.domain)
        if transaction.reverse_path is not None
        else "",
        overrides=tuple((override.kind, override.comment) for override in result.overrides),
        auth_dkim=tuple(
            (comparable_domain(found["header.d"]), found.get("header.s", ""), found["result"])
            for found in signatures
            if found.get("header.d")
        ),
        auth_spf=tuple(_spf_row(found) for found in results_of("spf")[-1:]),
    )


class ResultCollector:
    """Hands results to the store. Nothing waits for that, and mail is accepted whether it works or not."""

    def __init__(self, store: IDmarcStore, report_from: str, tree_walk: bool, clock: IReactorTime) -> None:
        self._store = store
        self._report_from = report_from
        self._tree_walk = tree_walk
        self._clock = clock

    def note(self, transaction: MailTransaction, result: DmarcResult) -> None:
        """Count a message that was evaluated, unless it is about reports itself: those would be reported forever."""
        policy = reported_policy(result, self._tree_walk) if result.result in ("pass", "fail") else None
        if policy is None or is_about_reports(transaction, self._report_from):
            return
        day = int(self._clock.seconds() // DAY_S)
        self._store.note(day, policy, reported_row(transaction, result)).addErrback(_log_failure)


def is_about_reports(transaction: MailTransaction, report_from: str) -> bool:
    """Whether it is a report, or about those we send from ``report_from``."""
    local_part, _, domain = report_from.rpartition("@")
    ours = comparable_address(local_part, domain)
    if any(comparable_address(each.local_part, each.domain) == ours for each in transaction.recipients):
        return True
    subject = first_field(transaction.message.header, b"subject") if transaction.message is not None else None
    return subject is not None and subject.lower().startswith(_SUBJECT)


def _log_failure(failure: Failure) -> None:
    log.failure("{event}", failure=failure, event="dmarc.result_not_noted")
