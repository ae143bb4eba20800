"""``pymailsuite dkim``."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from pymailsuite.cli.batch import answer_lines, batch_file, batch_option
from pymailsuite.cli.dkim_key import (
    KeyFileType,
    SigningNameType,
    algorithm_option,
    bits_option,
    domain_option,
    key,
    selector_option,
    zone_line,
)
from pymailsuite.cli.message_file import MessageFile, message_argument, message_file, now_option, write_message
from pymailsuite.cli.operation import json_option, run_in_reactor
from pymailsuite.cli.output import print_json
from pymailsuite.cli.resolver import resolver_of, resolver_option
from pymailsuite.interfaces import IResolver
from pymailsuite.policy.arc.verify import verify_arc
from pymailsuite.policy.dkim.private_keys import (
    PrivateKey,
    SigningKey,
    generate_key,
    write_key_file,
)
from pymailsuite.policy.dkim.results import BEST_FIRST, DkimResult
from pymailsuite.policy.dkim.sign import DEFAULT_RULES, SigningRules, sign_message
from pymailsuite.policy.dkim.verify import verify_message

# RFC 5322 §2.2, without the semicolon, which ends a tag.
_is_field_name = re.compile(rb"[!-9<-~]+").fullmatch

headers_option = click.option(
    "--headers",
    metavar="NAME:NAME:...",
    help="Fields to sign, exactly these; a name that stands once more than its field keeps others from being added.",
)


def exact_rules(rules: SigningRules, headers: str | None, **changes: Any) -> SigningRules:
    """The rules with an ``h=`` from the command line, if there is one."""
    if headers is not None:
        names = tuple(name.strip().lower().encode("ascii", "replace") for name in headers.split(":") if name.strip())
        if b"from" not in names:
            raise click.UsageError("From must be among the fields to sign")
        if not all(map(_is_field_name, names)):
            raise click.UsageError(f"not a list of field names: {headers!r}")
        changes |= {"headers": names, "exact": True}
    return evolve(rules, **changes)


@click.group()
def dkim() -> None:
    """Signatures of messages (DKIM)."""


@dkim.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, path_type=str))
@batch_option
@resolver_option
@now_option
@json_option
def verify(file: str | None, batch: bool, server: str | None, now: float | None, as_json: bool) -> None:
    """Check the signatures of the message in FILE (- for standard input).

    Prints a line for each signature, the best one first: result (none, pass, fail, policy, neutral, temperror or
    permerror), domain, selector, reason. With --batch, each line of standard input is {"file": NAME}, and each line of
    output tells of its signatures and its ARC chain. Lines of a message that end in a bare LF are read as if they
    ended in CRLF.
    """
    if batch == (file is not None):
        raise click.UsageError("give either FILE or --batch")
    moment = time.time() if now is None else now

    async def in_batch(reactor: Any) -> None:
        resolver = resolver_of(server, reactor)

        async def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
            with message_file(batch_file(question)) as message:
                return {
                    "dkim": [result.as_row() for result in await verify_message(message.chunks(), resolver, moment)],
                    "arc": (await verify_arc(message.chunks(), resolver, moment)).as_row(),
                }

        await answer_lines(answer)

    if batch:
        run_in_reactor(in_batch)
        return
    assert file is not None
    with message_file(file) as message:
        results = verified(message, server, moment)
    if as_json:
        print_json({"dkim": [result.as_row() for result in results]})
        return
    for result in sorted(results, key=lambda result: BEST_FIRST.index(result.status)):
        click.echo(" ".join(filter(None, result.as_row().values())))


def verified(message: MessageFile, server: str | None, now: float) -> list[DkimResult]:
    """The results of a message's signatures, asking the name server given."""

    async def run(reactor: Any) -> list[DkimResult]:
        resolver: IResolver = resolver_of(server, reactor)
        return await verify_message(message.chunks(), resolver, now)

    results: list[DkimResult] = run_in_reactor(run)
    return results


@dkim.command()
@message_argument
@domain_option
@click.option(
    "--selector",
    "selectors",
    multiple=True,
    required=True,
    type=SigningNameType(),
    help="The name the key is published under.",
)
@click.option("--key", "keys", multiple=True, required=True, type=KeyFileType(), help="The private key, PEM.")
@headers_option
@click.option(
    "--canonicalization",
    type=click.Choice(["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]),
    default="relaxed/relaxed",
    show_default=True,
    help="Canonicalization of header and body.",
)
@click.option("--expire", type=click.IntRange(min=1), metavar="SECONDS", help="How long the signature is good for.")
@now_option
def sign(
    file: str,
    domain: str,
    selectors: tuple[str, ...],
    keys: tuple[PrivateKey, ...],
    headers: str | None,
    canonicalization: str,
    expire: int | None,
    now: float | None,
) -> None:
    """Sign the message in FILE (- for standard input) and write it to standard output, in wire form.

    Several keys, each with its selector, make several signatures.
    """
    if len(selectors) != len(keys):
        raise click.UsageError("give as many selectors as keys")
    header, _, body = canonicalization.partition("/")
    rules = exact_rules(
        DEFAULT_RULES, headers, relaxed_header=header == "relaxed", relaxed_body=body == "relaxed", expire_s=expire
    )
    signing = [SigningKey(domain, selector, key) for selector, key in zip(selectors, keys, strict=True)]
    with message_file(file) as message:
        try:
            fields = sign_message(message.chunks(), signing, time.time() if now is None else now, rules)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        write_message(b"".join(fields), message)


@dkim.command()
@domain_option
@selector_option
@algorithm_option
@bits_option
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it. Default: DOMAIN.SELECTOR.pem")
@json_option
def keygen(domain: str, selector: str, algorithm: str, bits: int, out: Path | None, as_json: bool) -> None:
    """Make a key, write it to a new file that only you can read, and print the DNS record to publish."""
    file = out or Path(f"{domain}.{selector}.pem")
    made = SigningKey(domain, selector, generate_key(algorithm, bits))
    try:
        write_key_file(file, made.private)
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from None
    if as_json:
        print_json({"name": made.name, "type": "TXT", "value": made.private.record_text(), "file": str(file)})
        return
    click.echo(zone_line(made))
    click.echo(f"; the private key is in {file}")


dkim.add_command(key)
