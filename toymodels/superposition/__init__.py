"""Toy models of superposition: the models, their geometry, and ensembles of them."""

from toymodels.superposition.adversarial import adversarial_damage, attack_directions
from toymodels.superposition.bottleneck import Bottleneck, Params, torch_scale
from toymodels.superposition.ensembles import losses, program, train
from toymodels.superposition.geometry import (
    dimensionality,
    dimensions_per_feature,
    feature_norms,
    feature_superposition,
    gram,
)
from toymodels.superposition.polytopes import (
    Polytope,
    components,
    find_polytopes,
    name_polytope,
)

__all__ = [
    "Bottleneck",
    "Params",
    "Polytope",
    "adversarial_damage",
    "attack_directions",
    "components",
    "dimensionality",
    "dimensions_per_feature",
    "feature_norms",
    "feature_superposition",
    "find_polytopes",
    "gram",
    "losses",
    "name_polytope",
    "program",
    "torch_scale",
    "train",
]
