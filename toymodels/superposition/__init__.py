"""Toy models of superposition: the models, their geometry, and ensembles of them."""

from toymodels.superposition.adversarial import adversarial_damage, attack_directions
from toymodels.superposition.bottleneck import Bottleneck, Params, torch_scale
from toymodels.superposition.compressed import CompressedReLU, naive_loss
from toymodels.superposition.decoder import (
    DecoderParams,
    FeatureDecoder,
    crowded_embedding,
)
from toymodels.superposition.ensembles import losses, program, train
from toymodels.superposition.geometry import (
    dimensionality,
    dimensions_per_feature,
    feature_norms,
    feature_superposition,
    gram,
)
from toymodels.superposition.neurons import (
    AbsoluteValue,
    HiddenReLU,
    UntiedParams,
    absolute_value_baseline,
)
from toymodels.superposition.penalised import PenalisedHidden
from toymodels.superposition.polysemanticity import (
    features_per_neuron,
    largest_share,
    monosemantic,
    neurons_per_feature,
)
from toymodels.superposition.polytopes import (
    Polytope,
    components,
    find_polytopes,
    name_polytope,
)

__all__ = [
    "AbsoluteValue",
    "Bottleneck",
    "CompressedReLU",
    "DecoderParams",
    "FeatureDecoder",
    "HiddenReLU",
    "Params",
    "PenalisedHidden",
    "Polytope",
    "UntiedParams",
    "absolute_value_baseline",
    "adversarial_damage",
    "attack_directions",
    "components",
    "crowded_embedding",
    "dimensionality",
    "dimensions_per_feature",
    "feature_norms",
    "feature_superposition",
    "features_per_neuron",
    "find_polytopes",
    "gram",
    "largest_share",
    "losses",
    "monosemantic",
    "naive_loss",
    "name_polytope",
    "neurons_per_feature",
    "program",
    "torch_scale",
    "train",
]
