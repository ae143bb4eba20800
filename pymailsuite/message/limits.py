"""How far the scan of a message goes; past a limit the rest is one opaque part."""

from attrs import frozen


@frozen
class ScanLimits:
    """The bounds of a scan. What they cut off is still stored and sent whole, only not described any further."""

    depth: int = 100
    """Levels of multipart and message/rfc822 inside one another."""
    parts: int = 10_000
    """Parts of a message, at all levels together."""
    header_octets: int = 128 * 1024
    """Octets of one header block that are looked into; what follows them is header all the same."""
    total_header_octets: int = 512 * 1024
    """Octets of all header blocks of a message that are looked into."""
    parameters: int = 100
    """Parameters of one field."""
