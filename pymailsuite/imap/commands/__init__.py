"""What the commands of RFC 3501 do: a module for each family, one function for each command, and their declarations."""
