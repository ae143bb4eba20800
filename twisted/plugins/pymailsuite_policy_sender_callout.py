"""The declaration by which the question to senders' hosts is found."""

from pymailsuite.policy.plugin import PolicyPlugin

sender_callout = PolicyPlugin("sender_callout", "pymailsuite.policy.sender_callout.make_policy")
