"""Catalogue and vectors in PostgreSQL with pgvector, for several nodes over one archive."""
