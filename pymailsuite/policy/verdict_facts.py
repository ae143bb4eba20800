"""A verdict as operators and programs read it."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces.policy import Action, AppliedVerdict


def says_something(applied: AppliedVerdict) -> bool:
    """False for a policy that had no opinion and nothing to tell."""
    verdict = applied.verdict
    return bool(verdict.action is not Action.PASS or verdict.reason or verdict.evidence or applied.failure)


def verdict_facts(applied: AppliedVerdict) -> dict[str, Any]:
    """The policy, its verdict, the effect and the evidence, in values that JSON knows."""
    verdict = applied.verdict
    return {
        "stage": applied.stage.value,
        "policy": applied.policy,
        "said": verdict.action.value,
        "counts_as": applied.effect.value,
        "score": applied.score,
        "set_aside": applied.overruled_by,
        "disposal": "" if verdict.disposal is None else verdict.disposal.value,
        "reason": verdict.reason or applied.failure,
        "recipient": "" if applied.recipient is None else str(applied.recipient),
        "results": [f"{result.method}={result.result}" for result in verdict.results],
        "evidence": dict(verdict.evidence),
    }
