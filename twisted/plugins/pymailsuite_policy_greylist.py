"""The policies ``greylist`` and ``correspondents``."""

from pymailsuite.policy.plugin import PolicyPlugin

greylist = PolicyPlugin("greylist", "pymailsuite.policy.greylist.policy.make_policy")
correspondents = PolicyPlugin("correspondents", "pymailsuite.policy.greylist.correspondents.make_policy")
