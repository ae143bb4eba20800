"""Reports of users about messages, counted for the senders that were verified when the messages came."""

from __future__ import annotations

from typing import Final

from pymailsuite.config.sections.reputation import ReputationSettings
from pymailsuite.interfaces.policy import MethodResult
from pymailsuite.interfaces.reputation import Event, IReputation, JunkReport
from pymailsuite.message.authentication_results import is_same_name, parse_authentication_results
from pymailsuite.message.headers import fields
from pymailsuite.policy.reputation.identities import identities_in

_FIELD: Final = b"authentication-results"


class JunkFeedbackListener:
    """``authserv_id`` is our name in Authentication-Results."""

    def __init__(self, settings: ReputationSettings, reputation: IReputation, authserv_id: str) -> None:
        self._settings = settings
        self._reputation = reputation
        self._authserv_id = authserv_id

    def heard(self, mark: JunkReport) -> None:
        """Note it. A message without results of ours came from a user of this server, and counts for nobody."""
        results = self._own_results(mark.prefix)
        # Reverse DNS was asked about the client's address, whatever came of it.
        ip = next((dict(one.properties).get("policy.iprev", "") for one in results if one.method == "iprev"), "")
        identities = identities_in(results, ip, self._settings)
        self._reputation.note(identities, Event.JUNK if mark.junk else Event.NOT_JUNK)

    def _own_results(self, prefix: bytes) -> list[MethodResult]:
        found: list[MethodResult] = []
        for name, body in fields(prefix):
            if name.lower() == _FIELD:
                said = parse_authentication_results(body)
                if said is not None and is_same_name(said.authserv_id, self._authserv_id):
                    found += said.results
        return found
