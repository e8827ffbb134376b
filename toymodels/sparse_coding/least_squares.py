"""Least squares on the atoms that a sample may use: of either sign, or non-negative."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from toymodels.sparse_coding import Atoms, Codes, X

ROWS = 256  # samples solved side by side
_RIDGE = 1e-5  # of the mean square length of an atom
_SWEEPS = 100  # of the coordinate descent, at most
_STILL = 1e-6  # of the largest value: a sweep that moves no value further is the last

Slots = Float[Array, " slot"]
Chosen = Float[Array, "slot d_model"]


def on_support(x: X, atoms: Atoms, support: Bool[Array, "batch atom"], most: int) -> Codes:
    """Least squares on the atoms in `support`, 0 elsewhere.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary, rows.
        support: which atoms each sample may use.
        most: how many it may use at most, the first ones; static.
    """
    most = min(most, atoms.shape[0])

    def solve(sample):
        x, support = sample
        used, index = lax.top_k(support.astype(jnp.float32), most)
        a = least_squares(x, atoms[index], used > 0)
        return jnp.zeros(len(atoms), a.dtype).at[index].add(a)

    return lax.map(solve, (x, support), batch_size=ROWS)


def least_squares(
    x: Float[Array, " d_model"], atoms: Chosen, used: Bool[Array, " slot"]
) -> Slots:
    """argmin_a ||x - a D||^2 over the slots in use, for one sample.

    By the normal equations with a trace of ridge, and one step that corrects for it.
    """
    atoms = jnp.where(used[:, None], atoms, 0)
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    size = jnp.trace(gram) / jnp.maximum(used.sum(dtype=jnp.int32), 1)
    ridge = jnp.where(used, _RIDGE * size, 1)
    factor = jax.scipy.linalg.cho_factor(gram + jnp.diag(ridge))
    a = jax.scipy.linalg.cho_solve(factor, atoms @ x)
    return a + jax.scipy.linalg.cho_solve(factor, atoms @ (x - a @ atoms))


def nonnegative_least_squares(
    x: Float[Array, " d_model"],
    atoms: Chosen,
    used: Bool[Array, " slot"],
    start: Slots,
) -> Slots:
    """argmin_{a >= 0} ||x - a D||^2 over the slots in use, for one sample.

    Coordinate descent from `start` until a sweep moves nothing; it says which values are
    positive, and least squares on these gives them to rounding. No gradient goes through.
    """
    atoms = jnp.where(used[:, None], atoms, 0)
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    target = jnp.matmul(atoms, x, precision=lax.Precision.HIGHEST)
    square = jnp.where(jnp.diagonal(gram) > 0, jnp.diagonal(gram), 1)

    def descend(j, a):
        best = a[j] + (target[j] - gram[j] @ a) / square[j]
        return a.at[j].set(jnp.where(used[j], jnp.maximum(best, 0), 0))

    def sweep(carry):
        a, _, t = carry
        moved = lax.fori_loop(0, len(a), descend, a)
        return moved, jnp.max(jnp.abs(moved - a)), t + 1

    def moves(carry):
        a, step, t = carry
        return (step > _STILL * jnp.max(a)) & (t < _SWEEPS)

    first = start, jnp.full((), jnp.inf, start.dtype), 0
    a, _, _ = lax.while_loop(moves, sweep, first)
    exact = least_squares(x, atoms, a > 0)
    return jnp.where(jnp.all(exact >= 0), exact, a)
