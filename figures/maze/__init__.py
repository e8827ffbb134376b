"""Figures of `experiments.maze`."""
