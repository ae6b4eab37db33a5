"""Content-based retrieval of MR slices: the library beneath the Orthanc plugin. Importing it needs nothing installed."""

__version__ = "0.1.0"
