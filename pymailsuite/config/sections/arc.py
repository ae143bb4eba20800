"""Settings of ARC."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Duration, Size
from pymailsuite.config.sections.policy import PolicySection


class ArcSettings(PolicySection):
    """``[arc]``: chains of seals on mail that was forwarded on its way to us (RFC 8617). The results stand in
    Authentication-Results; DMARC uses them only for sealers that ``dmarc.trusted_sealers`` names."""

    max_instances: int = Field(default=50, ge=1, le=50)
    """Longest chain that is followed; a longer one has failed (RFC 8617 §4.2.1)."""

    header_max: Size = Field(default=256 * 1024, ge=1024)
    """A message with a header larger than this is not verified: the chain has failed."""

    timeout: Duration = Field(default=5.0, gt=0)
    """How long to wait for a key; all keys of a chain are asked for at the same time."""

    allow_partial_body: bool = False
    """Whether the newest message signature may leave the end of the body out (``l=``), to which anybody may have added
    since. Without this such a chain has failed as soon as there is a rest."""

    allow_uncovered_author: bool = False
    """Whether it may leave From out: then anybody may have written another author there. Without this such a chain has
    failed (RFC 6376 §5.4)."""

    min_rsa_bits: int = Field(default=1024, ge=512)
    """A seal with a smaller RSA key has failed (RFC 8301 §3.2)."""

    seal: bool = False
    """Whether mail from outside that an alias sends on to another host is sealed with our results for it (RFC 8617
    §5.1), if there is a key: those of ``[dkim_sign]`` seal too. Few receivers trust such seals, and ARC is to become
    historic; switch it on for receivers that ask for it."""

    seal_domain: str = ""
    """The domain whose key seals. Empty: that of the alias, or one above it."""

    max_rsa_bits: int = Field(default=8192, ge=1024)
    """The same for a larger one, which takes long to check."""
