"""How long a test waits for what should come."""

PATIENCE = 20.0  # seconds; only what never comes is waited for so long, on the busiest machine
