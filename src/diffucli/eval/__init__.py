"""How good a checkpoint is at a policy: problems, samples, and the share that passes."""
