"""Figures of `experiments.superposition`."""
