"""Checks of client and sender."""
