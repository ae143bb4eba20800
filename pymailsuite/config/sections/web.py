"""``[web]``."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section, Size


class WebSettings(Section):
    """``[web]``: documents that programs fetch by HTTPS, once ``listeners.https`` says where: how to set up an account,
    and the MTA-STS policy."""

    connections: int = Field(default=500, ge=1)
    """Connections at once; further ones are closed."""

    connections_per_address: int = Field(default=50, ge=1)
    """Connections at once from one address, of IPv6 from one network (/64); loopback is not counted."""

    idle: Duration = Field(default=15.0, gt=0)
    """How long a connection may take for the TLS handshake and the first octet of a request, and from an answer to the
    next request."""

    request_time: Duration = Field(default=20.0, gt=0)
    """How long a request may take from its first octet to the end of its answer; octets that come now and then do not
    make it longer."""

    requests: int = Field(default=100, ge=1)
    """Requests that are answered on one connection; then it is closed."""

    request_size: Size = Field(default=16 * 1024, ge=1)
    """Octets of the body of a request; a longer one is not kept, and answered 413."""
