"""The policy ``require_signature``."""

from pymailsuite.policy.plugin import PolicyPlugin

require_signature = PolicyPlugin("require_signature", "pymailsuite.policy.require_signature.make_policy")
