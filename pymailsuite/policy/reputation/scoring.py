"""Evaluates the history of a sender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.interfaces.reputation import Identity, Reputation


@frozen
class Standing:
    """``score`` is between ``-good_score`` and ``bad_score``; ``balance`` between -1 (all good) and 1 (all bad)."""

    reputation: Reputation
    balance: float
    score: float


def standing_of(reputation: Reputation, settings: ReputationSettings) -> Standing | None:
    """None while too little is known."""
    good = reputation.accepted + settings.junk_weight * reputation.not_junk
    bad = reputation.refused + settings.junk_weight * reputation.junk
    events = reputation.accepted + reputation.refused + reputation.junk + reputation.not_junk
    if events < settings.minimum_events or not good + bad:
        return None
    balance = (bad - good) / (bad + good)
    score = balance * (settings.bad_score if balance > 0 else settings.good_score)
    return Standing(reputation, balance, round(score, 2))


def most_telling(
    identities: Sequence[Identity], known: Mapping[Identity, Reputation], settings: ReputationSettings
) -> Standing | None:
    """The standing of the first of ``identities`` of whom enough is known: an address speaks for itself, whatever the
    rest of its domain does, and a domain goes before the network it sends from."""
    for identity in identities:
        reputation = known.get(identity)
        standing = standing_of(reputation, settings) if reputation is not None else None
        if standing is not None:
            return standing
    return None
