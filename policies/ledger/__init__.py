"""The ledger: shared books of what was spent and is held, and the leases by which a worker admits calls in memory."""
