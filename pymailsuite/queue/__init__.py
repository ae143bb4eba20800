"""Schedule, leases and retries of what was accepted and still has somewhere to go."""
