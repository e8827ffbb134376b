"""Worlds with an answer key: samples together with the features that made them."""

from synthetic.base import Batch, GroundTruth, Pairs
from synthetic.sparse import SparseFeatures
from synthetic.streams import batches

__all__ = ["Batch", "GroundTruth", "Pairs", "SparseFeatures", "batches"]
