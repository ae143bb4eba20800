"""``[message]``: how far messages are looked into."""

from __future__ import annotations

from pydantic import Field

from pymailsuite.config.base import Section, Size
from pymailsuite.message.limits import ScanLimits


class MessageSettings(Section):
    """Bounds of the structure scan. A message past them is stored and sent whole all the same; what lies past the
    limit is described as one opaque part."""

    depth: int = Field(default=100, ge=1, le=300)
    """Levels of multipart and message/rfc822 inside one another."""

    parts: int = Field(default=10_000, ge=2)
    """Parts of one message, at all levels together."""

    header_octets: Size = Field(default=128 * 1024, ge=1024)
    """Octets of one header block that are looked into."""

    total_header_octets: Size = Field(default=512 * 1024, ge=1024)
    """Octets of all header blocks of one message that are looked into."""

    parameters: int = Field(default=100, ge=1)
    """Parameters of one MIME field."""

    def scan_limits(self) -> ScanLimits:
        """These limits, as ``message.scan`` takes them."""
        return ScanLimits(
            depth=self.depth,
            parts=self.parts,
            header_octets=self.header_octets,
            total_header_octets=self.total_header_octets,
            parameters=self.parameters,
        )
