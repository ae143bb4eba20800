"""The differences between databases, as named abilities; no code outside this package depends on which one it is."""
