"""The declaration by which the policy is found."""

from pymailsuite.policy.plugin import PolicyPlugin

text_words = PolicyPlugin("text_words", "text_words.make_policy")

__all__ = ["text_words"]
