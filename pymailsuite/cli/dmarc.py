"""``pymailsuite dmarc``."""

from __future__ import annotations

from typing import Any, BinaryIO

import click
from twisted.internet.defer import Deferred

from pymailsuite.cli.operation import json_option, run_in_reactor
from pymailsuite.cli.output import moment, print_facts, print_json, print_rows
from pymailsuite.cli.resolver import resolver_of, resolver_option
from pymailsuite.interfaces.dmarc import ReportedRow
from pymailsuite.policy.dmarc.discovery import Discovery
from pymailsuite.policy.dmarc.evaluation import DmarcResult, evaluate
from pymailsuite.policy.dmarc.policy import evidence_of
from pymailsuite.policy.dmarc.reports.feedback import Feedback, is_feedback, read_feedback
from pymailsuite.policy.dmarc.reports.reading import ReceivedReport, read_report
from pymailsuite.policy.dmarc.reports.unpacking import XML_MAX, BadReportError, is_known
from pymailsuite.policy.organizational import domain_of


@click.group()
def dmarc() -> None:
    """Policies that author domains publish, and reports of mail that others received in our name."""


def report_facts(report: ReceivedReport) -> dict[str, Any]:
    """A report as JSON shows it."""
    policy = report.results.policy
    return {
        "organization": report.organization,
        "address": report.address,
        "report_id": report.report_id,
        "begin": moment(report.begin),
        "end": moment(report.end),
        "domain": policy.domain,
        "policy": {
            name: getattr(policy, name)
            for name in ("p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery")
        },
        "remarks": list(report.remarks),
        "messages": report.messages,
        "passed": sum(count for row, count in report.results.rows if "pass" in (row.dkim, row.spf)),
        "records": [row_facts(row, count) for row, count in report.results.rows],
    }


def row_facts(row: ReportedRow, count: int) -> dict[str, Any]:
    """A record of a report."""
    return {
        "source_ip": row.source_ip,
        "count": count,
        "disposition": row.disposition,
        "dkim": row.dkim,
        "spf": row.spf,
        "header_from": row.header_from,
        "envelope_from": row.envelope_from,
        "reasons": [{"type": kind, "comment": comment} for kind, comment in row.overrides],
        "auth_dkim": [{"domain": d, "selector": s, "result": r} for d, s, r in row.auth_dkim],
        "auth_spf": [{"domain": d, "scope": s, "result": r} for d, s, r in row.auth_spf],
    }


def feedback_facts(report: Feedback, nested: bool) -> dict[str, Any]:
    """A failure report as JSON shows it, or for people without a second level."""
    found: dict[str, Any] = {}
    for name, text in report.fields:
        key = name.replace("-", "_")
        found[key] = f"{found[key]}; {text}" if key in found else text
    if nested:
        return {"reporter": report.reporter, **found, "original": dict(report.original)}
    return {"reporter": report.reporter, **found, **{f"original {name}": text for name, text in report.original}}


@dmarc.command()
@click.argument("file", type=click.File("rb"))
@json_option
def parse(file: BinaryIO, as_json: bool) -> None:
    """Read a report: an aggregate one as XML, gzip, zip, or a message that carries one; or a message that is a failure
    report. FILE may be - for standard input."""
    octets = file.read(XML_MAX + 1)
    if len(octets) > XML_MAX:
        raise click.ClickException(f"it is longer than {XML_MAX} octets")
    try:
        if not is_known(octets) and is_feedback(octets):
            print_facts(feedback_facts(read_feedback(octets), as_json), as_json)
            return
        facts = report_facts(read_report(octets))
    except BadReportError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print_json(facts)
        return
    records = facts.pop("records")
    facts["remarks"] = "; ".join(facts["remarks"])
    facts["policy"] = " ".join(f"{name}={value}" for name, value in facts["policy"].items() if value not in ("", False))
    print_facts(facts, as_json=False)
    click.echo()
    print_rows(records, ["source_ip", "count", "disposition", "dkim", "spf", "header_from", "envelope_from"], False)


@dmarc.command()
@click.argument("author")
@click.option("--spf", "spf_identity", default="", metavar="DOMAIN", help="SPF has passed for this domain or address.")
@click.option("--dkim", "dkim_domains", multiple=True, metavar="DOMAIN", help="A signature of this domain has passed.")
@click.option(
    "--organizational",
    type=click.Choice(["tree_walk", "psl"]),
    default="tree_walk",
    show_default=True,
    help="How the organization is found: records in DNS (RFC 9989) or the list of public suffixes (RFC 7489).",
)
@resolver_option
@json_option
def check(
    author: str,
    spf_identity: str,
    dkim_domains: tuple[str, ...],
    organizational: str,
    server: str | None,
    as_json: bool,
) -> None:
    """Show what is to be done with mail from AUTHOR, a domain or an address, by the policy of its domain."""
    domain = domain_of(author)
    if not domain:
        raise click.UsageError(f"{author!r} has no domain")

    def main(reactor: Any) -> Deferred[DmarcResult]:
        discovery = Discovery(resolver_of(server, reactor), organizational == "tree_walk")
        passed = [found for name in dkim_domains if (found := domain_of(name))]
        return Deferred.fromCoroutine(evaluate((domain,), domain_of(spf_identity), passed, discovery))

    async def run(reactor: Any) -> DmarcResult:
        return await main(reactor)

    print_facts(evidence_of(run_in_reactor(run)), as_json)
