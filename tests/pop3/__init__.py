"""Tests of pymailsuite.pop3."""
