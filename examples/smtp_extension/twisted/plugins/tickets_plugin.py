"""The declarations by which the extension and its policy are found."""

from tickets import extension

from pymailsuite.policy.plugin import PolicyPlugin

tickets = PolicyPlugin("tickets", "tickets.make_policy")

__all__ = ["extension", "tickets"]
