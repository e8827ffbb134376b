"""Figures of `experiments.othello`."""
