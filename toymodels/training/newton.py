"""Damped Newton descent for losses of a few parameters: many starts at once, to a point.

Every step solves (H + damping * scale * I) move = -gradient by Cholesky, with scale the
mean size of the diagonal of H. A step that does not lower the loss, or a matrix that is not
positive definite, is refused and the damping grows; otherwise it shrinks. Nothing is random
and no step climbs, so a start ends in the minimum of its own basin.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-12, 1e12
_SHRINK, _GROW = 0.2, 5.0
_TINY = 1e-30


class Minimum(NamedTuple):
    """Attributes:
    params: where the loss is least, like the start.
    loss: the least value.
    gradient: the largest entry of the gradient there, without its sign.
    n_steps: steps that were tried.
    """

    params: PyTree
    loss: Float[Array, ""]
    gradient: Float[Array, ""]
    n_steps: Int[Array, ""]


def minimise(
    loss: Callable[[PyTree], Float[Array, ""]],
    start: PyTree,
    max_steps: int = 200,
    tolerance: float = 1e-11,
) -> Minimum:
    """The minimum of the basin that `start` lies in; pure, for `vmap` and `jit`.

    Args:
        loss: twice differentiable but for kinks of its second derivative.
        start: the parameters to begin with, all floats.
        max_steps: after which it stops, converged or not.
        tolerance: it stops when no entry of the gradient is larger. In float64 1e-11 is
            reached; in float32 ask for no less than 1e-6.
    """
    first, unravel = ravel_pytree(start)
    value_and_gradient = jax.value_and_grad(lambda x: loss(unravel(x)))
    hessian = jax.hessian(lambda x: loss(unravel(x)))

    def unfinished(carry):
        _, _, gradient, damping, n = carry
        steep = jnp.max(jnp.abs(gradient)) > tolerance
        return steep & (n < max_steps) & (damping < _MOST_DAMPING)

    def step(carry):
        x, value, gradient, damping, n = carry
        H = hessian(x)
        scale = jnp.mean(jnp.abs(jnp.diag(H))) + _TINY
        factor = jnp.linalg.cholesky(H + damping * scale * jnp.eye(x.size, dtype=H.dtype))
        trial = x - jax.scipy.linalg.cho_solve((factor, True), gradient)
        new_value, new_gradient = value_and_gradient(trial)
        # The factor of a matrix that is not positive definite is NaN, and so is this value.
        lower = new_value < value
        x, value, gradient = jax.tree.map(
            lambda new, old: jnp.where(lower, new, old),
            (trial, new_value, new_gradient),
            (x, value, gradient),
        )
        shrunk = jnp.maximum(_SHRINK * damping, _LEAST_DAMPING)
        return x, value, gradient, jnp.where(lower, shrunk, _GROW * damping), n + 1

    value, gradient = value_and_gradient(first)
    carry = (first, value, gradient, jnp.full_like(value, _FIRST_DAMPING), jnp.int32(0))
    x, value, gradient, _, n = lax.while_loop(unfinished, step, carry)
    return Minimum(unravel(x), value, jnp.max(jnp.abs(gradient)), n)
