"""When to try again, when to give up, when to tell the sender. Pure: time and chance are arguments.

Source: RFC 5321 §4.5.4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

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
    """POSIX seconds of the try after attempt number ``attempts`` (1 is the first), or None once past giving up.

    ``chance`` (0.0 to 1.0) spreads tries around their due time. The last try is at the moment of giving up.
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
    """``outcome`` with what follows from it: a delayed recipient gets its next attempt, or fails at the end."""
    state, status, due = outcome.state, outcome.status, 0.0
    if state is RecipientState.DELAYED:
        again = next_attempt(settings, entry, recipient.attempts + 1, now, chance)
        if again is None:
            state, status = RecipientState.FAILED, EXPIRED_STATUS
        else:
            due = again
    return Outcome(outcome.position, state, status, outcome.reply, outcome.host, due, recipient.delay_reported)


def hosts_that_took(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """The hosts that have taken the message for anybody."""
    return frozenset(outcome.host for outcome in outcomes if outcome.state is RecipientState.DELIVERED)


def wants_transaction_of_its_own(outcome: Outcome, took: Collection[str]) -> bool:
    """Whether a host that has taken the message for others (:func:`hosts_that_took`) wants this recipient in another
    transaction.

    It has too many of them, or other rules for this one. That is tried at once, and ends: each such try leaves fewer.
    Source: RFC 5321 §4.5.3.1.10.
    """
    return (
        outcome.state is RecipientState.DELAYED
        and outcome.status == TOO_MANY_RECIPIENTS_STATUS
        and outcome.host in took
    )


def is_failure_to_report(recipient: QueuedRecipient, outcome: Outcome) -> bool:
    """True if the sender, should there be one, is to be told that this recipient will not get the message."""
    return outcome.state is RecipientState.FAILED and recipient.notify.wants(Notify.FAILURE)


def is_delay_to_report(
    settings: QueueSettings, entry: QueueEntry, recipient: QueuedRecipient, outcome: Outcome, now: float
) -> bool:
    """True if the sender is to be told now that this recipient still waits."""
    return (
        outcome.state is RecipientState.DELAYED
        and not outcome.delay_reported
        and entry.reverse_path is not None
        and recipient.notify.wants(Notify.DELAY)
        and settings.warn_after > 0
        and now - entry.created_at >= settings.warn_after
    )
