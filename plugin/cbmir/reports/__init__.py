"""Reports of studies: where they are, and their first lines."""
