"""What becomes of a model that was trained on site: candidate, compared, promoted, taken back."""
