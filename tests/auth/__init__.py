"""Tests of pymailsuite.auth."""
