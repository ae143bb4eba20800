"""The declaration by which the question to senders' hosts is found."""

from pymailsuite.policy.plugin import PolicyPlugin

call_forward = PolicyPlugin("call_forward", "pymailsuite.policy.call_forward.make_policy")
