"""HTTP: the transports, one attempt, and what its response means."""
