"""What differs between databases, as named abilities; nothing outside this package asks which one it is."""
