"""Stores as earlier releases made them, which this release must be able to take over."""
