"""``pymailsuite arc``."""

from __future__ import annotations

import time
from typing import Any

import click

from pymailsuite.cli.dkim import exact_rules, headers_option
from pymailsuite.cli.dkim_key import KeyFileType, domain_option, selector_option
from pymailsuite.cli.message_file import message_argument, message_file, now_option, write_message
from pymailsuite.cli.operation import json_option, run_in_reactor
from pymailsuite.cli.output import print_json
from pymailsuite.cli.resolver import resolver_of, resolver_option
from pymailsuite.policy.arc.results import ArcResult
from pymailsuite.policy.arc.seal import SEALING_RULES, seal_message
from pymailsuite.policy.arc.verify import verify_arc
from pymailsuite.policy.dkim.private_keys import PrivateKey, SigningKey


@click.group()
def arc() -> None:
    """Chains of seals on forwarded messages (ARC)."""


@arc.command()
@message_argument
@resolver_option
@now_option
@json_option
def verify(file: str, server: str | None, now: float | None, as_json: bool) -> None:
    """Check the chain of the message in FILE (- for standard input).

    Prints the result (none, pass or fail), the highest instance, and the reason.
    """
    with message_file(file) as message:

        async def run(reactor: Any) -> ArcResult:
            moment = time.time() if now is None else now
            return await verify_arc(message.chunks(), resolver_of(server, reactor), moment)

        result: ArcResult = run_in_reactor(run)
    if as_json:
        print_json({"arc": result.as_row()})
    else:
        click.echo(f"{result.status.value} i={result.instance} {result.reason}".rstrip())


@arc.command()
@message_argument
@domain_option
@selector_option
@click.option("--key", required=True, type=KeyFileType(), help="The private key, PEM.")
@click.option("--authserv-id", required=True, help="The name in Authentication-Results that is ours.")
@click.option(
    "--authentication-results",
    "results",
    default="",
    metavar="TEXT",
    help="Results for the message, as in Authentication-Results. Default: those in its own fields of this name.",
)
@headers_option
@resolver_option
@now_option
def seal(
    file: str,
    domain: str,
    selector: str,
    key: PrivateKey,
    authserv_id: str,
    results: str,
    headers: str | None,
    server: str | None,
    now: float | None,
) -> None:
    """Seal the message in FILE (- for standard input) and write it to standard output, in wire form.

    The chain it has is checked first. If that has failed, the seal says so and is the last one; a message that has such
    a last seal already is written as it is. If the results have arc=, the seal states that result: the message may have
    been changed here since it came in.
    """
    rules = exact_rules(SEALING_RULES, headers)
    signing = SigningKey(domain, selector, key)
    moment = time.time() if now is None else now
    with message_file(file) as message:

        async def run(reactor: Any) -> bytes:
            resolver = resolver_of(server, reactor)
            return await seal_message(
                message.chunks(), signing, authserv_id, resolver, moment, results=results, rules=rules
            )

        try:
            fields = run_in_reactor(run)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        write_message(fields, message)
