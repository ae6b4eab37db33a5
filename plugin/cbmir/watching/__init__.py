"""What the worker finds out about its own work in idle moments."""
