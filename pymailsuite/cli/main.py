"""The command ``pymailsuite``: finds the module of a noun when it is asked for, so that each start is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from pymailsuite import __version__

_NOUNS: Final = {
    "domain": "Domains whose mail is ours to keep.",
    "account": "Mail accounts.",
    "group": "Lists of accounts, to which mailboxes are shared at once.",
    "mailbox": "Mailboxes, and who else may use them.",
    "alias": "Addresses that lead to other addresses.",
    "list": "Whom the server, a domain or a user lets in or keeps out.",
    "greylist": "Clients that were asked to come back later, and those who did.",
    "reputation": "How mail of domains, addresses and networks has fared.",
    "queue": "Messages that still have somewhere to go.",
    "dkim": "Signatures of messages (DKIM).",
    "arc": "Chains of seals on forwarded messages (ARC).",
    "secret": "Secrets in the store, and their encryption.",
    "store": "The mail store as a whole.",
    "imap": "What IMAP does otherwise for some mail programs.",
    "search": "The text index, by which searches need not read each message.",
    "spf": "Whether a domain permits a host to send for it.",
    "why": "What happened to a message, or why it was refused.",
    "explain": "What every check would say of a message.",
    "dns": "What the world should find about us in DNS, and what it finds.",
    "dmarc": "What author domains publish, and reports of what others received in our name.",
    "config": "The configuration file.",
    "dev": "Run a server to try out, on loopback.",
    "demo": "Start a server, send a message through it, read it back.",
}


class _Nouns(click.Group):
    """A group whose commands are modules beside this one, each with its command under its own name.

    With ``--json`` an error is a JSON object too, on standard error: ``{"error": TEXT, "exit_code": NUMBER}``.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        if not standalone_mode or "--json" not in arguments:
            return super().main(arguments, prog_name, complete_var, standalone_mode, **extra)
        try:
            # What a command answers is nothing; ``--help`` and the like answer their exit code.
            sys.exit(super().main(arguments, prog_name, complete_var, False, **extra) or 0)
        except click.ClickException as error:
            said = {"error": error.format_message(), "exit_code": error.exit_code}
            click.echo(json.dumps(said, ensure_ascii=False), err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo(json.dumps({"error": "aborted", "exit_code": 1}), err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _NOUNS:
            return None
        command: click.Command = getattr(import_module(f"pymailsuite.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The stock method imports every module for its help text.
        with formatter.section("Commands"):
            formatter.write_dl(list(_NOUNS.items()))


@click.command(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pymailsuite")
def root() -> None:
    """Operate a pymailsuite mail server. The server itself is run by: twistd pymailsuite --config FILE

    Commands work on the live store; the server need not be stopped. They exit with 0 when they did what was asked, 1
    when that could not be done, and 2 for a mistake on the command line or in the configuration.
    """


def main() -> None:
    """The entry point."""
    root(prog_name="pymailsuite")
