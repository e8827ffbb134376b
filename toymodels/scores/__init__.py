"""Scores of a dictionary against the truth, each a function of sufficient statistics."""

from toymodels.scores.report import Report, score

__all__ = ["Report", "score"]
