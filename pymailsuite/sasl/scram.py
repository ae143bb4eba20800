"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, server side: the password never crosses the connection.

The server keeps two keys made from the password; who reads them can neither log in with them elsewhere nor, without
trying passwords, here. With -PLUS the proof is bound to the TLS connection, so that nobody between can pass it on.
Source: RFC 5802, RFC 7677, RFC 9266.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import field, frozen
from twisted.cred.credentials import ICredentials
from zope.interface import Attribute, implementer

from pymailsuite.errors import LoginRefused, PeerError
from pymailsuite.sasl.identities import checked_name
from pymailsuite.sasl.mechanism import Challenge, Done, Lookup, Step

SALT_OCTETS: Final = 16
LEAST_ITERATIONS: Final = 4096
"""RFC 7677 §4."""
_MOST_ITERATIONS: Final = 10_000_000
_NONCE_OCTETS: Final = 18
_KEY_OCTETS: Final = 32

NAME: Final = "SCRAM-SHA-256"
PLUS_NAME: Final = "SCRAM-SHA-256-PLUS"

# RFC 5803 §3: "SCRAM-SHA-256$" iterations ":" salt "$" StoredKey ":" ServerKey
_KEPT: Final = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")

# RFC 5802 §7. Extensions may follow what is used here, and are passed over; a mandatory one (m=) is not known.
_CLIENT_FIRST: Final = re.compile(
    rb"(?P<header>(?:p=(?P<binding>[A-Za-z0-9.-]+)|(?P<flag>[ny])),(?:a=(?P<authzid>[^,]*))?,)"
    rb"(?P<bare>n=(?P<name>[^,]*),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*)",
    re.DOTALL,
)
_CLIENT_FINAL: Final = re.compile(
    rb"(?P<bare>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*)"
    rb",p=(?P<proof>[A-Za-z0-9+/=]+)",
    re.DOTALL,
)
_SASL_NAME: Final = re.compile(rb"=(2C|3D|)")

ChannelBinding = Callable[[str], bytes | None]
"""The data of a type of channel binding of the connection (RFC 5056), None if it has none."""


@frozen
class ScramKeys:
    """What is kept of a password. ``str()`` is the form of RFC 5803."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def __str__(self) -> str:
        salt, stored_key, server_key = (_base64(octets) for octets in (self.salt, self.stored_key, self.server_key))
        return f"{NAME}${self.iterations}:{salt}${stored_key}:{server_key}"

    @classmethod
    def parse(cls, text: str) -> ScramKeys:
        """ValueError if it has not exactly that form, or its iterations are too few or too many."""
        found = _KEPT.fullmatch(text)
        if found is None:
            raise ValueError("not the keys of a password")
        iterations = int(found[1])
        salt, stored_key, server_key = (base64.b64decode(part, validate=True) for part in found.groups()[1:])
        if not LEAST_ITERATIONS <= iterations <= _MOST_ITERATIONS or not salt:
            raise ValueError("keys of too few or too many iterations")
        if len(stored_key) != _KEY_OCTETS or len(server_key) != _KEY_OCTETS:
            raise ValueError("keys of another length")
        return cls(salt, iterations, stored_key, server_key)

    @classmethod
    def of(cls, password: bytes, iterations: int, salt: bytes | None = None) -> ScramKeys:
        """Of a prepared password. Takes as long as ``iterations`` make it: not for the reactor thread. Source: RFC 5802
        §3."""
        salt = os.urandom(SALT_OCTETS) if salt is None else salt
        salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
        stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
        return cls(salt, iterations, stored_key, _hmac(salted, b"Server Key"))


class IScramProof(ICredentials):
    """What a client of SCRAM has shown: whether it knows the password of which ``keys`` were made."""

    username = Attribute("The login name, UTF-8 octets.")
    password = Attribute("Octets by which one that was right is known again: nobody learns them from the connection.")
    keys = Attribute("The ScramKeys that the exchange used.")
    is_right = Attribute("True if the client knows the password.")


@implementer(IScramProof)
@frozen
class ScramProof:
    """See the interface."""

    username: bytes
    password: bytes = field(repr=False)
    keys: ScramKeys = field(repr=False)
    is_right: bool


class ScramServer:
    """One exchange. ``keys_of`` answers the keys of whoever has that login name, and of one that nobody has keys of no
    password, so that the two look alike."""

    def __init__(
        self,
        keys_of: Callable[[bytes], Awaitable[ScramKeys]],
        channel: ChannelBinding | None = None,
        *,
        plus: bool = False,
    ) -> None:
        """``channel``: the TLS connection; None if there is none, and then ``plus`` is impossible."""
        self.name: Final = PLUS_NAME if plus else NAME
        self._keys_of = keys_of
        self._channel = channel
        self._plus = plus
        self._keys: ScramKeys | None = None
        self._username = b""
        self._bound = b""
        """What the client's channel binding must be: the GS2 header, with the data of the channel."""
        self._nonce = b""
        self._auth_message = b""

    def start(self, initial: bytes | None) -> Step:
        """The client speaks first; without an initial response an empty challenge asks for it."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, octets: bytes) -> Step:
        """First client-first-message, then client-final-message."""
        return self._first(octets) if self._keys is None else self._final(octets, self._keys)

    def _first(self, octets: bytes) -> Step:
        found = _CLIENT_FIRST.fullmatch(octets)
        if found is None:
            raise PeerError("Malformed SCRAM message", cause="client-first-message")
        self._username = _sasl_name(found["name"])
        name = checked_name(self._username)
        authzid = found["authzid"]
        if authzid and checked_name(_sasl_name(authzid)).casefold() != name.casefold():
            raise LoginRefused(cause=f"{name} asked to act as somebody else")
        self._bound = found["header"] + self._binding_data(found["binding"], found["flag"])
        self._nonce = found["nonce"] + base64.b64encode(os.urandom(_NONCE_OCTETS))
        return Lookup(lambda: self._server_first(found["bare"]))

    def _binding_data(self, kind: bytes | None, flag: bytes | None) -> bytes:
        if kind is None:
            if self._plus:
                raise PeerError("Channel binding is missing", cause=f"{self.name} without channel binding")
            if flag == b"y" and self._channel is not None:
                # RFC 5802 §6: the client believes that there is no -PLUS. Somebody has hidden it from the client.
                raise LoginRefused(cause="the list of mechanisms was changed on its way to the client")
            return b""
        data = None
        if self._plus and self._channel is not None:
            data = self._channel(kind.decode("ascii"))
        if data is None:
            raise PeerError("Unsupported channel binding")
        return data

    async def _server_first(self, client_first_bare: bytes) -> Step:
        keys = self._keys = await self._keys_of(self._username)
        server_first = b"r=%b,s=%b,i=%d" % (self._nonce, base64.b64encode(keys.salt), keys.iterations)
        self._auth_message = client_first_bare + b"," + server_first + b","
        return Challenge(server_first)

    def _final(self, octets: bytes, keys: ScramKeys) -> Step:
        found = _CLIENT_FINAL.fullmatch(octets)
        if found is None:
            raise PeerError("Malformed SCRAM message", cause="client-final-message")
        proof = _decoded(found["proof"])
        auth_message = self._auth_message + found["bare"]
        signature = _hmac(keys.stored_key, auth_message)
        client_key = bytes(a ^ b for a, b in zip(proof.ljust(_KEY_OCTETS, b"\0"), signature, strict=False))
        # Each is computed, so that the time tells nothing of the others.
        agrees = (
            hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key),
            hmac.compare_digest(found["nonce"], self._nonce),
            hmac.compare_digest(_decoded(found["binding"]), self._bound),
            len(proof) == _KEY_OCTETS,
        )
        is_right = all(agrees)
        server_final = b"v=" + base64.b64encode(_hmac(keys.server_key, auth_message)) if is_right else None
        return Done(ScramProof(self._username, client_key, keys, is_right), server_final)


def _sasl_name(octets: bytes) -> bytes:
    """A saslname: a comma and an equals sign are written as =2C and =3D. Source: RFC 5802 §5.1."""

    def character(found: re.Match[bytes]) -> bytes:
        if not found[1]:
            raise PeerError("Malformed login name")
        return b"," if found[1] == b"2C" else b"="

    return _SASL_NAME.sub(character, octets)


def _decoded(octets: bytes) -> bytes:
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error:
        raise PeerError("Malformed SCRAM message") from None


def _hmac(key: bytes, octets: bytes) -> bytes:
    return hmac.digest(key, octets, "sha256")


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
