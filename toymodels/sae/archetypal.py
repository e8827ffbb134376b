"""Relaxed archetypal SAE with a TopK encoder (Fel et al. 2025, arXiv 2502.12892)."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.directions import unit_rows
from synthetic.shapes import of_fields
from synthetic.validation import require_no_fraction, require_range, require_width
from toymodels.sae import base, revival
from toymodels.sae.april import lengths
from toymodels.sparse_coding.select import keep_k
from toymodels.training.loop import Outcome


class ArchetypalParams(NamedTuple):
    """An encoder, and what the decoder's rows are made of.

    Attributes:
        W_enc: [d_model, latent].
        b_enc: [latent].
        W_dec: [latent, d_model]; not trained: `after` sets it to e^scale (A C + L).
        b_dec: [d_model].
        mixture: A, [latent, point], non-negative, rows sum to 1.
        deviation: L, [latent, d_model], rows no longer than `slack`.
        scale: scalar, the logarithm of a factor of all rows.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    mixture: Array
    deviation: Array
    scale: Array

    __repr__ = of_fields


@struct.dataclass
class Archetypal:
    r"""Minimises ||x - x_hat||^2 + aux * L_aux with rows near the convex hull of the data.

    z keeps the k largest entries of relu((x - b_dec) W_enc + b_enc), x_hat =
    z W_dec + b_dec, and W_dec = e^scale (A C + L): each row is a mixture, with shares A, of
    given points C of the data (centres of k-means, as a rule), plus a deviation L of
    bounded length. With slack 0 no row leaves the hull of e^scale C. Rows that must be near
    data differ less from run to run. Every row starts at a point of its own as long as
    there are enough, encoders along the rows; A and L are projected after each update.
    L_aux is `revival.auxk` over the dead latents with d_model / 2 of them a sample.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        points: C, [point, d_model]; a leaf, held constant.
        k: how many latents stay on, whole, 1 <= k <= n_latents; a leaf.
        slack: greatest length of a row of L, in units of x; a leaf.
        aux: weight of the auxiliary loss; a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    points: Array
    k: ArrayLike = 4
    slack: ArrayLike = 1.0
    aux: ArrayLike = 1 / 32
    dead_after: ArrayLike = 20_000

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        fix = "a sample cannot have more latents on than there are"
        require_range("k", self.k, 1, self.n_latents, fix)
        fix = "BatchTopK takes a mean over the batch, which may be a fraction"
        require_no_fraction("k", self.k, fix)
        require_range("slack", self.slack, low=0.0)
        require_range("aux", self.aux, low=0.0)

    def init(self, key, d_model):
        n_points, width = self.points.shape
        require_width("the width of points", width, d_model, "they are points of the data")
        order = jax.random.permutation(key, n_points)
        mixture = jax.nn.one_hot(
            order[jnp.arange(self.n_latents) % n_points], n_points, dtype=jnp.float32
        )
        W_dec = mixture @ self.points
        return ArchetypalParams(
            unit_rows(W_dec).T,
            jnp.zeros(self.n_latents, jnp.float32),
            W_dec,
            jnp.zeros(d_model, jnp.float32),
            mixture,
            jnp.zeros_like(W_dec),
            jnp.zeros((), jnp.float32),
        )

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        return keep_k(jax.nn.relu(base.pre_activation(params, x)), self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        params = params._replace(W_dec=self._rows(params))
        z_pre = base.pre_activation(params, x)
        z = keep_k(jax.nn.relu(z_pre), self.k)
        x_hat = self.decode(params, z)
        error = base.squared_error(x, x_hat)
        dead = memory > self.dead_after
        aux = revival.auxk(x - x_hat, z_pre, params.W_dec, dead, x.shape[-1] // 2)
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        return error + self.aux * aux, Outcome(metrics, revival.count_quiet(memory, z))

    def after(self, key, state, x):
        params = state.params._replace(
            mixture=on_simplex(state.params.mixture),
            deviation=no_longer(state.params.deviation, self.slack),
        )
        return replace(state, params=params._replace(W_dec=self._rows(params)))

    def _rows(self, params: ArchetypalParams) -> Float[Array, "latent d_model"]:
        near = params.mixture @ self.points + params.deviation
        return jnp.exp(params.scale) * near


def on_simplex(mixture: Float[Array, "row point"]) -> Float[Array, "row point"]:
    """Negative entries set to 0 and rows scaled to sum 1; a row of none gets equal ones."""
    positive = jax.nn.relu(mixture)
    total = jnp.sum(positive, axis=-1, keepdims=True)
    share = positive / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, share, 1 / mixture.shape[-1])


def no_longer(
    rows: Float[Array, "row d_model"], longest: ArrayLike
) -> Float[Array, "row d_model"]:
    """Rows longer than `longest` shortened to it."""
    length = lengths(rows)[:, None]
    return rows * jnp.minimum(1, longest / jnp.where(length > 0, length, 1))
