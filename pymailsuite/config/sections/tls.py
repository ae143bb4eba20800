"""Settings of TLS on our listeners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pymailsuite.config.base import Duration, FilePath, Section


class TlsSettings(Section):
    """``[tls]``: the certificate and what may be negotiated, for every listener (STARTTLS, STLS, implicit TLS)."""

    certificate: FilePath | None = Field(default=None, examples=["/etc/pymailsuite/certificate.pem"])
    """PEM file: our certificate, followed by the intermediate ones. Without it a self-signed certificate is made in
    the data folder, which other mail servers accept and mail clients ask their user about."""

    private_key: FilePath | None = Field(default=None, examples=["/etc/pymailsuite/key.pem"])
    """PEM file with the private key; read before privileges are dropped. Without it: in the certificate's file."""

    minimum: Literal["1.2", "1.3"] = "1.2"
    """The lowest version of TLS. Older ones than 1.2 are not offered (RFC 8996)."""

    ciphers: str = (
        "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES256:ECDHE+AES128:RSA+AESGCM:RSA+AES:!aNULL:!DSS"
    )
    """An OpenSSL cipher list for TLS 1.2. The last ones are for other mail servers, whose only other choice is to send
    without TLS."""

    handshake_timeout: Duration = Field(default=30.0, gt=0)
    """How long a client may take for the whole handshake, at the start of the connection or after STARTTLS."""

    session_tickets: bool = True
    """Let a client that comes back skip half of the handshake (RFC 5077). A ticket is good for the service that gave it
    only. With TLS 1.3 and without tickets the library still sends data that looks like tickets, and accepts none of
    it."""

    mx_session_tickets: bool = False
    """The same on ``listeners.smtp``, if ``session_tickets`` allows it. Large senders have broken off handshakes with
    servers that give tickets, and other mail servers come too rarely to gain from them."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> TlsSettings:
        if self.private_key is not None and self.certificate is None:
            raise ValueError("private_key without certificate")
        return self
