"""The tiny demonstration model and its training data."""
