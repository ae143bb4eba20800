"""How far the scan of a message goes; past a limit the rest is one opaque part."""

from attrs import frozen


@frozen
class ScanLimits:
    """The bounds of a scan. The octets past them are still stored and sent whole, only not described any further."""

    depth: int = 100
    """Levels of multipart and message/rfc822 inside one another."""
    parts: int = 10_000
    """Parts of a message, at all levels together."""
    header_octets: int = 128 * 1024
    """Octets of one header field that are described. A longer list of addresses or text ends in a mark."""
    total_header_octets: int = 512 * 1024
    """Octets of all header blocks of a message that are parsed; of one block ``header_octets`` count."""
    parameters: int = 100
    """Parameters of one field."""
    address_tokens: int = 10_000
    """Tokens of addresses in unusual forms that are parsed in one message; lists with more are cut, and end in a
    mark."""
    described_octets: int = 64 * 1024
    """Octets that the descriptions of a message may take however short it is ..."""
    described_ratio: int = 4
    """... and further octets for each octet of the message. Where they would take more the rest is one opaque part."""
