"""Bringing dead latents back: an auxiliary loss (AuxK), or resampling.

A latent is dead when it has been silent for a number of *samples*, whatever the batch
size. The counter is a variant's `memory`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PyTree

from synthetic.directions import random, unit_rows
from synthetic.validation import require_range
from toymodels.sae.base import Dictionary, X, Z
from toymodels.sparse_coding.select import keep_k_positive
from toymodels.training.loop import State

Quiet = Int[Array, " latent"]


def all_alive(n_latents: int) -> Quiet:
    """The counter before the first batch."""
    return jnp.zeros(n_latents, jnp.int32)


def count_quiet(quiet: Quiet, z: Float[Array, "batch latent"]) -> Quiet:
    """Samples since each latent was last on, after one more batch."""
    return jnp.where(jnp.any(z != 0, axis=0), 0, quiet + z.shape[0])


def auxk(
    residual: X,
    z_pre: Z,
    W_dec: Float[Array, "latent d_model"],
    dead: Bool[Array, " latent"],
    k: ArrayLike,
    keep: Callable[[Z, ArrayLike], Z] = keep_k_positive,
) -> Float[Array, ""]:
    """The auxiliary loss of Gao et al. 2024 (arXiv 2406.04093, A.2).

    ||r - e||^2 with r the residual, held constant so that nothing flows into the living
    latents, and e = z_dead W_dec from each sample's k largest positive pre-activations
    among dead latents, or those that `keep` selects. 0 when no latent is dead.
    """
    return _dead_error(keep, lax.stop_gradient(residual), z_pre, W_dec, dead, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _dead_error(keep, target, z_pre, W_dec, dead, k) -> Float[Array, ""]:
    """`auxk` with its own gradient: differentiating through `lax.cond` would write arrays
    as large as the codes at every step, dead latents or not.
    """
    return _dead_error_forward(keep, target, z_pre, W_dec, dead, k)[0]


def _dead_error_forward(keep, target, z_pre, W_dec, dead, k):
    def error() -> tuple[Array, Array]:
        left = keep(jnp.where(dead, z_pre, 0), k) @ W_dec - target
        return jnp.mean(jnp.sum(jnp.square(left), axis=-1)), left

    def nothing() -> tuple[Array, Array]:
        return jax.tree.map(jnp.zeros_like, jax.eval_shape(error))

    value, left = lax.cond(dead.any(), error, nothing)
    return value, (left, z_pre, W_dec, dead, k)


def _dead_error_backward(keep, kept, g):
    left, z_pre, W_dec, dead, k = kept

    def gradients() -> tuple[Array, Array]:
        z_dead = keep(jnp.where(dead, z_pre, 0), k)
        g_left = left * (2 * g * left.shape[-1] / left.size)
        g_W = jnp.einsum("...l,...d->ld", z_dead, g_left)
        g_z = jnp.where(z_dead != 0, g_left @ W_dec.T, 0)
        return g_z.astype(z_pre.dtype), g_W.astype(W_dec.dtype)

    def nothing() -> tuple[Array, Array]:
        return jnp.zeros_like(z_pre), jnp.zeros_like(W_dec)

    return None, *lax.cond(dead.any(), gradients, nothing), None, None


_dead_error.defvjp(_dead_error_forward, _dead_error_backward)


class Revival(Protocol):
    """When and how dead latents come back. The fields of a rule are leaves.

    Attributes:
        dead_after: samples of silence after which a latent counts as dead.
    """

    @property
    def dead_after(self) -> ArrayLike: ...

    def is_due(self, step: Int[Array, ""]) -> Bool[Array, ""]: ...

    def restart(
        self,
        key: Key[Array, ""],
        state: State,
        x: Float[Array, "batch d_model"],
        x_hat: Float[Array, "batch d_model"],
        dead: Bool[Array, " latent"],
    ) -> State: ...


@struct.dataclass
class Resample:
    """Dead latents start anew from badly reconstructed samples; see `resample`.

    Attributes:
        every: steps between two rounds.
        until: the step after which there are none, so that the rest of the run settles. A
            run of fewer steps than this may end with latents that have just begun.
        dead_after: samples of silence after which a latent counts as dead.
        scale: length of a new encoder column over the mean of the living ones.
    """

    every: ArrayLike = 250
    until: ArrayLike = 3_000
    dead_after: ArrayLike = 20_000
    scale: ArrayLike = 0.2

    def __post_init__(self):
        require_range("every", self.every, low=1, fix="it counts steps")
        require_range("scale", self.scale, low=0.0)

    def is_due(self, step):
        """Whether a round follows the update that led to `step`."""
        return _is_round(step, self.every, self.until)

    def restart(self, key, state, x, x_hat, dead):
        """The state with every dead latent replaced."""
        return resample(key, state, x, x_hat, dead, self.scale)


@struct.dataclass
class RandomRestart:
    """Dead latents start anew in random directions ("simple resampling" of ARENA 1.5.4).

    The decoder row becomes a random unit vector, the encoder column the same direction at
    length `scale`, the bias 0. The optimizer's moments of these entries become 0, which
    the source leaves as they are; a latent that was silent has next to none.

    Attributes:
        every: steps between two rounds.
        until: the step after which there are none; 0 for none at all.
        dead_after: samples of silence after which a latent counts as dead.
        scale: length of a new encoder column.
    """

    every: ArrayLike = 2_500
    until: ArrayLike = 17_500
    dead_after: ArrayLike = 500 * 1024
    scale: ArrayLike = 0.5

    def __post_init__(self):
        require_range("every", self.every, low=1, fix="it counts steps")
        require_range("scale", self.scale, low=0.0)

    def is_due(self, step):
        """Whether a round follows the update that led to `step`."""
        return _is_round(step, self.every, self.until)

    def restart(self, key, state, x, x_hat, dead):
        """The state with every dead latent replaced; the data play no part."""
        direction = random(key, *state.params.W_dec.shape)
        return _replaced(state, dead, direction, self.scale)


def when_due(
    key: Key[Array, ""],
    dictionary: Dictionary,
    state: State,
    x: Float[Array, "batch d_model"],
    revive: Revival | None,
) -> State:
    """The state after a round of `revive` where one is due, else as it is.

    For variants whose memory is the counter of `count_quiet`.
    """
    if revive is None:
        return state
    dead = state.memory > revive.dead_after

    def revived(state: State) -> State:
        x_hat = dictionary.decode(state.params, dictionary.encode(state.params, x))
        return revive.restart(key, state, x, x_hat, dead)

    return lax.cond(revive.is_due(state.step), revived, lambda state: state, state)


def _is_round(step: Int[Array, ""], every: ArrayLike, until: ArrayLike) -> Bool[Array, ""]:
    return (step % every == 0) & (step <= until)


def resample(
    key: Key[Array, ""],
    state: State,
    x: Float[Array, "batch d_model"],
    x_hat: Float[Array, "batch d_model"],
    dead: Bool[Array, " latent"],
    scale: ArrayLike,
) -> State:
    """Starts dead latents anew from samples that are reconstructed badly.

    After Bricken et al. 2023. Each dead latent takes a sample of its own, drawn without
    replacement with probability proportional to its squared loss. Its decoder row becomes
    the unit residual of that sample, its encoder column the same direction at `scale` times
    the mean norm of the living columns, its bias 0; the optimizer's moments of these
    entries become 0. All other entries stay as they are, bit for bit.

    Where more latents are dead than the batch has samples, every sample gives one, and the
    rest stay dead until a later round: two that began alike would be alike for ever. (Of
    samples that are equal each counts for itself.)

    Two differences from the source, on purpose: the samples come from the current batch,
    and the direction is the residual instead of the sample, so that it points at what is
    missing.
    """
    residual = x - x_hat
    loss = jnp.sum(jnp.square(residual), axis=-1)
    weight = 2 * jnp.log(jnp.maximum(loss, jnp.finfo(loss.dtype).tiny))
    # The order of weight + Gumbel noise is that of draws without replacement.
    order = jnp.argsort(weight + jax.random.gumbel(key, weight.shape), descending=True)
    place = jnp.cumsum(dead) - 1
    alive = ~dead
    dead = dead & (place < len(order))
    direction = unit_rows(residual[order[jnp.clip(place, 0, len(order) - 1)]])
    norms = jnp.linalg.norm(state.params.W_enc, axis=0)
    counted = alive | ~alive.any()  # with none alive, all columns set the scale
    mean_norm = jnp.sum(norms * counted) / counted.sum()
    return _replaced(state, dead, direction, scale * mean_norm)


def _replaced(
    state: State,
    dead: Bool[Array, " latent"],
    direction: Float[Array, "latent d_model"],
    length: ArrayLike,
) -> State:
    """Dead latents along new directions, with encoder columns of a length and no memory."""
    params = state.params
    columns = (length * direction.T).astype(params.W_enc.dtype)
    rows = direction.astype(params.W_dec.dtype)
    replaced = params._replace(
        W_enc=jnp.where(dead, columns, params.W_enc),
        b_enc=jnp.where(dead, 0, params.b_enc),
        W_dec=jnp.where(dead[:, None], rows, params.W_dec),
    )
    return replace(
        state,
        params=replaced,
        opt=_without_moments(state.opt, params, dead),
        memory=jnp.where(dead, 0, state.memory),
    )


def on_moments(opt: PyTree, params: PyTree, change: Callable[[PyTree], PyTree]) -> PyTree:
    """The optimizer's state with `change` made to all in it that is like `params`."""
    like_params = jax.tree.structure(params)

    def is_moment(node) -> bool:
        return jax.tree.structure(node) == like_params

    return jax.tree.map(
        lambda node: change(node) if is_moment(node) else node, opt, is_leaf=is_moment
    )


def _without_moments(opt: PyTree, params: PyTree, dead: Bool[Array, " latent"]) -> PyTree:
    """The optimizer state with 0 in every moment of a dead latent."""

    def clear(node):
        return node._replace(
            W_enc=jnp.where(dead, 0, node.W_enc),
            b_enc=jnp.where(dead, 0, node.b_enc),
            W_dec=jnp.where(dead[:, None], 0, node.W_dec),
        )

    return on_moments(opt, params, clear)
