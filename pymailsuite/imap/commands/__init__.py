"""The commands of RFC 3501: a module for each family, one function for each command, and their declarations."""
