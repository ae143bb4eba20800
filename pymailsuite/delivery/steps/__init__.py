"""The delivery steps of our own, a module each."""
