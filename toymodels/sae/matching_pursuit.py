"""Matching pursuit SAE (Costa et al. 2025, arXiv 2506.03093)."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike

from synthetic.directions import random
from synthetic.shapes import of_fields
from synthetic.validation import require_range, require_whole
from toymodels.sae import base
from toymodels.sparse_coding.matching_pursuit import matching_pursuit
from toymodels.training.loop import Outcome


class PursuitParams(NamedTuple):
    """The weights of a dictionary whose encoder is its decoder.

    Attributes:
        W_dec: [latent, d_model], rows of length 1.
        b_dec: [d_model]; subtracted before encoding, added after decoding.
    """

    W_dec: Array
    b_dec: Array

    __repr__ = of_fields


@struct.dataclass
class MatchingPursuit:
    r"""Minimises ||x - x_hat||^2 over what k greedy steps leave.

    From r = x - b_dec, each step takes the latent i with the largest r . w_i, adds
    max(r . w_i, 0) to z_i and subtracts as much of w_i from r; x_hat = z W_dec + b_dec. A
    latent may be taken twice, so that fewer than k can be on. The gradient goes through
    the chosen steps. The rows have length 1, without which a step is no projection: the
    loss scales them, so that no gradient goes along a row, and so does each update.

    There is no dead-latent rule in the paper: a row that is never chosen never moves.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: number of steps, 1 <= k <= n_latents; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: ArrayLike = 4

    def __post_init__(self):
        require_whole("k", self.k)
        require_range("n_latents", self.n_latents, low=1)
        fix = "a sample cannot have more latents on than there are"
        require_range("k", self.k, 1, self.n_latents, fix)

    def init(self, key, d_model):
        return init_unit_rows(key, self.n_latents, d_model)

    def memory(self, params):
        return ()

    def encode(self, params, x):
        base.require_data(x, params.W_dec.shape[-1])
        return matching_pursuit(x - params.b_dec, params.W_dec, self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        z = self.encode(params, x)
        error = base.squared_error(x, self.decode(params, z))
        return error, Outcome({"squared_error": error, "l0": base.mean_l0(z)})

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))


def init_unit_rows(key, n_latents: int, d_model: int) -> PursuitParams:
    """Random rows of length 1 and no bias."""
    return PursuitParams(random(key, n_latents, d_model), jnp.zeros(d_model, jnp.float32))
