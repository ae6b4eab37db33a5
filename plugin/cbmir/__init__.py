"""Content-based retrieval of MR slices: the library beneath the Orthanc plugin. To import it, nothing is needed."""

import os

# ONNX Runtime's wheels for Linux report the machine and each session to Microsoft unless they find this when imported
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
