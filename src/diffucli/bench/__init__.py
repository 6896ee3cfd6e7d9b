"""Benchmarks: speed, quality, filling in files of different sizes, startup, and the cost of a step."""
