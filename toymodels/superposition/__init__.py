"""Toy models of superposition: the models, their geometry, and ensembles of them."""

from toymodels.superposition.bottleneck import Bottleneck, Params
from toymodels.superposition.ensembles import losses, train
from toymodels.superposition.geometry import (
    dimensionality,
    dimensions_per_feature,
    feature_norms,
    gram,
)

__all__ = [
    "Bottleneck",
    "Params",
    "dimensionality",
    "dimensions_per_feature",
    "feature_norms",
    "gram",
    "losses",
    "train",
]
