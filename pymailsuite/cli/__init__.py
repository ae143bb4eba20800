"""Operator commands, a module per noun."""
