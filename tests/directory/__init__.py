"""Tests of pymailsuite.directory."""
