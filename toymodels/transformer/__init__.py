"""A transformer that returns its residual stream, its training, and probes of it."""

from toymodels.transformer.model import (
    MLP,
    Attention,
    Block,
    Edit,
    Heads,
    Norm,
    Output,
    Stream,
    Transformer,
    site,
)

__all__ = [
    "MLP",
    "Attention",
    "Block",
    "Edit",
    "Heads",
    "Norm",
    "Output",
    "Stream",
    "Transformer",
    "site",
]
