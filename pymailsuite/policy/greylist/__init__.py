"""Asking strangers to come back later. What is compared and what is answered is pure; the policy asks the store."""
