"""Lists of hosts, domains and senders: those asked by DNS, and those kept here."""
