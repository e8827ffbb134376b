"""Sparse autoencoders: one variant, one file, one paper."""

from toymodels.sae.abstopk import AbsTopK
from toymodels.sae.april import ReLUApril
from toymodels.sae.archetypal import Archetypal
from toymodels.sae.around.aligned import Aligned
from toymodels.sae.around.controller import Controlled
from toymodels.sae.around.frozen import FrozenDecoder, FrozenEncoder, SoftFrozenDecoder
from toymodels.sae.around.ista_step import IstaStep
from toymodels.sae.around.orthogonal import OrtSAE
from toymodels.sae.around.p_annealing import PAnnealing
from toymodels.sae.around.pruning import Pruned
from toymodels.sae.around.scaling import Normalised
from toymodels.sae.base import Dictionary, Params
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.elsewhere.batchtopk_crosscoder import BatchTopKCrosscoder
from toymodels.sae.elsewhere.crosscoder import Crosscoder
from toymodels.sae.elsewhere.end_to_end import EndToEnd
from toymodels.sae.elsewhere.temporal import TSAE
from toymodels.sae.elsewhere.transcoder import SkipTranscoder, Transcoder
from toymodels.sae.fitted import Fitted, Study, load
from toymodels.sae.gated import Gated
from toymodels.sae.jumprelu import JumpReLU
from toymodels.sae.many import fit_many
from toymodels.sae.matching_pursuit import MatchingPursuit
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.sae.orthogonal_matching_pursuit import OMP
from toymodels.sae.relu import ReLU
from toymodels.sae.sampled_prefixes import SampledMatryoshka
from toymodels.sae.tied import Tied
from toymodels.sae.topk import TopK
from toymodels.sae.training import fit

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
    "Fitted",
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
    "Study",
    "Tied",
    "TopK",
    "Transcoder",
    "fit",
    "fit_many",
    "load",
]
