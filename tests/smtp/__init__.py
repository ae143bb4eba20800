"""Tests of the SMTP server, and of the client core."""
