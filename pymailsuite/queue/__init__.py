"""Schedule, leases and retries of accepted messages that are still to be sent on."""
