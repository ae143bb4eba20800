"""The result of greylisting for a triplet, from its entries: no store, no clock."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

from attrs import frozen

from pymailsuite.config.sections.greylist import GreylistSettings
from pymailsuite.interfaces.greylist import GreylistKnowledge, Triplet

REFRESH_SHARE = 0.1
"""An entry in use is written anew when this part of its time has gone by: most mail costs no write."""


class State(enum.Enum):
    """How it stands with a triplet."""

    NEW = "new"
    EARLY = "early"
    """Has come back too early."""
    RETURNED = "returned"
    """Has come back in time, for the first time."""
    KNOWN = "known"
    """Has come back in time before."""
    ALLOWED = "allowed"
    """The client has come back often enough, or an operator has let it in."""


@frozen
class GreylistResult:
    """``triplet`` is the one it rests on; ``wait_s`` is how long the client has to wait yet (whole seconds).
    ``stale``: the entry it rests on is to be written anew."""

    state: State
    triplet: Triplet
    wait_s: int = 0
    stale: bool = False

    @property
    def admits(self) -> bool:
        """Whether the mail may come in."""
        return self.state not in (State.NEW, State.EARLY)


def evaluate(candidates: Sequence[Triplet], known: GreylistKnowledge, settings: GreylistSettings) -> GreylistResult:
    """``candidates`` are one sender and recipient under all names of the client, first that to be remembered by."""
    for triplet in candidates:
        client = known.clients.get(triplet.client)
        if client is not None and (
            client.allowed or (settings.auto_allow_after and client.passes >= settings.auto_allow_after)
        ):
            stale = not client.allowed and _is_stale(client.expires_at, known.now, settings.auto_allow_keep)
            return GreylistResult(State.ALLOWED, triplet, stale=stale)
    entries = [known.entries[triplet] for triplet in candidates if triplet in known.entries]
    passed = next((entry for entry in entries if entry.passed_at), None)
    if passed is not None:
        return GreylistResult(State.KNOWN, passed.triplet, stale=_is_stale(passed.expires_at, known.now, settings.keep))
    if not entries:
        return GreylistResult(State.NEW, candidates[0], math.ceil(settings.delay))
    first = min(entries, key=lambda entry: entry.first_seen)
    remaining_s = first.first_seen + settings.delay - known.now
    if remaining_s > 0:
        return GreylistResult(State.EARLY, first.triplet, math.ceil(remaining_s))
    return GreylistResult(State.RETURNED, first.triplet)


def _is_stale(expires_at: float, now: float, keep_s: float) -> bool:
    return expires_at - now < keep_s * (1 - REFRESH_SHARE)
