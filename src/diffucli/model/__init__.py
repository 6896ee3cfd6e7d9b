"""Checkpoints: finding, pulling, checking and loading them, and the networks and tokenizers that they become."""
