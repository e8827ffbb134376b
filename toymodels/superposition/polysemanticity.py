"""Which features a neuron serves: monosemantic neurons and features per neuron.

Functions of the weights between features and neurons, [feature, neuron]; only their sizes
count, so signs are dropped.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Weights = Float[Array, "*model feature neuron"]


def largest_share(W: Weights) -> Float[Array, "*model neuron"]:
    """max_i |W_ik| / sum_i |W_ik| of every neuron k; 0 for a neuron without weights.

    1 for a neuron of one feature, 1/2 for one that two features share equally.
    """
    size = jnp.abs(W)
    total = jnp.sum(size, axis=-2)
    return jnp.max(size, axis=-2) / jnp.where(total > 0, total, 1)


def monosemantic(W: Weights, threshold: float = 0.9) -> Bool[Array, "*model neuron"]:
    """Whether one feature has more than `threshold` of a neuron's absolute weights."""
    return largest_share(W) > threshold


def features_per_neuron(W: Weights, threshold: float = 0.1) -> Int[Array, "*model neuron"]:
    """How many features weigh more than `threshold` of the neuron's largest weight.

    0 for a neuron without weights.
    """
    size = jnp.abs(W)
    return jnp.sum(size > threshold * jnp.max(size, axis=-2, keepdims=True), axis=-2)


def neurons_per_feature(W: Weights, threshold: float = 0.1) -> Int[Array, "*model feature"]:
    """How many neurons a feature uses: those above `threshold` of its largest weight."""
    return features_per_neuron(jnp.swapaxes(W, -1, -2), threshold)
