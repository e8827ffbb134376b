"""Sparse autoencoders: one variant, one file, one paper."""

from toymodels.sae.base import Dictionary, Params
from toymodels.sae.frozen import FrozenDecoder, FrozenEncoder, SoftFrozenDecoder
from toymodels.sae.relu import ReLU
from toymodels.sae.topk import TopK
from toymodels.sae.training import fit_dictionary

__all__ = [
    "Dictionary",
    "FrozenDecoder",
    "FrozenEncoder",
    "Params",
    "ReLU",
    "SoftFrozenDecoder",
    "TopK",
    "fit_dictionary",
]
