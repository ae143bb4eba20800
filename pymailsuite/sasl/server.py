"""The mechanisms that carry a password in the clear, PLAIN and LOGIN; and which mechanisms are offered.

All are offered only where nobody can listen (TLS, or loopback if a setting says so): :func:`mechanisms` knows the
mechanisms, the protocol knows whether its connection is safe.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from pymailsuite.errors import LoginRefused, PeerError
from pymailsuite.sasl.identities import checked_name, checked_password
from pymailsuite.sasl.mechanism import Challenge, Done, SaslPassword, ServerMechanism, Step
from pymailsuite.sasl.scram import NAME, PLUS_NAME, ChannelBinding, ScramKeys, ScramServer

Offered = Mapping[str, Callable[[], ServerMechanism]]
"""Mechanisms to offer, best first, by name."""

Mechanisms = Callable[[bool, ChannelBinding | None], Offered]
"""Answers those to offer: whether passwords may pass in the clear, and the TLS connection, if there is one."""

KeysOf = Callable[[bytes], Awaitable[ScramKeys]]
"""The keys of a login name, as :class:`~pymailsuite.sasl.scram.ScramServer` needs them."""


class PlainServer:
    """PLAIN: one message ``[authzid] NUL authcid NUL passwd``. Source: RFC 4616 §2."""

    name: Final = "PLAIN"

    def start(self, initial: bytes | None) -> Step:
        """The initial response is the whole exchange; without one an empty challenge asks for it."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, octets: bytes) -> Step:
        """Raises LoginRefused if the client asks to act as somebody else: nobody may, so far."""
        parts = octets.split(b"\0")
        if len(parts) != 3:
            raise PeerError("Malformed PLAIN message", cause="PLAIN message without two NULs")
        authzid, authcid, password = parts
        name = checked_name(authcid)
        if authzid and checked_name(authzid).casefold() != name.casefold():
            raise LoginRefused(cause=f"{name} asked to act as somebody else")
        return Done(SaslPassword(authcid, checked_password(password), authzid))


class LoginServer:
    """LOGIN: name and password asked for in turn. No RFC; described by draft-murchison-sasl-login.

    A client may send the name with the command (Outlook and others do).
    """

    name: Final = "LOGIN"

    def __init__(self) -> None:
        self._name: bytes | None = None

    def start(self, initial: bytes | None) -> Step:
        """Prompts are the draft's: some clients look for these very words."""
        # An empty initial response cannot be a name; clients that send one wait to be asked.
        return self.respond(initial) if initial else Challenge(b"Username:")

    def respond(self, octets: bytes) -> Step:
        """First the name, then the password."""
        if self._name is None:
            checked_name(octets)
            self._name = octets
            return Challenge(b"Password:")
        return Done(SaslPassword(self._name, checked_password(octets)))


def mechanisms(
    plaintext_allowed: bool, channel: ChannelBinding | None = None, keys_of: KeysOf | None = None
) -> Offered:
    """The mechanisms to offer, best first, by name; none of ours without ``plaintext_allowed``, since what follows a
    login is to be protected as well.

    ``channel`` is the TLS connection, if there is one; with ``keys_of`` SCRAM is among them.
    """
    if not plaintext_allowed:
        return {}
    offered: dict[str, Callable[[], ServerMechanism]] = {}
    if keys_of is not None:
        if channel is not None:
            offered[PLUS_NAME] = partial(ScramServer, keys_of, channel, plus=True)
        offered[NAME] = partial(ScramServer, keys_of, channel)
    return {**offered, "PLAIN": PlainServer, "LOGIN": LoginServer}
