"""DNS records that this server should have, and checks of those that it has: records of a domain, names of the host,
lists."""
