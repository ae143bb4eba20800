"""``[require_signature]``."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from pymailsuite.config.sections.policy import PolicySection

SignatureKind = Literal["smime", "pgp", "any"]


class RequireSignatureSettings(PolicySection):
    """``[require_signature]``: authors all of whose mail is to be signed by themselves, with S/MIME (RFC 8551) or
    OpenPGP (RFC 3156). Only the presence of a signature is checked; only a reader with the key of the author can verify
    it."""

    domains: dict[str, SignatureKind] = {}
    """Author domains, with those below them, and what their mail must have: ``{"bank.example" = "smime"}``; ``any`` is
    either."""

    @field_validator("domains")
    @classmethod
    def _in_lower_case(cls, domains: dict[str, SignatureKind]) -> dict[str, SignatureKind]:
        return {domain.lower().rstrip("."): kind for domain, kind in domains.items()}
