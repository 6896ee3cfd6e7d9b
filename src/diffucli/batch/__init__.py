"""Batches of requests from a file: rows, the worker that writes them, and the file that they are answered in."""
