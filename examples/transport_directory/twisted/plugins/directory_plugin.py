"""The declaration by which the transport is found."""

from pymailsuite.relay.transports import TransportPlugin

directory = TransportPlugin("directory", "directory.make_transport")

__all__ = ["directory"]
