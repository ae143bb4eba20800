"""``domain rule`` and ``account rule``: rules of a domain or an account for the checks.

Both nouns have the same commands, on what is kept with a domain or an account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import click
from attrs import frozen

from pymailsuite.cli.operation import config_option, json_option, on_store, settings_of
from pymailsuite.cli.output import print_done, print_rows
from pymailsuite.config.settings import Settings
from pymailsuite.errors import NoSuchEntry
from pymailsuite.interfaces import IMailStore
from pymailsuite.interfaces.directory import ChangeOverrides
from pymailsuite.interfaces.overrides import PolicyAction, RecipientOverrides
from pymailsuite.policy.assembly import policy_factories, section_of

Rules = tuple[str, RecipientOverrides]
"""Whose they are, and what they are."""


@frozen
class RuleOwners:
    """The owner of rules: a domain or an account, as ``noun`` says, named on the command line by ``name_type``.

    ``change`` changes one's rules and answers it; ``rules`` are those of one, or of all for None, by name."""

    noun: str
    name_type: click.ParamType  # type: ignore[type-arg]  # generic in newer releases only
    change: Callable[[IMailStore, Any, ChangeOverrides], Awaitable[Rules]]
    rules: Callable[[IMailStore, Any], Awaitable[Sequence[Rules]]]

    def row(self, name: str, overrides: RecipientOverrides) -> dict[str, Any]:
        """As commands show it."""
        return {self.noun: name, "actions": dict(overrides.actions), "reject_score": overrides.reject_score}


def add_rule_commands(group: click.Group, owners: RuleOwners) -> None:
    """``rule``, ``reject-score`` and ``rules``."""
    group.add_command(_rule_command(owners))
    group.add_command(_reject_score_command(owners))
    group.add_command(_rules_command(owners))


def _changed(owners: RuleOwners, name: Any, change: ChangeOverrides, config_file: Path) -> dict[str, Any]:
    async def operation(store: IMailStore, settings: Settings) -> Rules:
        return await owners.change(store, name, change)

    return owners.row(*on_store(config_file, operation))


def _check_policy(policy: str, settings: Settings) -> None:
    """UsageError if there is none of that name; a word to the operator if a rule about it decides nothing now."""
    known = policy_factories()
    if policy not in known:
        raise click.UsageError(f"no such policy: {policy} (there are {', '.join(sorted(known))})")
    section = section_of(settings, policy)
    if not settings.policy.enabled or section is None or section.action == "off":
        click.echo(f"note: {policy} is off in the configuration, so nobody is asked", err=True)
    elif section.at_once:
        click.echo(f"note: what {policy} says at once, before the recipient is known, is not changed by this", err=True)


def _rule_command(owners: RuleOwners) -> click.Command:
    noun = owners.noun

    @click.command(
        "rule",
        help=f"""Do what the policy POLICY says otherwise for this {noun}: reject, tempfail, score, log, off.

        It goes before what the configuration says; what an account wants goes before what its domain wants. A running
        server sees the change within seconds.""",
    )
    @click.argument("name", type=owners.name_type, metavar=noun.upper())
    @click.argument("policy")
    @click.argument("action", type=click.Choice(get_args(PolicyAction)), required=False)
    @click.option("--remove", is_flag=True, help="Remove the rule.")
    @config_option
    @json_option
    def rule(
        name: Any, policy: str, action: PolicyAction | None, remove: bool, config_file: Path, as_json: bool
    ) -> None:
        if remove == (action is not None):
            raise click.UsageError("give either ACTION or --remove")
        if not remove:
            _check_policy(policy, settings_of(config_file))

        def change(old: RecipientOverrides) -> RecipientOverrides:
            if remove and policy not in old.actions:
                raise NoSuchEntry(f"{name} has no rule for {policy}")
            return old.with_action(policy, action)

        row = _changed(owners, name, change, config_file)
        print_done(f"{policy} for {row[noun]}: {action or 'as for everybody'}", row, as_json)

    return rule


def _reject_score_command(owners: RuleOwners) -> click.Command:
    noun = owners.noun

    @click.command("reject-score", help=f"Refuse mail to this {noun} from SCORE on; 0: never.")
    @click.argument("name", type=owners.name_type, metavar=noun.upper())
    @click.argument("score", type=click.FloatRange(min=0), required=False)
    @click.option("--remove", is_flag=True, help="Remove the rule.")
    @config_option
    @json_option
    def reject_score(name: Any, score: float | None, remove: bool, config_file: Path, as_json: bool) -> None:
        if remove == (score is not None):
            raise click.UsageError("give either SCORE or --remove")

        def change(old: RecipientOverrides) -> RecipientOverrides:
            if remove and old.reject_score is None:
                raise NoSuchEntry(f"{name} has no reject score of its own")
            return old.with_reject_score(score)

        row = _changed(owners, name, change, config_file)
        told = "as for everybody" if score is None else f"{score:g}" if score else "never"
        print_done(f"score to refuse from for {row[noun]}: {told}", row, as_json)

    return reject_score


def _rules_command(owners: RuleOwners) -> click.Command:
    noun = owners.noun

    @click.command("rules", help=f"What {noun}s want otherwise of the checks: all that want something, or one.")
    @click.argument("name", type=owners.name_type, required=False, metavar=f"[{noun.upper()}]")
    @config_option
    @json_option
    def rules(name: Any, config_file: Path, as_json: bool) -> None:
        async def operation(store: IMailStore, settings: Settings) -> Sequence[Rules]:
            return await owners.rules(store, name)

        found = on_store(config_file, operation)
        rows = [owners.row(owner, overrides) for owner, overrides in found if overrides.about_checks]
        print_rows(rows, [noun, "actions", "reject_score"], as_json)

    return rules
