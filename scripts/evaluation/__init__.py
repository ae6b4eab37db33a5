"""An evaluation: every query ranked, how good the rankings are, and what is told of it."""
