"""Tests of pymailsuite.sasl."""
