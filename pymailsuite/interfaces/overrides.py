"""The rules of a domain or an account for checks: in the configuration, or kept in the directory."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from pymailsuite.config.base import Section

PolicyAction = Literal["reject", "tempfail", "score", "log", "off"]

FORMER_POLICIES: Final = {"call_forward": "sender_callout"}
"""The names that policies have today by those of earlier releases, which stores still hold."""


class RecipientOverrides(Section):
    """The rules of a domain or an account."""

    actions: dict[str, PolicyAction] = Field(default_factory=dict)
    """Actions by the policy's name; here ``off`` and ``log`` are the same."""

    reject_score: float | None = Field(default=None, ge=0)
    """In place of the general one."""

    @field_validator("actions")
    @classmethod
    def _by_names_of_today(cls, actions: dict[str, PolicyAction]) -> dict[str, PolicyAction]:
        former = {FORMER_POLICIES[name]: action for name, action in actions.items() if name in FORMER_POLICIES}
        return former | {name: action for name, action in actions.items() if name not in FORMER_POLICIES}

    def over(self, general: RecipientOverrides) -> RecipientOverrides:
        """Both: what is said here goes before what ``general`` says."""
        limit = general.reject_score if self.reject_score is None else self.reject_score
        return RecipientOverrides(actions=general.actions | self.actions, reject_score=limit)

    def with_action(self, policy: str, action: PolicyAction | None) -> RecipientOverrides:
        """With this action; None: with none for this policy."""
        others = {name: wanted for name, wanted in self.actions.items() if name != policy}
        actions = others if action is None else others | {policy: action}
        return RecipientOverrides(actions=dict(sorted(actions.items())), reject_score=self.reject_score)

    def with_reject_score(self, reject_score: float | None) -> RecipientOverrides:
        """With this limit; None: with the general one. ValidationError, a ValueError, for a negative one."""
        return RecipientOverrides(actions=self.actions, reject_score=reject_score)


NO_OVERRIDES = RecipientOverrides()
