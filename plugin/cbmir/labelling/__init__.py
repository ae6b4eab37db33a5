"""Labels on their way into Orthanc: read from what was posted, merged with what is there, written as the caller."""
