"""Queries by a whole series or study: its slices against those of other series and studies."""
