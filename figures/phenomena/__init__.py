"""Figures of `experiments.phenomena`."""
