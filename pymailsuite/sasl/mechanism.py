"""What a server mechanism is, and the values it answers with."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol

from attrs import field, frozen
from twisted.cred.credentials import ICredentials, IUsernamePassword
from zope.interface import implementer


@frozen
class Challenge:
    """Octets for the client, base64 not yet applied; the exchange goes on with ``respond``."""

    octets: bytes


@frozen
class Done:
    """The client has said all it has to: ``credentials`` go to the portal, which decides.

    ``final`` is data the mechanism wants sent along with success (RFC 4422 §3.6), None if it has none.
    """

    credentials: ICredentials
    final: bytes | None = None


@frozen
class Lookup:
    """The mechanism must be told something before it can go on: ``ask`` finds it out and answers the next step."""

    ask: Callable[[], Awaitable[Step]]


Step = Challenge | Done | Lookup


class ServerMechanism(Protocol):
    """One authentication exchange, server side; made anew for each.

    Both methods raise :class:`~pymailsuite.errors.PeerError` for octets the mechanism's grammar does not allow and
    :class:`~pymailsuite.errors.LoginRefused` where the grammar is kept but the login cannot succeed. After either, or
    after a :class:`Done`, the object is spent.
    """

    @property
    def name(self) -> str:
        """The registered mechanism name, upper case."""

    def start(self, initial: bytes | None) -> Step:
        """Begin with the client's initial response: None if it sent none, ``b""`` if it sent an empty one."""

    def respond(self, octets: bytes) -> Step:
        """Go on with the client's answer to the last challenge."""


@implementer(IUsernamePassword)
@frozen
class SaslPassword:
    """A login name and a password as UTF-8 octets, as ``twisted.cred`` checkers expect them.

    ``authorization_id`` is the identity to act as, which so far is always the one that logs in.
    """

    username: bytes
    password: bytes = field(repr=False)
    authorization_id: bytes = b""

    def checkPassword(self, password: bytes) -> bool:
        """True if ``password`` is the one given. Takes the same time wherever they differ."""
        return hmac.compare_digest(self.password, password)
