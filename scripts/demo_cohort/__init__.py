"""The demo cohort: invented patients whose heads are computed, written as MR Image Storage objects."""
