"""The client side, for relaying through a server that asks who we are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from attrs import define, field

from pymailsuite.errors import PeerError


class ClientMechanism(Protocol):
    """One authentication exchange, client side; made anew for each."""

    @property
    def name(self) -> str:
        """The registered mechanism name, upper case."""

    def start(self) -> bytes | None:
        """The initial response (base64 not yet applied), or None if the server speaks first."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge. PeerError if the server asks for more than the mechanism has."""


@define
class ClientPlain:
    """PLAIN. Source: RFC 4616 §2."""

    login_name: str
    password: str = field(repr=False)
    name: str = field(default="PLAIN", init=False)

    def start(self) -> bytes | None:
        """All there is to say."""
        return f"\0{self.login_name}\0{self.password}".encode()

    def respond(self, challenge: bytes) -> bytes:
        """PLAIN has nothing after its initial response."""
        raise PeerError("Server asked for more after PLAIN")


@define
class ClientLogin:
    """LOGIN: the first challenge is answered with the name, the second with the password, whatever their words."""

    login_name: str
    password: str = field(repr=False)
    name: str = field(default="LOGIN", init=False)
    _answers: list[str] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._answers = [self.password, self.login_name]

    def start(self) -> bytes | None:
        """The server asks first."""
        return None

    def respond(self, challenge: bytes) -> bytes:
        """PeerError at the third challenge."""
        if not self._answers:
            raise PeerError("Server asked for more after LOGIN")
        return self._answers.pop().encode()


def choose_client_mechanism(offered: Iterable[str], login_name: str, password: str) -> ClientMechanism | None:
    """The best mechanism that is offered (names in any case) and ours, or None.

    Each sends the password in the clear: only to be asked under TLS.
    """
    names = {name.upper() for name in offered}
    if "PLAIN" in names:
        return ClientPlain(login_name, password)
    if "LOGIN" in names:
        return ClientLogin(login_name, password)
    return None
