"""Training of diffusion language models."""
