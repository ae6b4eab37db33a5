"""Content-based retrieval of MR slices: the library beneath the Orthanc plugin. To import it, nothing is needed."""

__version__ = "0.1.0"
