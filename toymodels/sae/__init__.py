"""Sparse autoencoders: one variant, one file, one paper."""

from toymodels.sae.abstopk import AbsTopK
from toymodels.sae.aligned import Aligned
from toymodels.sae.april import ReLUApril
from toymodels.sae.archetypal import Archetypal
from toymodels.sae.base import Dictionary, Params
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.batchtopk_crosscoder import BatchTopKCrosscoder
from toymodels.sae.controller import Controlled
from toymodels.sae.crosscoder import Crosscoder
from toymodels.sae.end_to_end import EndToEnd
from toymodels.sae.frozen import FrozenDecoder, FrozenEncoder, SoftFrozenDecoder
from toymodels.sae.gated import Gated
from toymodels.sae.ista_step import IstaStep
from toymodels.sae.jumprelu import JumpReLU
from toymodels.sae.many import fit_many
from toymodels.sae.matching_pursuit import MatchingPursuit
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.sae.orthogonal import OrtSAE
from toymodels.sae.orthogonal_matching_pursuit import OMP
from toymodels.sae.p_annealing import PAnnealing
from toymodels.sae.pruning import Pruned
from toymodels.sae.relu import ReLU
from toymodels.sae.sampled_prefixes import SampledMatryoshka
from toymodels.sae.scaling import Normalised
from toymodels.sae.temporal import TSAE
from toymodels.sae.tied import Tied
from toymodels.sae.topk import TopK
from toymodels.sae.training import fit_dictionary
from toymodels.sae.transcoder import SkipTranscoder, Transcoder

__all__ = [
    "OMP",
    "TSAE",
    "AbsTopK",
    "Aligned",
    "Archetypal",
    "BatchTopK",
    "BatchTopKCrosscoder",
    "Controlled",
    "Crosscoder",
    "Dictionary",
    "EndToEnd",
    "FrozenDecoder",
    "FrozenEncoder",
    "Gated",
    "IstaStep",
    "JumpReLU",
    "MatchingPursuit",
    "Matryoshka",
    "MatryoshkaReLU",
    "Normalised",
    "OrtSAE",
    "PAnnealing",
    "Params",
    "Pruned",
    "ReLU",
    "ReLUApril",
    "SampledMatryoshka",
    "SkipTranscoder",
    "SoftFrozenDecoder",
    "Tied",
    "TopK",
    "Transcoder",
    "fit_dictionary",
    "fit_many",
]
