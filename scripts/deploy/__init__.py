"""Putting the plugin into place: what the shell scripts beside this folder share and call."""
