"""Real clients against the real server: what a user's program sees, not what our own cores think."""
