"""Our transport."""

from pymailsuite.relay.transports import TransportPlugin

smtp = TransportPlugin("smtp", "pymailsuite.relay.relay.make_transport")

__all__ = ["smtp"]
