"""Scores of a dictionary against the truth, each a function of sufficient statistics."""

from toymodels.scores.report import Report
from toymodels.scores.scoring import score
from toymodels.scores.table import Table, score_many

__all__ = ["Report", "Table", "score", "score_many"]
