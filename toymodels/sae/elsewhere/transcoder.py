"""Transcoders: dictionaries that read one place of a model and write another.

`Transcoder` after Dunefsky et al. 2024 (arXiv 2406.11944), `SkipTranscoder` after Paulo
et al. 2025 (arXiv 2501.18823).
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Key

from synthetic.directions import random
from synthetic.shapes import of_fields
from synthetic.validation import require_no_fraction, require_range
from toymodels.sae import base, revival
from toymodels.sparse_coding.select import keep_k
from toymodels.training.loop import Outcome


class SkipParams(NamedTuple):
    """The weights of a dictionary with a linear path beside it.

    Attributes:
        W_enc: [d_source, latent].
        b_enc: [latent].
        W_dec: [latent, d_target].
        b_dec: [d_target].
        W_skip: [d_source, d_target].
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    W_skip: Array

    __repr__ = of_fields


@struct.dataclass
class Transcoder:
    r"""Minimises ||y - y_hat||^2 + sparsity * sum_i z_i with unit decoder rows.

    z = relu(x W_enc + b_enc) of the source x, and y_hat = z W_dec + b_dec for the target y;
    training data are `Paired(source, target)`, while `encode` takes the source alone.
    Columns of W_enc and rows of W_dec live in different spaces and start along random
    directions that have nothing to do with each other. Nothing is subtracted from x before
    encoding: b_enc can do the same. As in `ReLU` the loss scales the rows of W_dec, so that
    no gradient goes along them, and so does each update. There is no dead-latent rule in
    the source.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty, in units of y; a leaf. (The source divides the
            squared error by a norm of y.)
        d_target: width of the target; None for that of the source. Static.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.1
    d_target: int | None = struct.field(pytree_node=False, default=None)

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)

    def init(self, key, d_model):
        return init_untied(key, self.n_latents, d_model, self.d_target or d_model)

    def memory(self, params):
        return ()

    def encode(self, params, x):
        return jax.nn.relu(read(params, x))

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        z = self.encode(params, x.source)
        error = base.squared_error(x.target, self.decode(params, z))
        penalty = jnp.mean(jnp.sum(z, axis=-1))
        metrics = {"squared_error": error, "l0": base.mean_l0(z)}
        return error + self.sparsity * penalty, Outcome(metrics)

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))


@struct.dataclass
class SkipTranscoder:
    r"""Minimises ||y - y_hat||^2 + aux * L_aux, where a linear map of x helps the latents.

    z keeps the k largest entries of relu(x W_enc + b_enc), and
    y_hat = z W_dec + b_dec + x W_skip (`predict`): what the target has linearly in common
    with the source needs no latents. `decode` is the part of the latents, z W_dec + b_dec.
    Since relu(u) = u + relu(-u), a function is only known up to its mirror image, with the
    linear part in W_skip: the smaller k, the more the image that is on less often pays.
    W_dec and W_skip start at 0, and rows keep the length they get. L_aux is
    `revival.auxk` over the dead latents, with d_target / 2 of them a sample; the source
    leaves it out.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: how many latents stay on, whole, 1 <= k <= n_latents; a leaf.
        aux: weight of the auxiliary loss; a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
        d_target: width of the target; None for that of the source. Static.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: ArrayLike = 4
    aux: ArrayLike = 1 / 32
    dead_after: ArrayLike = 20_000
    d_target: int | None = struct.field(pytree_node=False, default=None)

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        fix = "a sample cannot have more latents on than there are"
        require_range("k", self.k, 1, self.n_latents, fix)
        fix = "BatchTopK takes a mean over the batch, which may be a fraction"
        require_no_fraction("k", self.k, fix)
        require_range("aux", self.aux, low=0.0)

    def init(self, key, d_model):
        d_target = self.d_target or d_model
        start = init_untied(key, self.n_latents, d_model, d_target)
        start = start._replace(W_dec=jnp.zeros_like(start.W_dec))
        return SkipParams(*start, jnp.zeros((d_model, d_target), jnp.float32))

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        return keep_k(jax.nn.relu(read(params, x)), self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def predict(self, params, x):
        """y_hat of a source x: the part of the latents and the linear map."""
        return self.decode(params, self.encode(params, x)) + x @ params.W_skip

    def loss(self, params, x, memory, step):
        z_pre = read(params, x.source)
        z = keep_k(jax.nn.relu(z_pre), self.k)
        residual = x.target - self.decode(params, z) - x.source @ params.W_skip
        error = jnp.mean(jnp.sum(jnp.square(residual), axis=-1))
        dead = memory > self.dead_after
        k_aux = x.target.shape[-1] // 2
        aux = revival.auxk(residual, z_pre, params.W_dec, dead, k_aux)
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        return error + self.aux * aux, Outcome(metrics, revival.count_quiet(memory, z))

    def after(self, key, state, x):
        return state


def init_untied(
    key: Key[Array, ""], n_latents: int, d_source: int, d_target: int
) -> base.Params:
    """Random unit columns to read by, other random unit rows to write by, zero biases."""
    key_enc, key_dec = jax.random.split(key)
    W_enc = random(key_enc, n_latents, d_source).T
    W_dec = random(key_dec, n_latents, d_target)
    return base.Params(
        W_enc, jnp.zeros(n_latents, jnp.float32), W_dec, jnp.zeros(d_target, jnp.float32)
    )


def read(params: Any, x: base.X) -> base.Z:
    """x W_enc + b_enc.

    Raises:
        ValueError: `x` has another width, is empty, or (outside jit) is not finite.
    """
    base.require_data(x, params.W_enc.shape[-2])
    return x @ params.W_enc + params.b_enc
