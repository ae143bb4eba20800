"""Tests of what the text protocols share."""
