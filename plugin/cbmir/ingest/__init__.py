"""Beneath the indexer: from Orthanc's events to vectors in catalogue and index."""
