"""The server side of the mechanisms that carry a password in the clear: PLAIN and LOGIN.

They are offered only where nobody can listen (TLS, or loopback if a setting says so); :func:`mechanisms` knows which
those are, the protocol knows whether its connection is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pymailsuite.errors import LoginRefused, PeerError
from pymailsuite.sasl.mechanism import Challenge, Done, SaslPassword, ServerMechanism, Step

MAX_NAME: Final = 1020
"""Octets of an identity: RFC 4616 §2 lets a server stop at 255 characters, each up to four octets of UTF-8."""

MAX_PASSWORD: Final = 1020
"""Octets of a password, by the same rule."""


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
        name = _identity(authcid)
        if authzid and _identity(authzid).casefold() != name.casefold():
            raise LoginRefused(cause=f"{name} asked to act as somebody else")
        return Done(SaslPassword(authcid, _password(password), authzid))


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
            _identity(octets)
            self._name = octets
            return Challenge(b"Password:")
        return Done(SaslPassword(self._name, _password(octets)))


def _identity(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError("Login name is not UTF-8") from None
    # Controls in a name can only serve to forge a log line or a header; no RFC 8265 identifier has any.
    if not 0 < len(octets) <= MAX_NAME or any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        raise PeerError("Malformed login name")
    return text


def _password(octets: bytes) -> bytes:
    if not 0 < len(octets) <= MAX_PASSWORD or b"\0" in octets:
        raise PeerError("Malformed password")
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError("Password is not UTF-8") from None
    return octets


def mechanisms(plaintext_allowed: bool) -> dict[str, Callable[[], ServerMechanism]]:
    """The mechanisms to offer, best first, by name; none of ours is safe without ``plaintext_allowed``."""
    return {"PLAIN": PlainServer, "LOGIN": LoginServer} if plaintext_allowed else {}
