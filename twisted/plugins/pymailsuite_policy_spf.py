"""The policy ``spf``."""

from pymailsuite.policy.plugin import PolicyPlugin

spf = PolicyPlugin("spf", "pymailsuite.policy.spf.policy.make_policy")
