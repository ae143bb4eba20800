"""Checks of who the client is, by name and address, and of whom the mail is said to come from."""
