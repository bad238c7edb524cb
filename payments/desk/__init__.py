"""What the staff do about a payment: each act is written into its history and into the log of who did it."""
