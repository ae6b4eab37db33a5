"""Where labelled pictures come from: tables of files, and a running Orthanc."""
