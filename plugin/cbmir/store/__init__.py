"""Beneath the catalogue: its database, its SQL, and which model's vectors answer."""
