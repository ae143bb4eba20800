"""What the world should find about us, and what it does find: records of a domain, names of the host, lists."""
