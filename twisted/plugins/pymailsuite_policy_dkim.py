"""The policies ``dkim``, ``dkim_sign`` and ``arc``."""

from pymailsuite.policy.plugin import PolicyPlugin

dkim = PolicyPlugin("dkim", "pymailsuite.policy.dkim.policy.make_policy")
dkim_sign = PolicyPlugin("dkim_sign", "pymailsuite.policy.dkim.sign_policy.make_policy")
arc = PolicyPlugin("arc", "pymailsuite.policy.arc.policy.make_policy")
