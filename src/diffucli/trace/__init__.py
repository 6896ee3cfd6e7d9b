"""Traces: the events of a run as lines of JSON, kept in files, shown again, measured and exported.

A trace holds the bytes of each token, so it needs no model, no tokenizer and no tensor.
"""
