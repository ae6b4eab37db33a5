"""The folder that holds a model: its files and its card."""
