"""The rules of a domain or an account for checks, in the configuration or kept in the directory; and the profiles of
an account's mail programs."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import Section

PolicyAction = Literal["reject", "tempfail", "score", "log", "off"]
Choice = Literal["on", "off"]

FORMER_POLICIES: Final = {"call_forward": "sender_callout"}
"""The names that policies have today by those of earlier releases, which stores still hold."""


class RecipientOverrides(Section):
    """The rules of a domain or an account."""

    actions: dict[str, PolicyAction] = Field(default_factory=dict)
    """Actions by the policy's name; here ``off`` and ``log`` are the same."""

    reject_score: float | None = Field(default=None, ge=0)
    """In place of the general one."""

    imap_quirks: dict[str, Choice] = Field(default_factory=dict)
    """Of an account: profiles of ``[imap.quirks]`` that all its mail programs have, or that none has, by name."""

    @field_validator("actions")
    @classmethod
    def _by_names_of_today(cls, actions: dict[str, PolicyAction]) -> dict[str, PolicyAction]:
        former = {FORMER_POLICIES[name]: action for name, action in actions.items() if name in FORMER_POLICIES}
        return former | {name: action for name, action in actions.items() if name not in FORMER_POLICIES}

    @property
    def about_checks(self) -> bool:
        """Whether there are any rules for checks."""
        return bool(self.actions) or self.reject_score is not None

    def over(self, general: RecipientOverrides) -> RecipientOverrides:
        """Both: what is said here goes before what ``general`` says."""
        limit = general.reject_score if self.reject_score is None else self.reject_score
        return self.model_copy(update={"actions": general.actions | self.actions, "reject_score": limit})

    def with_action(self, policy: str, action: PolicyAction | None) -> RecipientOverrides:
        """With this action; None: with none for this policy."""
        others = {name: wanted for name, wanted in self.actions.items() if name != policy}
        actions = others if action is None else others | {policy: action}
        return self.model_copy(update={"actions": dict(sorted(actions.items()))})

    def with_reject_score(self, reject_score: float | None) -> RecipientOverrides:
        """With this limit; None: with the general one. ValidationError, a ValueError, for a negative one."""
        return RecipientOverrides(actions=self.actions, reject_score=reject_score, imap_quirks=self.imap_quirks)

    def with_imap_quirk(self, name: str, choice: Choice | None) -> RecipientOverrides:
        """With this choice; None: with none for this profile."""
        others = {quirk: chosen for quirk, chosen in self.imap_quirks.items() if quirk != name}
        choices = others if choice is None else others | {name: choice}
        return self.model_copy(update={"imap_quirks": dict(sorted(choices.items()))})


NO_OVERRIDES = RecipientOverrides()
