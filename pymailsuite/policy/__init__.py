"""Checks of host, sender and message, each a module or package of its own, and the chain that asks them."""
