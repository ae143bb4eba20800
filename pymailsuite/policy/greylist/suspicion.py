"""Whether there is anything about a client that makes it worth asking it to come back."""

from __future__ import annotations

from pymailsuite.config.sections.greylist import GreylistSettings
from pymailsuite.interfaces.policy import Action, Effect, MailTransaction
from pymailsuite.policy.greylist.clients import evidence_of, looks_dynamic


def suspicions_about(transaction: MailTransaction, settings: GreylistSettings) -> tuple[str, ...]:
    """The settings' suspicions that there are. A look-up that failed is none, and so is a check that is off."""
    verdicts = transaction.verdicts
    score = sum(applied.score for applied in transaction.applied_verdicts if applied.effect is Effect.SCORE)
    found = {
        "no_name": evidence_of(verdicts, "iprev").get("result") in ("fail", "permerror"),
        "dynamic_name": looks_dynamic(verdicts),
        "no_spf_pass": evidence_of(verdicts, "spf").get("result", "pass") not in ("pass", "temperror"),
        "score": score >= settings.suspicious_score,
    }
    return tuple(name for name in settings.suspicions if found[name])


def is_vouched_for(transaction: MailTransaction) -> bool:
    """Whether a list lets this transaction in, or one of lists of good hosts (DNSWL) knows the client."""
    # Of this stage there are only verdicts yet; and of a policy that speaks at several stages only the last is there.
    said = [*(applied.verdict for applied in transaction.applied_verdicts), *transaction.verdicts.values()]
    return any(
        verdict.action is Action.ACCEPT
        or any(result.method == "dnswl" and result.result == "pass" for result in verdict.results)
        for verdict in said
    )


def is_refused_anyway(transaction: MailTransaction) -> bool:
    """Whether a permanent refusal is pending: mail that will be refused need not be remembered."""
    return any(applied.effect is Effect.REJECT for applied in transaction.applied_verdicts)
