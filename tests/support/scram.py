"""The client side of SCRAM-SHA-256, written after RFC 5802 by itself, for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac


class ScramClient:
    """One exchange; ``header`` is the GS2 header, ``bound`` the data of the channel binding that it names."""

    def __init__(
        self,
        name: str,
        password: str,
        header: bytes = b"n,,",
        bound: bytes = b"",
        nonce: bytes = b"rOprNGfwEbeRWgbNEkqO",
    ) -> None:
        self._password = password.encode()
        self._header, self._bound = header, bound
        escaped = name.replace("=", "=3D").replace(",", "=2C").encode()
        self._bare = b"n=" + escaped + b",r=" + nonce
        self._server_signature = b""

    def first(self) -> bytes:
        """client-first-message."""
        return self._header + self._bare

    def final(self, server_first: bytes) -> bytes:
        """client-final-message."""
        fields = dict(part.split(b"=", 1) for part in server_first.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", self._password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        bare = b"c=" + base64.b64encode(self._header + self._bound) + b",r=" + fields[b"r"]
        auth_message = b",".join((self._bare, server_first, bare))
        signature = hmac.digest(hashlib.sha256(client_key).digest(), auth_message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth_message, "sha256")
        return bare + b",p=" + base64.b64encode(proof)

    def is_server(self, server_final: bytes) -> bool:
        """Whether the server has shown that it knows the keys of the password."""
        return server_final == b"v=" + base64.b64encode(self._server_signature)
