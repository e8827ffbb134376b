"""Orthogonal matching pursuit: one atom at a time, then a fit of all taken so far."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from toymodels.sparse_coding import Atoms, Codes, X, of_one_dtype
from toymodels.sparse_coding.least_squares import (
    ROWS,
    least_squares,
    nonnegative_least_squares,
)

_NOTHING_LEFT = 1e-5  # of ||x||


def omp(
    x: X, atoms: Atoms, count: Int[Array, " batch"], most: int, nonnegative: bool = True
) -> Codes:
    """Orthogonal matching pursuit (Pati et al. 1993).

    Each step takes the atom with the largest correlation with what is left and solves
    least squares on all taken so far. A sample stops at its `count`, or when nothing is
    left of it.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary, rows of length 1.
        count: how many atoms each sample may take.
        most: no sample takes more; static.
        nonnegative: take the largest correlation, not the largest in size. The fit may
            still turn a value negative; that of `nonnegative_omp` does not.
    """

    def refit(x, chosen, used, before):
        return least_squares(x, chosen, used)

    return _pursue(x, atoms, count, most, _as_it_is if nonnegative else jnp.abs, refit)


def nonnegative_omp(x: X, atoms: Atoms, count: Int[Array, " batch"], most: int) -> Codes:
    """Orthogonal matching pursuit with codes that are never negative.

    As `omp`, with non-negative least squares on all atoms taken so far. What is left is
    orthogonal to the atoms that are on, and has no positive product with those taken and
    off. No gradient goes through.
    """
    return _pursue(x, atoms, count, most, _as_it_is, nonnegative_least_squares)


def _as_it_is(correlation: Float[Array, " atom"]) -> Float[Array, " atom"]:
    return correlation


def _pursue(
    x: X,
    atoms: Atoms,
    count: Int[Array, " batch"],
    most: int,
    preference: Callable,
    refit: Callable,
) -> Codes:
    """The greedy loop; `refit(x, chosen, used, before)` gives the values of all slots."""
    most = min(most, atoms.shape[0])
    x, atoms = of_one_dtype(x, atoms)
    slots = jnp.arange(most, dtype=jnp.int32)
    last = jnp.minimum(most, jnp.max(count))

    def pursue(sample):
        x, count = sample
        enough = _NOTHING_LEFT * jnp.linalg.norm(x)

        def take(t, carry):
            index, used, a, left = carry
            wanted = preference(atoms @ left)
            taken = jnp.zeros(len(atoms), bool).at[index].max(used)
            best = jnp.argmax(jnp.where(taken, -jnp.inf, wanted)).astype(jnp.int32)
            goes_on = (t < count) & (jnp.linalg.norm(left) > enough)
            index = jnp.where(slots == t, best, index)
            used = used | ((slots == t) & goes_on)
            chosen = atoms[index]
            a = refit(x, chosen, used, a)
            return index, used, a, x - a @ chosen

        index, used = jnp.zeros(most, jnp.int32), jnp.zeros(most, bool)
        start = index, used, jnp.zeros(most, x.dtype), x
        index, used, a, _ = lax.fori_loop(0, last, take, start)
        return jnp.zeros(len(atoms), x.dtype).at[index].add(jnp.where(used, a, 0))

    return lax.map(pursue, (x, count), batch_size=ROWS)
