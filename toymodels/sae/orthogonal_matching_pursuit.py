"""Orthogonal matching pursuit SAE: non-negative least squares on what was chosen."""

from dataclasses import replace

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import ArrayLike

from synthetic.validation import require_range, require_whole
from toymodels.sae import base
from toymodels.sae.matching_pursuit import init_unit_rows
from toymodels.sparse_coding.omp import nonnegative_omp
from toymodels.training.loop import Outcome


@struct.dataclass
class OMP:
    r"""Minimises ||x - x_hat||^2 over codes on k greedily chosen latents.

    Each step takes the latent whose row correlates most with what is left of x - b_dec,
    then solves min_{z >= 0} ||x - b_dec - z W_dec||^2 on all taken so far (Pati et al.
    1993, in the non-negative form of `overcomplete`, Fel et al. 2025). Codes are constants
    to the gradient: at their optimum the loss does not change with them to first order,
    so that nothing is lost. Rows are kept at length 1.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: how many latents a sample takes, 1 <= k <= most; a leaf.
        most: the largest k that the compiled program serves; static.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: ArrayLike = 4
    most: int = struct.field(pytree_node=False, default=8)

    def __post_init__(self):
        require_whole("k", self.k)
        require_range("n_latents", self.n_latents, low=1)
        fix = "it is at most `most`, which sets shapes, and at most n_latents"
        require_range("k", self.k, 1, min(self.most, self.n_latents), fix)

    def init(self, key, d_model):
        return init_unit_rows(key, self.n_latents, d_model)

    def memory(self, params):
        return ()

    def encode(self, params, x):
        base.require_data(x, params.W_dec.shape[-1])
        count = jnp.broadcast_to(self.k, x.shape[:1])
        return nonnegative_omp(x - params.b_dec, params.W_dec, count, self.most)

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        z = lax.stop_gradient(self.encode(lax.stop_gradient(params), x))
        error = base.squared_error(x, self.decode(params, z))
        return error, Outcome({"squared_error": error, "l0": base.mean_l0(z)})

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))
