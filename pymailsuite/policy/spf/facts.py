"""An evaluation as others want it: a part of Authentication-Results, and values that JSON knows."""

from __future__ import annotations

from typing import Any

from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.policy.spf.values import Evaluation, Identity


def method_result(evaluation: Evaluation) -> MethodResult:
    """``spf=pass smtp.mailfrom=user@example.org`` or ``smtp.helo=mx.example.org``. Source: RFC 8601 §2.7.2."""
    query = evaluation.query
    if query.identity is Identity.HELO:
        identity = ("smtp.helo", query.helo)
    else:
        identity = ("smtp.mailfrom", query.sender)
    return MethodResult("spf", evaluation.result.value, properties=(identity,), comment=evaluation.reason)


def as_facts(evaluation: Evaluation, steps_max: int | None = None) -> dict[str, Any]:
    """The result and, with the first ``steps_max`` steps, how it was found."""
    query = evaluation.query
    return {
        "result": evaluation.result.value,
        "identity": query.identity.value,
        "domain": query.domain,
        "reason": evaluation.reason,
        "mechanism": evaluation.mechanism,
        "explanation": evaluation.explanation,
        "trace": [
            {
                "domain": step.domain,
                "term": step.term,
                "outcome": step.outcome,
                "look_ups": [str(look_up) for look_up in step.look_ups],
            }
            for step in evaluation.trace[:steps_max]
        ],
    }
