"""ARC: chains of seals verified, and seals made. Source: RFC 8617.

The signatures are DKIM's; only what they cover and how they hang together is here.
"""

from pymailsuite.policy.arc.results import ArcResult, ChainStatus, SealedHop
from pymailsuite.policy.arc.seal import MessageSealer, found_results, seal_message
from pymailsuite.policy.arc.sets import ArcSet, ChainError, read_sets
from pymailsuite.policy.arc.verify import ChainVerifier, verify_arc

__all__ = [
    "ArcResult",
    "ArcSet",
    "ChainError",
    "ChainStatus",
    "ChainVerifier",
    "MessageSealer",
    "SealedHop",
    "found_results",
    "read_sets",
    "seal_message",
    "verify_arc",
]
