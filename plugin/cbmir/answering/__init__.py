"""Beneath the search: what a query asks, what it is answered from, and its answer as JSON."""
