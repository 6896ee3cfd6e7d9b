"""How good a checkpoint and a policy are: problems, samples, and the share of them that pass."""
