"""Nothing lost, nothing doubled: the real server is killed and starved of disk while clients keep a ledger."""
