"""``pymailsuite explain``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from pymailsuite.cli.batch import answer_lines, batch_file, batch_option
from pymailsuite.cli.message_file import MessageFile, message_file, now_option
from pymailsuite.cli.moment import StandingClock
from pymailsuite.cli.operation import ConfigFault, json_option, run_in_reactor, settings_of
from pymailsuite.cli.output import print_json
from pymailsuite.cli.resolver import resolver_of, resolver_option
from pymailsuite.cli.story_text import recipient_text, step_text, verdict_lines
from pymailsuite.cli.tables import lookup_tables
from pymailsuite.config.loader import settings_from
from pymailsuite.config.settings import Settings
from pymailsuite.delivery.assembly import make_planner
from pymailsuite.delivery.dry_run import DryRunResult, RecipientCheck, dry_run
from pymailsuite.delivery.history import recipient_facts, step_facts
from pymailsuite.delivery.incoming import ReceivingRules
from pymailsuite.delivery.quota import RecipientQuotas
from pymailsuite.directory import RecipientResolver
from pymailsuite.directory.return_paths import ReturnPathResolver, ReturnPaths
from pymailsuite.directory.roles import RoleAddresses
from pymailsuite.directory.tables import LookupTables
from pymailsuite.dns.resolver import Resolver
from pymailsuite.errors import ConfigError, MailError
from pymailsuite.interfaces import IMailStore, IResolver, LocalRecipient
from pymailsuite.interfaces.edits import AddField, Edits, ReplaceField
from pymailsuite.interfaces.kept_paths import IKeptPaths
from pymailsuite.interfaces.policy import IPolicyChain, Stage
from pymailsuite.interfaces.quota import IQuotaStore
from pymailsuite.interfaces.secrets import ISecretStore
from pymailsuite.interfaces.store import IDryRuns, needed
from pymailsuite.policy.assembly import make_chain
from pymailsuite.policy.spf.values import client_address
from pymailsuite.policy.verdict_facts import says_something, verdict_facts
from pymailsuite.server.data_folder import add_configured_domains, enter_data_folder, store_of
from pymailsuite.store import inline_store
from pymailsuite.values import Address, Peer

_NOBODY = "unknown"
"""Our own name where no configuration says it: what ``pymailsuite spf`` has as receiver too."""


@frozen
class Question:
    """A client, an envelope and a message. ValueError from :meth:`read` if there is something wrong with it."""

    peer: Peer
    reverse_path: Address | None
    recipients: tuple[Address, ...]

    @classmethod
    def read(cls, ip: Any, helo: Any, sender: Any, to: Any) -> Question:
        """From texts; ``to`` may be several."""
        recipients = to if isinstance(to, (list, tuple)) else [to]
        if not all(isinstance(text, str) for text in (ip, helo, sender, *recipients)):
            raise ValueError("ip, helo, from and to are texts")
        peer = Peer(ip=str(client_address(ip)), port=25, helo=helo, esmtp=True)
        return cls(peer, _address(sender), tuple(filter(None, map(_address, recipients))))


def _address(text: str) -> Address | None:
    """None for the empty one. What stands before the last @ may be anything, as in SPF."""
    text = text.strip().removeprefix("<").removesuffix(">")
    local_part, _, domain = text.rpartition("@")
    return Address(local_part, domain.lower()) if text else None


# --- what it prints


def answer_of(dry_run_result: DryRunResult, asked_about_recipients: bool) -> dict[str, Any]:
    """The answer as JSON has it."""
    answer = _answer_of(dry_run_result)
    if asked_about_recipients:
        answer["recipients"] = list(_recipient_rows(dry_run_result))
        answer["steps"] = (
            [step_facts(note) for note in dry_run_result.plan.notes] if dry_run_result.plan is not None else []
        )
    return answer


def _recipient_rows(dry_run_result: DryRunResult) -> Iterator[dict[str, Any]]:
    """As ``why`` has them, and those that would be refused."""
    planned = dry_run_result.plan.recipients if dry_run_result.plan is not None else ()
    for recipient in dry_run_result.recipients:
        if recipient.refusal:
            yield {"recipient": str(recipient.address), "reply": recipient.refusal, "policy": recipient.policy}
            continue
        for one in planned:
            for facts in recipient_facts(one) if one.given == recipient.address else ():
                if facts.pop("account_id", None) is not None and isinstance(one.target, LocalRecipient):
                    facts["account"] = one.target.login_name
                yield facts


def _answer_of(dry_run_result: DryRunResult) -> dict[str, Any]:
    spf = _evidence(dry_run_result, "spf")
    arc = _evidence(dry_run_result, "arc")
    dmarc = _evidence(dry_run_result, "dmarc")
    return {
        "spf": {
            "result": spf.get("result", "none"),
            "domain": spf.get("domain", ""),
            "explanation": spf.get("explanation", ""),
        },
        "dkim": [row for row in _evidence(dry_run_result, "dkim").get("signatures", ()) if row["result"] != "none"],
        "arc": {name: arc.get(name, other) for name, other in (("result", "none"), ("instance", 0), ("reason", ""))},
        "dmarc": {
            "result": dmarc.get("result", "none"),
            "policy": dmarc.get("policy", ""),
            "disposition": dmarc.get("disposition", "none"),
            "domain": dmarc.get("domain", ""),
        },
        "verdict": verdict_of(dry_run_result),
        "trace": [verdict_facts(applied) for applied in dry_run_result.applied_verdicts if says_something(applied)],
    }


def _evidence(dry_run_result: DryRunResult, policy: str) -> Mapping[str, Any]:
    applied = dry_run_result.applied(policy)
    return applied.verdict.evidence if applied is not None else {}


def verdict_of(dry_run_result: DryRunResult) -> dict[str, Any]:
    """The reply to the client, and the fields in front of the message."""
    stage = dry_run_result.refused_at
    decision = dry_run_result.last if stage is None else dry_run_result.decisions[stage]
    policy, reply = decision.decided_by, ""
    if stage is Stage.RCPT:
        policy, reply = dry_run_result.recipients[0].policy, dry_run_result.recipients[0].refusal
    elif decision.refusal is not None:
        refusal = decision.refusal
        reply = f"{refusal.code} {refusal.enhanced_code} {refusal.text}"
    return {
        "action": "accept" if not reply else "tempfail" if reply.startswith("4") else "reject",
        "stage": "message" if stage is None else stage.value,
        "policy": policy,
        "reply": reply,
        "score": decision.score,
        "fields": "" if reply else decision.prefix.decode("utf-8", "replace"),
        "changes": [] if reply else _changes(decision.edits),
    }


def _changes(edits: Edits) -> list[str]:
    """What would be changed of the message, a line for each."""
    rows = []
    for edit in edits.header:
        if isinstance(edit, AddField):
            rows.append(f"add {_text(edit.octets)}")
        elif isinstance(edit, ReplaceField):
            rows.append(f"replace {_text(edit.name)} by {_text(edit.octets)}")
        else:
            rows.append(f"remove {_text(edit.name)}")
    if edits.body is not None:
        rows.append("replace the body")
    if edits.sender is not None:
        rows.append(f"change the sender to <{edits.sender.reverse_path or ''}>")
    rows += [f"add the recipient {address}" for address in edits.added]
    rows += [f"remove the recipient {address}" for address in sorted(edits.removed, key=str)]
    rows += [f"redirect {given} to {address}" for given, address in edits.redirected.items()]
    return rows + [f"quarantine for {given}: {reason}" for given, reason in edits.quarantined.items()]


def _text(octets: bytes) -> str:
    return " ".join(octets.decode("utf-8", "replace").split())


def print_answer(answer: Mapping[str, Any]) -> None:
    """For people: the verdict first, then each result, then the verdict of each check."""
    verdict = answer["verdict"]
    click.echo(f"{verdict['action']} at {verdict['stage']}, score {verdict['score']:g}")
    if verdict["reply"]:
        click.echo(f"  {verdict['reply']}{_by(verdict['policy'])}")
    for row in answer.get("recipients", ()):
        goes = f"{row['recipient']}: {row['reply']}{_by(row['policy'])}" if "policy" in row else recipient_text(row)
        click.echo(f"  recipient {goes}")
    for row in answer.get("steps", ()):
        click.echo(f"  step      {step_text(row)}")
    click.echo()
    click.echo(f"spf    {answer['spf']['result']} {answer['spf']['domain']}".rstrip())
    for row in answer["dkim"] or [{"result": "none"}]:
        click.echo(f"dkim   {' '.join(filter(None, row.values()))}")
    arc, dmarc = answer["arc"], answer["dmarc"]
    click.echo(f"arc    {arc['result']} {arc['reason']}".rstrip())
    words = f"{dmarc['result']} {dmarc['domain']}".rstrip()
    click.echo(f"dmarc  {words}" + (f", policy {dmarc['policy']}, {dmarc['disposition']}" if dmarc["policy"] else ""))
    click.echo()
    for row in answer["trace"]:
        for line in verdict_lines(row):
            click.echo(line)
    if verdict["changes"]:
        click.echo()
        for change in verdict["changes"]:
            click.echo(f"change {change}")
    if verdict["fields"]:
        click.echo()
        click.echo(verdict["fields"].replace("\r\n", "\n"), nl=False)


def _by(policy: str) -> str:
    return f"  (by {policy})" if policy else ""


# --- the run


class _Explainer:
    """Tries messages with the policies that ``settings`` want; ``knows_recipients`` if the store is a server's."""

    def __init__(
        self,
        settings: Settings,
        store: IMailStore,
        resolver: IResolver,
        clock: Any,
        knows_recipients: bool,
        tables: LookupTables | None,
    ) -> None:
        chain = make_chain(settings, resolver, store, clock, chance=lambda: 0.0)
        if chain is None:
            raise ConfigFault("policy.enabled: no checks are made at all")
        self._chain: IPolicyChain = chain
        hostname = settings.server.hostname
        # Objections to a client or a sender are said when there is a recipient.
        self._somebody = Address("somebody", hostname)
        self._recipient_check = _recipient_check(settings, store, clock, tables) if knows_recipients else None
        authserv_id = settings.policy.authserv_id or hostname
        self._rules = ReceivingRules(settings.delivery, hostname, authserv_id, clock)

    async def explain(self, question: Question, message: MessageFile) -> dict[str, Any]:
        recipient_check = self._recipient_check if question.recipients else None
        dry_run_result = await dry_run(
            self._chain,
            self._rules,
            question.peer,
            question.reverse_path,
            question.recipients or (self._somebody,),
            message.chunks(),
            recipient_check,
        )
        return answer_of(dry_run_result, recipient_check is not None)


def _recipient_check(settings: Settings, store: IMailStore, clock: Any, tables: LookupTables | None) -> RecipientCheck:
    """How the server itself finds out about recipients."""
    paths = ReturnPaths(
        settings.forwarding, settings.bounce_tags, needed(store, ISecretStore), clock, needed(store, IKeptPaths)
    )
    roles = RoleAddresses(settings.server.hostname, [settings.dmarc.report_from])
    directory = RecipientResolver(settings.directory, store.directory, clock, roles, tables)
    resolver = ReturnPathResolver(directory, paths)
    quotas = store.ability(IQuotaStore)
    return RecipientCheck(
        resolver,
        settings.smtp.relay_denied,
        make_planner(settings, store, clock, resolver, paths),
        None if quotas is None else RecipientQuotas(settings.quota, quotas),
    )


def _settings(config_file: Path | None) -> Settings:
    if config_file is not None:
        return settings_of(config_file)
    server = {"hostname": _NOBODY, "domains": [], "data_dir": "."}
    return settings_from({"server": server}, Path("defaults"))


async def _opened(settings: Settings, config_file: Path | None, reactor: Any, clock: Any) -> IMailStore:
    store: Any = inline_store(settings.store, clock) if config_file is None else store_of(settings, reactor)
    await store.open()
    if config_file is not None:
        # The server may never have run yet.
        await add_configured_domains(store, settings)
    return store  # type: ignore[no-any-return]


@click.command()
@click.option("--ip", help="The address of the client.")
@click.option("--helo", default="", help="The name the client says in HELO or EHLO.")
@click.option("--from", "sender", default="", help="The address in MAIL FROM; empty for the null path.")
@click.option("--to", "recipients", multiple=True, help="An address in RCPT TO; may be given several times.")
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, path_type=str))
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PYMAILSUITE_CONFIG",
    show_envvar=True,
    help="The server's configuration file. Default: every check as it is without one.",
)
@batch_option
@resolver_option
@now_option
@json_option
def explain(
    ip: str | None,
    helo: str,
    sender: str,
    recipients: Sequence[str],
    file: str | None,
    config_file: Path | None,
    batch: bool,
    server: str | None,
    now: float | None,
    as_json: bool,
) -> None:
    """Show the verdict of every check on the message in FILE (- for standard input) if it came in from this client.

    The client counts as a stranger: it has not logged in and is in no trusted network. Nothing is stored and nothing
    is sent. All checks run, even after one has refused. Lines of the message that end in a bare LF are read as if they
    ended in CRLF. A DMARC policy for a percentage of the mail applies.

    \b
    With --json an object:
      spf      result, domain, explanation (of MAIL FROM; of HELO for the null path)
      dkim     a list with result, domain, selector, reason of each signature; empty if the message is not signed
      arc      result, instance, reason ("none", 0 and "" without a chain)
      dmarc    result, policy, disposition, domain ("none" and an empty policy without a record)
      verdict  action (accept, reject, tempfail), stage, policy, reply, score, fields that go in front of the message
      trace    who said what, what it counts as, and on what it rests

    With --config it is a server's own answer: its rules, lists and accounts. Then there are two things more:

    \b
      recipients  recipient, with account and mailbox, or the address it is sent on to; refused ones with reply, policy
      steps       what delivery steps would decide: step, recipient, did, why

    With --batch each line of standard input is an object {"ip", "helo", "from", "to", "file"}, where "to" may be a
    list, and each line of the output such an answer, in the same order; or an object {"error"} if a line asks nothing
    that can be answered.
    """
    if batch in (file is not None, ip is not None):
        raise click.UsageError("give either --ip and FILE, or --batch")
    settings = _settings(config_file)
    if config_file is not None:
        enter_data_folder(settings)

    async def run(reactor: Any) -> dict[str, Any] | None:
        clock = reactor if now is None else StandingClock(now, reactor)
        # The checks of one message, and those of many in a batch, ask the same again and again.
        asked_of_config = config_file is not None and server is None
        resolver = Resolver(settings.dns, reactor) if asked_of_config else resolver_of(server, reactor, remember=True)
        store = await _opened(settings, config_file, reactor, clock)
        try:
            async with lookup_tables(settings.directory) as tables:
                explainer = _Explainer(
                    settings, needed(store, IDryRuns).dry_run(), resolver, clock, config_file is not None, tables
                )
                if batch:
                    await answer_lines(lambda line: _answer_line(explainer, line))
                    return None
                assert file is not None
                with message_file(file) as message:
                    return await explainer.explain(question, message)
        finally:
            await store.close()

    try:
        if not batch:
            question = Question.read(ip, helo, sender, list(recipients))
        answer = run_in_reactor(run)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except ConfigError as error:
        raise ConfigFault(error.public) from None
    except MailError as error:
        raise click.ClickException(str(error)) from None
    if answer is None:
        return
    if as_json:
        print_json(answer)
    else:
        print_answer(answer)


async def _answer_line(explainer: _Explainer, line: Mapping[str, Any]) -> Mapping[str, Any]:
    question = Question.read(line["ip"], line.get("helo") or "", line.get("from") or "", line.get("to") or ())
    with message_file(batch_file(line)) as message:
        return await explainer.explain(question, message)
