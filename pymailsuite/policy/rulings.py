"""A ruling as operators and programs read it."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces.policy import Action, Ruling


def says_something(ruling: Ruling) -> bool:
    """False for a policy that had no opinion and nothing to tell."""
    verdict = ruling.verdict
    return bool(verdict.action is not Action.PASS or verdict.reason or verdict.evidence or ruling.failure)


def ruling_facts(ruling: Ruling) -> dict[str, Any]:
    """Who said what, what it counted as, and on what it rests, in values that JSON knows."""
    verdict = ruling.verdict
    return {
        "stage": ruling.stage.value,
        "policy": ruling.policy,
        "said": verdict.action.value,
        "counts_as": ruling.effect.value,
        "score": ruling.score,
        "set_aside": ruling.set_aside,
        "disposal": "" if verdict.disposal is None else verdict.disposal.value,
        "reason": verdict.reason or ruling.failure,
        "recipient": "" if ruling.recipient is None else str(ruling.recipient),
        "results": [f"{result.method}={result.result}" for result in verdict.results],
        "evidence": dict(verdict.evidence),
    }
