"""Operator commands, a module per noun."""

from pymailsuite.cli.main import main

__all__ = ["main"]
