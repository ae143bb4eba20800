"""Checks of the client, by name and address, and of the sender."""
