"""Greylisting: unknown clients are asked to come back later. Comparison and evaluation are pure; the policy asks the
store."""
