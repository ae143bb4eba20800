"""When to retry, when to give up, when to report to the sender. Pure: time and randomness are arguments.

Source: RFC 5321 §4.5.4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import evolve

from pymailsuite.config.sections.queue import QueueSettings
from pymailsuite.interfaces import Notify, Outcome, QueuedRecipient, QueueEntry, RecipientState

EXPIRED_STATUS = "4.4.7"
"""Delivery time expired. Source: RFC 3463 §3.5."""

TOO_MANY_RECIPIENTS_STATUS = "4.5.3"
"""Too many recipients. Source: RFC 3463 §3.6."""


def expires_at(settings: QueueSettings, entry: QueueEntry) -> float:
    """POSIX seconds at which ``entry`` is given up."""
    lifetime = settings.expire if entry.reverse_path is not None else settings.expire_reports
    return entry.created_at + lifetime


def next_attempt(settings: QueueSettings, entry: QueueEntry, attempts: int, now: float, chance: float) -> float | None:
    """POSIX seconds of the attempt after number ``attempts`` (1 is the first), or None after the time of giving up.

    ``chance`` (0.0 to 1.0) spreads attempts around their due time. The last attempt is at the time of giving up.
    """
    end = expires_at(settings, entry)
    if now >= end:
        return None
    # The exponent is bounded: a message tried a thousand times must not overflow.
    wait = min(settings.retry_first * settings.retry_factor ** min(attempts - 1, 64), settings.retry_max)
    wait *= 1 + settings.retry_jitter * (2 * chance - 1)
    return min(now + wait, end)


def decide(
    settings: QueueSettings,
    entry: QueueEntry,
    recipient: QueuedRecipient,
    outcome: Outcome,
    now: float,
    chance: float,
) -> Outcome:
    """``outcome`` completed: a delayed recipient gets its next attempt, or fails at the time of giving up."""
    state, status, due = outcome.state, outcome.status, 0.0
    if state is RecipientState.DELAYED:
        again = next_attempt(settings, entry, recipient.attempts + 1, now, chance)
        if again is None:
            state, status = RecipientState.FAILED, EXPIRED_STATUS
        else:
            due = again
    return evolve(outcome, state=state, status=status, next_attempt=due, delay_reported=recipient.delay_reported)


def hosts_that_took(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """The hosts that have accepted the message for at least one recipient."""
    return frozenset(outcome.host for outcome in outcomes if outcome.state is RecipientState.DELIVERED)


def wants_transaction_of_its_own(outcome: Outcome, took: Collection[str]) -> bool:
    """Whether a host that has accepted the message for other recipients (:func:`hosts_that_took`) wants this one in
    another transaction.

    It has too many recipients, or other rules for this one. Such a transaction is tried at once; this ends, since each
    leaves fewer recipients. Source: RFC 5321 §4.5.3.1.10.
    """
    return (
        outcome.state is RecipientState.DELAYED
        and outcome.status == TOO_MANY_RECIPIENTS_STATUS
        and outcome.host in took
    )


def is_failure_to_report(recipient: QueuedRecipient, outcome: Outcome) -> bool:
    """True if the sender, if there is one, gets a report that this recipient will not get the message."""
    return outcome.state is RecipientState.FAILED and recipient.notify.wants(Notify.FAILURE)


def is_success_to_report(entry: QueueEntry, recipient: QueuedRecipient, outcome: Outcome) -> bool:
    """True if the sender gets a report that this recipient has the message, as far as we can tell."""
    return (
        outcome.state is RecipientState.DELIVERED
        and outcome.success is not None
        and entry.reverse_path is not None
        and Notify.SUCCESS in recipient.notify
    )


def is_delay_to_report(
    settings: QueueSettings, entry: QueueEntry, recipient: QueuedRecipient, outcome: Outcome, now: float
) -> bool:
    """True if the sender gets a report now that this recipient is delayed."""
    return (
        outcome.state is RecipientState.DELAYED
        and not outcome.delay_reported
        and entry.reverse_path is not None
        and recipient.notify.wants(Notify.DELAY)
        and settings.warn_after > 0
        and now - entry.created_at >= settings.warn_after
    )
