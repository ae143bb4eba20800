"""The declaration by which the check of bounce tags is found."""

from pymailsuite.policy.plugin import PolicyPlugin

bounce_tags = PolicyPlugin("bounce_tags", "pymailsuite.policy.bounce_tags.make_policy")
