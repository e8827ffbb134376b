"""Figures of `experiments.synthsaebench`."""
