"""Matching pursuit (Mallat & Zhang 1993), non-negative, with its gradient."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

from toymodels.sparse_coding import Atoms, Codes, X, of_one_dtype


class Steps(NamedTuple):
    """What each step took; the rows after the last step are 0.

    Attributes:
        index: which atom.
        size: how much of it, 0 where no atom had a positive correlation.
    """

    index: Int[Array, "step batch"]
    size: Float[Array, "step batch"]


def matching_pursuit(x: X, atoms: Atoms, k: ArrayLike) -> Codes:
    """The codes after k greedy steps; an atom may be taken more than once.

    Starting from r = x, each step takes i = argmax_j r . d_j and a = max(r . d_i, 0), adds
    a to z_i and leaves r - a d_i. The correlations r . D^T are kept up to date by the Gram
    matrix, which makes a step O(atom) a sample instead of O(atom d_model).

    The gradient goes through the values of the steps, not through the choices. It follows
    the steps backwards, rebuilding r as it goes, so memory does not grow with k.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary, rows of length 1; at other lengths a step is no projection.
        k: how many steps, a whole number of at most `atom`; may be traced.
    """
    return _pursuit(*of_one_dtype(x, atoms), k)


@jax.custom_vjp
def _pursuit(x: X, atoms: Atoms, k: ArrayLike) -> Codes:
    return _forward(x, atoms, k)[0]


def _forward(x: X, atoms: Atoms, k: ArrayLike):
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    correlation = jnp.matmul(x, atoms.T, precision=lax.Precision.HIGHEST)
    columns = jnp.arange(len(atoms), dtype=jnp.int32)

    def take(t, carry):
        correlation, z, steps = carry
        size = jnp.max(correlation, axis=1)
        # Two plain reductions: on a CPU, argmax takes several times as long.
        is_best = correlation == size[:, None]
        index = jnp.min(jnp.where(is_best, columns, len(atoms) - 1), axis=1)
        size = jnp.maximum(size, 0)
        taken = size[:, None]
        correlation = correlation - taken * gram[index]
        z = z + jnp.where(columns == index[:, None], taken, 0)
        steps = Steps(steps.index.at[t].set(index), steps.size.at[t].set(size))
        return correlation, z, steps

    room = len(atoms), len(x)
    none = Steps(jnp.zeros(room, columns.dtype), jnp.zeros(room, correlation.dtype))
    start = correlation, jnp.zeros_like(correlation), none
    _, z, steps = lax.fori_loop(0, k, take, start)
    return z, (x, atoms, k, z, steps)


def _backward(residuals, g: Codes):
    """dL/dx, dL/datoms and none for k, from dL/dz.

    With l = dL/dr after a step, and b = dL/da = g_i - l . d_i where a > 0, that step adds
    b r - a l to dL/dd_i, r being what it started from, and l + b d_i goes on to the step
    before it.
    """
    x, atoms, k, z, steps = residuals

    def retrace(back, carry):
        left, slope, d_atoms = carry
        t = k - 1 - back
        index, size = steps.index[t], steps.size[t][:, None]
        chosen = atoms[index]
        d_size = jnp.take_along_axis(g, index[:, None], axis=1)
        d_size -= jnp.sum(slope * chosen, axis=1, keepdims=True)
        d_size = jnp.where(size > 0, d_size, 0)
        before = left + size * chosen
        d_atoms = d_atoms.at[index].add(d_size * before - size * slope)
        return before, slope + d_size * chosen, d_atoms

    left = x - jnp.matmul(z, atoms, precision=lax.Precision.HIGHEST)
    start = left, jnp.zeros_like(x), jnp.zeros_like(atoms)
    _, d_x, d_atoms = lax.fori_loop(0, k, retrace, start)
    return d_x, d_atoms, None


_pursuit.defvjp(_forward, _backward)
