"""The policy ``dmarc``."""

from pymailsuite.policy.plugin import PolicyPlugin

dmarc = PolicyPlugin("dmarc", "pymailsuite.policy.dmarc.policy.make_policy")
