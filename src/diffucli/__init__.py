"""diffucli: write and edit code with a masked diffusion language model on your own machine."""
