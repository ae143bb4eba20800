"""``[web]``."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Section, Size


class WebSettings(Section):
    """``[web]``: what programs fetch by HTTPS, once ``listeners.https`` says where: how to set up an account, and the
    MTA-STS policy."""

    connections: int = Field(default=500, ge=1)
    """Connections at once; whoever comes when there are so many is hung up on."""

    idle: Duration = 15.0
    """A connection on which nothing comes for so long is closed."""

    request_size: Size = Field(default=16 * 1024, ge=1)
    """Octets of the body of a request; a longer one is not kept, and answered 413."""
