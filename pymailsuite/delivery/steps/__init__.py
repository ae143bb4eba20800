"""The built-in delivery steps, a module each."""
