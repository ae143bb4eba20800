"""``pymailsuite spf``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pymailsuite.cli.batch import answer_lines, batch_option
from pymailsuite.cli.operation import json_option, run_in_reactor
from pymailsuite.cli.output import print_json
from pymailsuite.cli.resolver import resolver_of, resolver_option
from pymailsuite.config.sections.spf import SpfSettings
from pymailsuite.policy.spf import Evaluation, Query, SpfChecker
from pymailsuite.policy.spf.facts import as_facts
from pymailsuite.policy.spf.received_spf import received_spf_field


def query_of(arguments: Mapping[str, Any]) -> Query:
    """The question ``ip``, ``sender``, ``helo`` and ``receiver`` ask; all but ``ip`` may be missing or None.

    KeyError, ValueError."""
    texts = [arguments["ip"], *(arguments.get(name) or "" for name in ("sender", "helo", "receiver"))]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("ip, sender, helo and receiver are texts")
    ip, sender, helo, receiver = texts
    return Query.of_mail_from(ip, sender, helo, receiver or "unknown")


def print_evaluation(evaluation: Evaluation) -> None:
    """The result on a line of its own, why, and all that was asked on the way."""
    click.echo(evaluation.result.value)
    click.echo(evaluation.reason)
    if evaluation.explanation:
        click.echo(f"explanation: {evaluation.explanation}")
    for step in evaluation.trace:
        click.echo(f"  {step.domain}: {step.term} {step.outcome}" if step.term else f"  {step.domain}: {step.outcome}")
        for look_up in step.look_ups:
            click.echo(f"    {look_up}")


@click.command()
@click.option("--ip", help="The address of the client.")
@click.option("--sender", default="", help="The address in MAIL FROM; empty for the null path, which HELO stands for.")
@click.option("--helo", default="", help="The name the client said in HELO or EHLO.")
@click.option("--receiver", default="unknown", help="Our own name, which explanations may show.")
@click.option("--now", type=float, help="The time explanations may show, in seconds since 1970. Default: the clock's.")
@resolver_option
@batch_option
@json_option
def spf(
    ip: str | None,
    sender: str,
    helo: str,
    receiver: str,
    now: float | None,
    server: str | None,
    batch: bool,
    as_json: bool,
) -> None:
    """Whether a domain permits a host to send mail in its name, by RFC 7208.

    The result comes first (pass, fail, softfail, neutral, none, temperror, permerror), then the reason, then each step
    with its look-ups.

    With --batch each line of standard input is an object {"ip", "sender", "helo", "receiver"} and each line of the
    output an object {"result", "explanation"}, in the same order. What the name server says is remembered for as long
    as its TTL says. A line that makes no question has the result "error", and "error" says why.
    """
    if batch == (ip is not None):
        raise click.UsageError("give either --ip, with --sender and --helo, or --batch")

    async def evaluate(reactor: Any) -> Evaluation | None:
        checker = SpfChecker(SpfSettings(), resolver_of(server, reactor, remember=batch), reactor)
        if not batch:
            return await checker.check(question, now)

        async def answer(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            found = await checker.check(query_of(arguments), now)
            return {"result": found.result.value, "explanation": found.explanation}

        await answer_lines(answer, {"result": "error", "explanation": ""})
        return None

    if not batch:
        try:
            question = query_of({"ip": ip, "sender": sender, "helo": helo, "receiver": receiver})
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    evaluation = run_in_reactor(evaluate)
    if evaluation is None:
        return
    if as_json:
        field = received_spf_field(evaluation, evaluation.query.receiver).decode()
        print_json(as_facts(evaluation) | {"received_spf": field})
    else:
        print_evaluation(evaluation)
