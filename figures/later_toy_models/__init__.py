"""Figures of `experiments.later_toy_models`."""
