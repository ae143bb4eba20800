"""The declaration by which the policy is found."""

from pymailsuite.policy.plugin import PolicyPlugin

sender_rate = PolicyPlugin("sender_rate", "sender_rate.make_policy")

__all__ = ["sender_rate"]
