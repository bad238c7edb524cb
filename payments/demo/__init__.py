"""Made-up payments for the demo, in the simulator only: yesterday's history, and a load for today."""
