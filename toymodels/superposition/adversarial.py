"""Attacks on a toy model that need no gradient (Elhage et al. 2022, adversarial examples).

Gradient attacks fail on sparse toy models: their outputs are zero almost always, and so is
the gradient. The best small push against output i is known, though: the pre-activation of
i moves fastest along row i of W W^T.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from synthetic.directions import unit_rows
from synthetic.validation import require_range
from toymodels.superposition.bottleneck import Bottleneck, Params
from toymodels.superposition.geometry import gram


def attack_directions(params: Params) -> Float[Array, "feature feature"]:
    """Row i: the unit push of the input that moves output i most, W W_i / ||W W_i||.

    A row of W that is zero has none, and its row here is zero.
    """
    return unit_rows(gram(params.W))


def adversarial_damage(
    model: Bottleneck,
    params: Params,
    features: Float[Array, "batch feature"],
    radius: ArrayLike,
) -> Float[Array, " batch"]:
    """How much the worst attack of an L2 norm of `radius` adds to each sample's loss.

    Every attack pushes the input along plus or minus one of `attack_directions`; the target
    remains the clean input. The loss is the paper's, sum_i I_i (f_i - f_hat_i)^2: the sum
    over features, n_features times that of `Bottleneck.loss`.

    A model without superposition, every output on a dimension of its own, loses at most
    radius^2 for features of importance 1, so damage / radius^2 counts how many times more
    vulnerable a model is.

    Args:
        model: a toy model.
        params: its parameters.
        features: clean samples.
        radius: L2 norm of the change to the input; at least 0.

    Returns:
        The increase of every sample's loss under its own worst attack.
    """
    require_range("radius", radius, low=0.0, fix="it is a norm")
    target, hidden = jnp.abs(features), model.hidden(params, features)
    pushes = jnp.asarray(radius, hidden.dtype) * model.hidden(
        params, attack_directions(params)
    )

    def loss(hidden: Array) -> Array:
        error = jnp.square(target - model.readout(params, hidden))
        return jnp.sum(model.importance * error, axis=-1)

    def worse(i: Array, worst: Array) -> Array:
        either = jnp.maximum(loss(hidden + pushes[i]), loss(hidden - pushes[i]))
        return jnp.maximum(worst, either)

    clean = loss(hidden)
    worst = jax.lax.fori_loop(0, len(pushes), worse, jnp.full_like(clean, -jnp.inf))
    return worst - clean
