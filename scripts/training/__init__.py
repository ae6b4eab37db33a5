"""A training: its recipe, its network's start, its batches and their random changes, its epochs."""
