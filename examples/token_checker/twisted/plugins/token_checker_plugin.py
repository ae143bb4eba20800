"""The declaration by which the checker of tokens is found."""

from token_checker import factory

__all__ = ["factory"]
