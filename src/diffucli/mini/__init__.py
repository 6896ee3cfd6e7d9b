"""The recipe of mini, the embedded model: its data, its training, its held-out problems and its model card."""
