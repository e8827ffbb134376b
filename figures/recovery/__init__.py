"""Figures of `experiments.recovery`."""
