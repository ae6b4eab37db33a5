"""A search that a reader keeps: its documents, and how they get into Orthanc."""
