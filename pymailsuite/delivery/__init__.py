"""The door through which messages come in, and the last step into a mailbox."""
