"""The one pipeline: a request becomes a canvas, runs, is verified, and becomes a result."""
