"""The policy ``reputation``."""

from pymailsuite.policy.plugin import PolicyPlugin

reputation = PolicyPlugin("reputation", "pymailsuite.policy.reputation.policy.make_policy")
