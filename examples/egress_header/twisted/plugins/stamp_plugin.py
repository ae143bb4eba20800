"""The declaration by which the transform is found."""

from pymailsuite.relay.egress import EgressPlugin

stamp = EgressPlugin("stamp", "stamp.make_transform")

__all__ = ["stamp"]
