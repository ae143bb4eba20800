"""One authentication exchange as protocols carry it, whatever its mechanism."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeAlias

from attrs import frozen
from twisted.cred.credentials import ICredentials

from pymailsuite.errors import PeerError
from pymailsuite.sasl.mechanism import Challenge, Lookup, ServerMechanism, Step


@frozen
class Pending:
    """The exchange goes on once this has been awaited; its result is the outcome, or its error that of the exchange."""

    outcome: Coroutine[Any, Any, Outcome]


Outcome: TypeAlias = "Challenge | Pending | ICredentials"
"""What is next: a challenge for the client, something to be awaited, or what the portal is to be asked with."""


class Exchange:
    """The methods raise what those of the mechanism raise; the exchange is over then."""

    __slots__ = ("_credentials", "mechanism")

    def __init__(self, mechanism: ServerMechanism) -> None:
        self.mechanism = mechanism
        self._credentials: ICredentials | None = None

    def begin(self, initial: bytes | None) -> Outcome:
        """Begin with the initial response; None if there was none."""
        return self._outcome(self.mechanism.start(initial))

    def go_on(self, octets: bytes) -> Outcome:
        """Go on with the client's response to the last challenge."""
        if self._credentials is None:
            return self._outcome(self.mechanism.respond(octets))
        if octets:
            raise PeerError("An empty response was expected")
        return self._credentials

    def _outcome(self, step: Step) -> Outcome:
        if isinstance(step, Challenge):
            return step
        if isinstance(step, Lookup):
            return Pending(self._looked_up(step))
        if step.final is None:
            return step.credentials
        # None of our protocols has a field for data with success: it is a challenge, and the response to it is empty.
        self._credentials = step.credentials
        return Challenge(step.final)

    async def _looked_up(self, lookup: Lookup) -> Outcome:
        return self._outcome(await lookup.ask())
