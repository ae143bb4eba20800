"""The policy ``require-signature``."""

from pymailsuite.policy.plugin import PolicyPlugin

require_signature = PolicyPlugin("require-signature", "pymailsuite.policy.require_signature.make_policy")
