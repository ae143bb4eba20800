"""``[message]``: how far messages are looked into."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Section, Size
from pymailsuite.message.limits import ScanLimits


class MessageSettings(Section):
    """Bounds of the structure scan. A message past them is stored and sent complete all the same; what lies past the
    limit is described as one opaque part."""

    depth: int = Field(default=100, ge=1, le=300)
    """Levels of multipart and message/rfc822 inside one another."""

    parts: int = Field(default=10_000, ge=2)
    """Parts of one message, at all levels together."""

    header_octets: Size = Field(default=128 * 1024, ge=1024)
    """Octets of one header field that are described. A longer text ends in ``...``, a longer list of addresses in an
    empty group of that name."""

    total_header_octets: Size = Field(default=512 * 1024, ge=1024)
    """Octets of all header blocks of one message that are looked into; of one block ``header_octets`` count."""

    parameters: int = Field(default=100, ge=1)
    """Parameters of one MIME field."""

    address_tokens: int = Field(default=10_000, ge=100)
    """Tokens (words, separators) of addresses in unusual forms that are looked at in one message. A list with more is
    cut, and ends in an empty group named ``...``."""

    described_octets: Size = Field(default=64 * 1024, ge=4096)
    """Octets that ``ENVELOPE``, ``BODY`` and ``BODYSTRUCTURE`` of a message may take however short it is."""

    described_ratio: int = Field(default=4, ge=1)
    """Further octets that they may take for each octet of the message. Parts past this are one opaque part."""

    def scan_limits(self) -> ScanLimits:
        """These limits, as ``message.scan`` takes them."""
        return ScanLimits(
            depth=self.depth,
            parts=self.parts,
            header_octets=self.header_octets,
            total_header_octets=self.total_header_octets,
            parameters=self.parameters,
            address_tokens=self.address_tokens,
            described_octets=self.described_octets,
            described_ratio=self.described_ratio,
        )
