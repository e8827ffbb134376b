"""The training loop, and what drives it: checkpoints, progress, ensembles, devices."""
