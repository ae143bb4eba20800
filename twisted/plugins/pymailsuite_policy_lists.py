"""The policies ``dnsbl`` and ``lists``."""

from pymailsuite.policy.plugin import PolicyPlugin

dnsbl = PolicyPlugin("dnsbl", "pymailsuite.policy.lists.dns_policy.make_policy")
lists = PolicyPlugin("lists", "pymailsuite.policy.lists.local_policy.make_policy")
