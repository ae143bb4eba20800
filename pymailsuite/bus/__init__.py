"""Change notices between the processes that work on one store."""
